-- people.lua: decides what holds for users and groups: who may hold which role, and that both sides of a membership agree.

-- A partner's staff: nobody outside the vendor may hold a vendor's role, whoever grants it.
local partner_roles = { crm_partner = true, crm_partner_supervisor = true }

local function check_user(user)
  if not user.partner then return end
  for _, code in ipairs(user.roles or {}) do
    if not partner_roles[code] then
      reject("partner_role", { en = "Partner staff can hold partner roles only", ru = "Сотруднику партнёра доступны только партнёрские роли" }, { field = "roles" })
    end
  end
end

rule("user", check_user)

-- Nobody reports to themselves, however long the way.
on("user", "before_change", function(user, before)
  if not user.manager or user.manager == before.manager then return end
  local at, steps = user.manager, 0
  while at and steps < 50 do
    if at == user.id then
      reject("circular", { en = "Somebody would report to themselves", ru = "Сотрудник оказался бы собственным руководителем" }, { field = "manager" })
    end
    local above = crm.system("the line of managers is checked whoever asks", function() return crm.get("user", at) end)
    at, steps = above and above.manager, steps + 1
  end
end)

-- ---- members of a group and groups of a member are one thing, changed from either side ----

local function has(list, id)
  for _, one in ipairs(list or {}) do
    if one == id then return true end
  end
  return false
end

local function without(list, id)
  local rest = {}
  for _, one in ipairs(list or {}) do
    if one ~= id then rest[#rest + 1] = one end
  end
  return rest
end

local function with(list, id)
  local all = without(list, id)
  all[#all + 1] = id
  return all
end

-- Brings `far` of each record in `now` and in `before` in line; `near` is the id that stands there.
local function follow(entity, far, near, now, before)
  crm.system("both sides of a membership agree", function()
    for _, id in ipairs(now or {}) do
      local other = crm.get(entity, id)
      if other and not has(other[far], near) then crm.update(other, { [far] = with(other[far], near) }) end
    end
    for _, id in ipairs(before or {}) do
      local other = not has(now, id) and crm.get(entity, id)
      if other and has(other[far], near) then crm.update(other, { [far] = without(other[far], near) }) end
    end
  end)
end

on("group", "after_create", function(group) follow("user", "groups", group.id, group.members) end)
on("group", "after_change", function(group, before) follow("user", "groups", group.id, group.members, before.members) end)
on("user", "after_create", function(user) follow("group", "members", user.id, user.groups) end)
on("user", "after_change", function(user, before) follow("group", "members", user.id, user.groups, before.groups) end)
