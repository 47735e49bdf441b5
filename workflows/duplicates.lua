-- duplicates.lua: decides when two records are the same: which likeness refuses a new one, which is only reported by the scan, and how two
-- become one and apart again.
local ask = require "lib.request"
local names = require "lib.names"

-- ---- what is compared: names without their legal form, domains of sites and addresses ----

local function keep(entity, f)
  on(entity, "before_create", f)
  on(entity, "before_change", f)
end

keep("company", function(company) company.name_key, company.domain = names.key(company.name), names.domain(company.site) end)
keep("contact", function(contact) contact.domain = names.domain(contact.email) end)
keep("registration", function(registration)
  registration.client_key, registration.client_domain = names.key(registration.client_name), names.domain(registration.client_email)
end)

-- ---- the rules ----

-- Each list of fields: records in which all of them are equal. `refuse` stops a new record; both are found by the scan.
local rules = {
  company = { refuse = { { "domain" } }, suspect = { { "name_key" } } },
  partner = { refuse = {}, suspect = { { "name" }, { "site" } } },
  contact = { refuse = { { "email", "company" } }, suspect = { { "email" }, { "phone" }, { "name", "company" } } },
  lead = { refuse = {}, suspect = { { "email" }, { "phone" }, { "company_name", "contact_name" } } },
}

-- What a merge may take over from the other record; `unique` can stand in one of them only.
local merging = {
  company = { fields = { "legal_name", "tax_id", "industry", "size", "site", "address", "partner", "direction", "responsible", "description" }, unique = { "tax_id" } },
  partner = { fields = { "legal_name", "tax_id", "industry", "size", "site", "address", "direction", "responsible", "supervisor", "agreement_from", "agreement_to", "description" }, unique = { "tax_id" } },
  contact = { fields = { "position", "email", "emails", "phone", "phones", "company", "partner", "user", "decision_role", "language", "direction", "responsible", "description" }, unique = {} },
  lead = { fields = { "company_name", "tax_id", "contact_name", "position", "email", "phone", "source", "campaign", "direction", "responsible", "partner", "description" }, unique = {} },
}

-- ---- a new record ----

