-- registrations.lua: decides how a deal that a partner registers is checked, reviewed, approved and protected.
local days = require "lib.days"
local limits = require "lib.limits"

states "registration" {
  field = "state", first = { "draft" }, closed = { "rejected", "expired", "converted" },
  way { "draft", "submitted" },
  way { "submitted", "in_review" },
  way { "in_review", "needs_info", require = { "reason" } },
  way { "needs_info", "in_review" },
  way { "in_review", "approved" },
  way { "in_review", "rejected", require = { "reason" } },
  way { "approved", "expired" },
  way { "approved", "converted" },
}

on("registration", "before_delete", function(registration)
  if registration.state ~= "draft" then
    reject("not_draft", { en = "Only a draft is deleted", ru = "Удалить можно только черновик" }, { field = "state" })
  end
end)

-- ---- who else knows the client: by tax id, then e-mail domain, then name ----

local function known(registration, entity, filters, describe)
  for _, rule in ipairs(filters) do
    local value = rule.value
    if value then
      local found = crm.find(entity, rule.filter, { params = { value, registration.direction, registration.id }, limit = 5 })
      if #found > 0 then
        local hits = {}
        for _, record in ipairs(found) do hits[#hits + 1] = { entity = entity, id = record.id, name = describe(record), by = rule.by } end
        return hits
      end
    end
  end
  return {}
end

local function conflicts(registration)
  local tax_id, domain, key = registration.client_tax_id, registration.client_domain, registration.client_key
  local all = {}
  local function add(hits)
    for _, hit in ipairs(hits) do all[#all + 1] = hit end
  end
  add(known(registration, "company", {
    { by = "tax_id", value = tax_id, filter = "tax_id = $1" },
    { by = "domain", value = domain, filter = "domain = $1" },
    { by = "name", value = key, filter = "name_key = $1" },
  }, function(company) return company.name end))
  local open = ' and status in ("open", "in_progress", "on_hold") and direction = $2'
  add(known(registration, "opportunity", {
    { by = "tax_id", value = tax_id, filter = "company.tax_id = $1" .. open },
    { by = "domain", value = domain, filter = "(company.domain = $1 or contact.domain = $1)" .. open },
    { by = "name", value = key, filter = "company.name_key = $1" .. open },
  }, function(deal) return deal.number .. " " .. deal.name end))
  local live = ' and state in ("submitted", "in_review", "needs_info", "approved") and direction = $2 and id != $3'
  add(known(registration, "registration", {
    { by = "tax_id", value = tax_id, filter = "client_tax_id = $1" .. live },
    { by = "domain", value = domain, filter = "client_domain = $1" .. live },
    { by = "name", value = key, filter = "client_key = $1" .. live },
  }, function(other) return other.number .. " " .. other.client_name end))
  return all
end

-- ---- telling ----

local function tell(registration, users, text)
  local told = {}
  for _, user in pairs(users) do -- some may be missing
    if not told[user] then
      told[user] = true
      crm.notify(user, text, { kind = "approval", record = registration })
    end
  end
end

local function tell_partner(registration, en, ru)
  local partner = crm.get("partner", registration.partner)
  tell(registration, { registration.author, partner and partner.supervisor }, { en = registration.number .. ": " .. en, ru = registration.number .. ": " .. ru })
end

local function tell_agents(registration, en, ru)
  local partner = crm.get("partner", registration.partner)
  tell(registration, { registration.responsible, partner and partner.responsible }, { en = registration.number .. ": " .. en, ru = registration.number .. ": " .. ru })
end

-- ---- the partner's side ----

local side = "author = @me or created_by = @me or partner = @my.company or @role.crm_admin"

action("registration", "submit", {
  label = { en = "Submit", ru = "Отправить" }, when = 'state in ("draft", "needs_info")', by = side, right = "read",
}, function(registration)
  if not registration.client_tax_id and not registration.client_email then
    reject("required", { en = "Give the client's tax id or an e-mail", ru = "Укажите ИНН клиента или адрес почты" }, { field = "client_tax_id" })
  end
  crm.system("the partner sends in, the server checks and keeps who else knows the client", function()
    local partner = crm.get("partner", registration.partner)
    local hits = conflicts(registration)
    crm.update(registration, {
      state = registration.state == "draft" and "submitted" or "in_review", conflicts = hits,
      responsible = registration.responsible or partner.responsible,
    })
    tell_agents(crm.get("registration", registration.id), "a deal is registered", "зарегистрирована сделка")
  end)
end)

-- ---- the vendor's side ----

local reviewer = "responsible = @me or partner.responsible = @me or responsible in @my.absent or partner.responsible in @my.absent or @role.crm_manager or @role.crm_admin"

action("registration", "review", { label = { en = "Take under review", ru = "Взять на рассмотрение" }, when = 'state = "submitted"', by = reviewer }, function(registration)
  registration.state, registration.responsible = "in_review", registration.responsible or crm.user.id
end)

local why = function() return { reason = text { required = true, label = { en = "Reason", ru = "Причина" } } } end

action("registration", "ask", { label = { en = "Ask for information", ru = "Запросить сведения" }, when = 'state = "in_review"', by = reviewer, fields = why() }, function(registration, args)
  registration.state, registration.reason = "needs_info", args.reason
  tell_partner(registration, "information is needed", "нужны сведения")
end)

action("registration", "reject", { label = { en = "Reject", ru = "Отклонить" }, when = 'state = "in_review"', by = reviewer, fields = why() }, function(registration, args)
  registration.state, registration.reason = "rejected", args.reason
  tell_partner(registration, "rejected", "отклонена")
end)

local function client_of(registration)
  local company = registration.client_tax_id and crm.find("company", "tax_id = $1", { params = { registration.client_tax_id }, limit = 1 })[1]
  return company or crm.create("company", {
    name = registration.client_name, tax_id = registration.client_tax_id, direction = registration.direction, responsible = registration.responsible,
    partner = registration.partner, lifecycle_step = "awareness",
  })
end

local function contact_of(registration, company)
  if not registration.client_contact then return nil end
  return crm.create("contact", {
    name = registration.client_contact, email = registration.client_email, phone = registration.client_phone, company = company, direction = registration.direction,
    responsible = registration.responsible, partner = registration.partner,
  }).id
end

action("registration", "approve", {
  label = { en = "Approve", ru = "Одобрить" }, when = 'state = "in_review"', by = reviewer,
  fields = {
    as = option { { "opportunity", en = "A deal", ru = "Сделка" }, { "lead", en = "A lead", ru = "Интерес" }, label = { en = "It becomes", ru = "Становится" } },
    protected_until = date { label = { en = "Protected until", ru = "Защищена до" } },
    responsible = ref { to = "user", label = { en = "Responsible", ru = "Ответственный" } },
  },
}, function(registration, args)
  registration.state = "approved"
  registration.protected_until = args.protected_until or days.add(crm.today(), limits.protection_days)
  local responsible = args.responsible or registration.responsible or crm.user.id
  crm.system("an approved registration makes its deal or lead, whoever approves", function()
    if args.as == "lead" then
      registration.lead = crm.create("lead", {
        subject = registration.client_name, company_name = registration.client_name, tax_id = registration.client_tax_id, contact_name = registration.client_contact,
        email = registration.client_email, phone = registration.client_phone, products = registration.products, direction = registration.direction,
        partner = registration.partner, responsible = responsible, source = "partner", description = registration.description,
      }).id
    else
      local company = client_of(registration)
      registration.opportunity = crm.create("opportunity", {
        name = registration.client_name .. " (" .. registration.number .. ")", company = company, contact = contact_of(registration, company), partner = registration.partner,
        direction = registration.direction, responsible = responsible, products = registration.products, amount = registration.amount, currency = registration.currency,
        close_date = registration.close_date, registration = registration.id, description = registration.description,
      }).id
    end
    tell_partner(registration, "approved", "одобрена")
    tell_agents(registration, "approved", "одобрена")
  end)
end)

action("registration", "extend", {
  label = { en = "Extend the protection", ru = "Продлить защиту" }, when = 'state = "approved" and extended = false',
  by = "partner.responsible = @me or partner.responsible in @my.absent or @role.crm_manager or @role.crm_admin",
}, function(registration)
  registration.protected_until, registration.extended = days.add(registration.protected_until, limits.protection_days), true
end)

-- ---- what time and success do ----

every("1d at 05:00", "expire_registrations", function()
  for _, registration in ipairs(crm.find("registration", 'state = "approved" and protected_until < @today', { limit = 500 })) do
    crm.system("the protection of a registered deal is over", function()
      crm.update(registration, { state = "expired" })
      tell_partner(registration, "the protection is over", "срок защиты истёк")
    end)
  end
end)

on("opportunity", "after_change", function(deal, before)
  if deal.status ~= "won" or before.status == "won" or not deal.registration then return end
  crm.system("a won deal completes its registration", function()
    local registration = crm.get("registration", deal.registration)
    if registration.state == "approved" then crm.update(registration, { state = "converted" }) end
  end)
end)

on("lead", "after_change", function(lead, before)
  if lead.status ~= "qualified" or before.status == "qualified" then return end
  crm.system("a qualified lead completes its registration", function()
    for _, registration in ipairs(crm.find("registration", 'lead = $1 and state = "approved"', { params = { lead.id } })) do
      crm.update(registration, { state = "converted", opportunity = lead.converted_to })
    end
  end)
end)
