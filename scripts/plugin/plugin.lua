-- plugin.lua: what NAME is.
return {
  name = "NAME",
  version = "0.1.0",
  api = "1",
  requires = { perigee = ">=0.1" },
  permissions = { "read:company", "write:company" },
  config = {
    longest = integer { default = 40, min = 1, max = 200 },
  },
}
