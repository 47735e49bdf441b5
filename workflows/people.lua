-- people.lua: decides what holds for users and groups: who may hold which role, and that both sides of a membership agree.

-- A partner's staff: nobody outside the vendor may hold a vendor's role, whoever grants it.
local partner_roles = { crm_partner = true, crm_partner_supervisor = true }

local function check_user(user)
  if user.absent_from and user.absent_to and user.absent_to < user.absent_from then
    reject("dates_out_of_order", { en = "The absence ends before it begins", ru = "Отсутствие заканчивается раньше, чем начинается" }, { field = "absent_to" })
  end
  if not user.partner then return end
  for _, code in ipairs(user.roles or {}) do
    if not partner_roles[code] then
      reject("partner_role", { en = "Partner staff can hold partner roles only", ru = "Сотруднику партнёра доступны только партнёрские роли" }, { field = "roles" })
    end
  end
end

on("user", "before_create", check_user)
on("user", "before_change", check_user)

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