local function equal_to(record, fields)
  local tests, params = {}, { record.id }
  for _, name in ipairs(fields) do
    if record[name] == nil then return nil end
    params[#params + 1] = record[name]
    tests[#tests + 1] = name .. " = $" .. #params
  end
  return "id != $1 and " .. table.concat(tests, " and "), params
end

local function shown(record)
  return { id = record.id, entity = record.entity, name = record.name or record.subject }
end

local function refuse(record)
  if crm.reason() then return end -- said why it is another one; the log keeps it
  for _, fields in ipairs(rules[record.entity].refuse) do
    local filter, params = equal_to(record, fields)
    if filter then
      local visible = crm.find(record.entity, filter, { params = params, limit = 10 })
      local hidden = #visible == 0 and crm.system("a duplicate counts whoever may see it", function()
        return #crm.find(record.entity, filter, { params = params, limit = 1 }) > 0
      end)
      if #visible > 0 or hidden then
        local candidates = crm.json.list {}
        for _, other in ipairs(visible) do candidates[#candidates + 1] = shown(other) end
        crm.duplicate({ en = "There is such a record already (" .. table.concat(fields, ", ") .. "); give a reason to make another one",
          ru = "Такая запись уже есть (" .. table.concat(fields, ", ") .. "); чтобы создать ещё одну, укажите причину" }, candidates)
      end
    end
  end
end

-- ---- the scan ----

local function groups_of(entity, fields, found)
  local tests = {}
  for _, name in ipairs(fields) do tests[#tests + 1] = name .. " is not null" end
  for _, group in ipairs(crm.aggregate(entity, { group_by = table.concat(fields, ","), filter = table.concat(tests, " and "), at_least = 2 })) do
    if #found >= 200 then return end
    local filters, params = {}, {}
    for i, name in ipairs(fields) do
      params[i] = group.key[name]
      filters[i] = name .. " = $" .. i
    end
    local records = crm.json.list {}
    for _, record in ipairs(crm.find(entity, table.concat(filters, " and "), { params = params, limit = 20 })) do records[#records + 1] = shown(record) end
    if #records > 1 then found[#found + 1] = { by = fields, records = records } end
  end
end

route("GET", "/api/v1/x/duplicates", { allow = { "crm_admin", "crm_read_admin", "crm_manager", "crm_sales", "crm_pam", "crm_presale", "crm_marketeer" } }, function(request)
  local entity = ask.choice(ask.arguments(request.query, { "entity" }), "entity", { "company", "contact", "lead", "partner" })
  local found = crm.json.list {}
  for _, kind in ipairs({ "refuse", "suspect" }) do
    for _, fields in ipairs(rules[entity][kind]) do groups_of(entity, fields, found) end
  end
  return { entity = entity, groups = found }
end)

-- ---- merging ----

local function value(v) return v == nil and crm.null or v end

local function choose(record, other, take)
  local filled, wanted = {}, {}
  for _, name in ipairs(take or {}) do wanted[name] = true end
  for _, name in ipairs(merging[record.entity].fields) do
    if other[name] ~= nil and (wanted[name] or record[name] == nil) then filled[name] = { old = value(record[name]), new = other[name] } end
    wanted[name] = nil
  end
  local unknown = next(wanted)
  if unknown then
    reject("not_mergeable", { en = "\"" .. tostring(unknown) .. "\" cannot be taken over", ru = "Поле «" .. tostring(unknown) .. "» нельзя перенести" }, { field = "take" })
  end
  return filled
end

local function merge(record, args)
  local other = crm.get(record.entity, args.other)
  if not other or other.id == record.id or not other.active then
    reject("no_such_record", { en = "Choose another active record", ru = "Выберите другую действующую запись" }, { field = "other" })
  end
  if not crm.can(crm.user.id, "update", other) then
    reject("forbidden", { en = "You may not change the other record", ru = "У вас нет прав изменять другую запись" }, { field = "other" })
  end
  local filled, freed, without, changes = choose(record, other, args.take), {}, { active = false }, {}
  for _, name in ipairs(merging[record.entity].unique) do
    if filled[name] then freed[name], without[name] = other[name], crm.null end
  end
  for name, change in pairs(filled) do changes[name] = change.new end
  crm.system("two records of one thing become one", function()
    local links = crm.relink(other, record)
    crm.update(other, without)
    crm.update(record, changes)
    crm.create("merge", { kept = record.id, merged = other.id, reason = args.reason, links = crm.json.list(links), filled = filled, freed = freed })
  end)
end

for entity in pairs(rules) do
  on(entity, "before_create", refuse)
  action(entity, "merge", {
    label = { en = "Merge another one into it", ru = "Присоединить другую запись" }, by = "@role.crm_manager or @role.crm_admin",
    fields = {
      other = ref { to = entity, required = true, label = { en = "The other record", ru = "Другая запись" } },
      take = json { label = { en = "Fields to take over from it", ru = "Поля, которые взять из неё" } },
      reason = text { label = { en = "Reason", ru = "Причина" } },
    },
  }, merge)
end

-- ---- and apart again: what nobody has changed since goes back ----

local function same(a, b)
  return a == b or crm.json.encode(value(a)) == crm.json.encode(value(b))
end

local function lead_back(link, kept, merged)
  local record = crm.get(link.entity, link.id)
  local now = record and record[link.field]
  if now == kept.id then return crm.update(record, { [link.field] = merged.id }) end
  if type(now) ~= "table" then return end
  local back, there = {}, false
  for _, id in ipairs(now) do
    back[#back + 1] = id == kept.id and merged.id or id
    there = there or id == kept.id
  end
  if there then crm.update(record, { [link.field] = back }) end
end

action("merge", "undo", { label = { en = "Undo", ru = "Отменить" }, when = "undone_at is null", right = "read", by = "@role.crm_manager or @role.crm_admin" }, function(merged_once)
  crm.system("a merge is undone", function()
    local kept, merged = crm.record(merged_once.kept), crm.record(merged_once.merged)
    local back = { active = true }
    for name, v in pairs(merged_once.freed or {}) do
      if same(kept[name], v) then back[name] = v end
    end
    local changes = {}
    for name, change in pairs(merged_once.filled or {}) do
      if same(kept[name], change.new) then changes[name] = value(change.old) end
    end
    crm.update(kept, changes)
    crm.update(merged, back)
    for _, link in ipairs(merged_once.links or {}) do lead_back(link, kept, merged) end
    crm.update(merged_once, { undone_at = crm.now() })
  end)
end)
