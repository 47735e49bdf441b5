-- portals.lua: decides that each direction has at most one partner portal, which is made from the direction.

-- A portal that nobody gave a code is called like its direction.
on("portal", "before_create", function(portal)
  local direction = portal.direction and crm.get("direction", portal.direction)
  portal.code = portal.code or portal.direction
  if direction then portal.name = portal.name or direction.name end
end)

local function link(portal, to)
  crm.system("a direction knows its portal", function() crm.update("direction", portal.direction, { portal = to }) end)
end

on("portal", "after_create", function(portal) link(portal, portal.code) end)
on("portal", "after_change", function(portal, before)
  if portal.direction == before.direction then return end
  link(before, crm.null)
  link(portal, portal.code)
end)
on("portal", "before_delete", function(portal) link(portal, crm.null) end)

action("direction", "make_portal", {
  label = { en = "Make a partner portal", ru = "Создать партнёрский портал" }, when = "portal is null", roles = { "crm_admin" },
  fields = { path = text { label = { en = "Path", ru = "Путь" }, help = { en = "Empty: the code of the direction", ru = "Пусто: код направления" } } },
}, function(direction, args)
  local path = args.path or string.gsub(direction.code, "_", "-")
  crm.create("portal", { code = direction.code, path = path, direction = direction.code, name = direction.name })
end)
