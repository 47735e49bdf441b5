-- 05_role.lua: role "code" { label = …, allow { "read", "opportunity", where = … }, … }.
local core = ...
local check = core.check_words

local actions = { "create", "read", "update", "delete" }

-- "read", { "create", "read" } or "all"
local function take_actions(place, value)
  if value == "all" then return actions end
  local list = check.texts("allow", place, "actions", value)
  if #list == 0 then check.fail(place, "allow begins with what is allowed: allow { \"read\", \"opportunity\" }") end
  for _, name in ipairs(list) do check.one_of("allow", place, "action", name, { "create", "read", "update", "delete", "import", "all" }) end
  return list
end

core.export("allow", function(declared)
  local place = check.place()
  if type(declared) ~= "table" then
    check.fail(place, "allow takes a table: allow { \"read\", \"opportunity\" }, not a " .. type(declared))
    return { is_rule = true, bad = true }
  end
  local named = {}
  for key, value in pairs(type(declared) == "table" and declared or {}) do
    if math.type(key) ~= "integer" then named[key] = value end
  end
  check.attributes("allow", place, named, { where = "string", follow = "string", to = "table", of = "string", fields = "table" })
  if named.to and not named.follow then check.fail(place, "allow: \"to\" belongs to \"follow\"") end
  local fields = named.fields
  local except = fields and fields.is_except
  return {
    is_rule = true, file = place.file, line = place.line, actions = take_actions(place, declared[1]),
    entities = check.texts("allow", place, "entities", declared[2]), where = named.where, follow = named.follow,
    to = check.texts("allow", place, "to", named.to), of = named.of, except = except or false,
    fields = fields and (except and fields.names or check.texts("allow", place, "fields", fields)) or nil,
  }
end)

core.export("role", function(code)
  local place = check.place()
  check.name("role", place, code)
  return function(declared)
    local named, rules = {}, {}
    for key, value in pairs(type(declared) == "table" and declared or {}) do
      if math.type(key) ~= "integer" then named[key] = value end
    end
    check.attributes("role", place, named, { label = { "table", "string" }, all = "string", partner = "boolean" })
    if named.all then check.one_of("role", place, "all", named.all, { "read", "write" }) end
    local function take(list)
      for i, rule in ipairs(list) do
        if type(rule) == "table" and rule.is_rule then rules[#rules + 1] = not rule.bad and rule or nil
        elseif type(rule) == "table" and rule[1] then take(rule) -- a shared list of rules
        else check.fail(place, "role: member " .. i .. " is not a rule: write allow { … }") end
      end
    end
    if type(declared) == "table" then take(declared)
    else check.fail(place, "role takes a table: role \"code\" { … }, not a " .. type(declared)) end
    core.declare("role", {
      file = place.file, line = place.line, code = code, label = check.label("role \"" .. tostring(code) .. "\"", place, named.label, code), all = named.all,
      partner = named.partner or false, rules = rules,
    })
  end
end)
