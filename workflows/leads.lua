-- leads.lua: decides how interest becomes business: who gets a lead, who may qualify, disqualify, drop or reopen it, and what qualifying makes.

-- Statuses are changed by the actions below, each for those who may.
states "lead" {
  field = "status", first = { "new", "assigned" }, closed = { "qualified", "disqualified", "dropped" },
  way { "new", "assigned", require = { "responsible" } },
  way { "assigned", "new" },
  way { "assigned", "qualified" },
  way { "assigned", "disqualified", require = { "reason" } },
  way { "assigned", "dropped", require = { "reason" } },
  way { { "disqualified", "dropped" }, "assigned", require = { "responsible" } },
  way { { "disqualified", "dropped" }, "new" },
}

local mine = "responsible = @me or responsible in @my.absent or responsible in @my.reports or @role.crm_manager or @role.crm_admin"
local distributes = "@role.crm_manager or @role.crm_marketeer or @role.crm_admin"

-- A lead with somebody responsible is assigned, one without is new, however it came to be so.
local function follow_responsible(lead)
  if lead.status == "new" and lead.responsible then lead.status = "assigned" end
  if lead.status == "assigned" and not lead.responsible then lead.status = "new" end
end

on("lead", "before_create", follow_responsible)
on("lead", "before_change", follow_responsible)

local function tell(lead)
  if not lead.responsible then return end
  crm.notify(lead.responsible, { en = "Lead for you: " .. lead.subject, ru = "Вам назначен интерес: " .. lead.subject }, { kind = "assigned", record = lead })
end

on("lead", "after_create", tell)
on("lead", "after_change", function(lead, before)
  if lead.responsible ~= before.responsible then tell(lead) end
end)

-- ---- who gets it ----

-- By name, or by turns or by load among the sellers of the lead's direction (or of a group).
local function choose(lead, args)
  if args.responsible then return args.responsible end
  local somebody = crm.pick("lead", "responsible", {
    role = "crm_sales", group = args.group, direction = lead.direction, pick = args.pick or "least_busy", open = 'status in ("new", "assigned")',
  })
  if not somebody then
    reject("nobody", { en = "Nobody of that group and direction is there to take it", ru = "В этой группе и направлении некому взять интерес" }, { field = "responsible" })
  end
  return somebody
end

local distribution = function()
  return {
    responsible = ref { to = "user", label = { en = "To whom", ru = "Кому" }, help = { en = "Empty: chosen by the rule below", ru = "Пусто: выбирается по правилу ниже" } },
    pick = option { { "round_robin", en = "By turns", ru = "По очереди" }, { "least_busy", en = "The least busy", ru = "Наименее занятый" }, label = { en = "Choose", ru = "Выбрать" } },
    group = text { label = { en = "Among the group", ru = "Среди группы" } },
  }
end

action("lead", "assign", {
  label = { en = "Assign", ru = "Назначить" }, when = 'status = "new"', by = distributes, fields = distribution(),
}, function(lead, args)
  lead.responsible = choose(lead, args)
  lead.status = "assigned"
end)

action("lead", "take", { label = { en = "Take", ru = "Взять себе" }, when = 'status = "new" and responsible is null', roles = { "crm_sales", "crm_manager", "crm_pam", "crm_presale" } },
  function(lead)
    lead.responsible, lead.status = crm.user.id, "assigned"
  end)

action("lead", "reassign", {
  label = { en = "Reassign", ru = "Переназначить" }, when = 'status = "assigned"', by = "responsible = @me or responsible in @my.absent or responsible in @my.reports or " .. distributes, fields = distribution(),
}, function(lead, args)
  lead.responsible = choose(lead, args)
end)

-- ---- how it ends ----

local function with_reason(status)
  return function(lead, args)
    local reason = crm.get("lead_reason", args.reason)
    if reason and reason.status and reason.status ~= status then
      reject("wrong_reason", { en = "That reason belongs to another outcome", ru = "Эта причина относится к другому исходу" }, { field = "reason" })
    end
    lead.status, lead.reason = status, args.reason
  end
end

local reason = function()
  return { reason = ref { to = "lead_reason", required = true, label = { en = "Reason", ru = "Причина" } } }
end

action("lead", "disqualify", { label = { en = "Disqualify", ru = "Отклонить" }, when = 'status = "assigned"', by = mine, fields = reason() }, with_reason("disqualified"))
action("lead", "drop", { label = { en = "Drop", ru = "Прекратить" }, when = 'status = "assigned"', by = mine, fields = reason() }, with_reason("dropped"))

action("lead", "reopen", { label = { en = "Reopen", ru = "Открыть снова" }, when = 'status in ("disqualified", "dropped")', by = distributes }, function(lead)
  lead.status, lead.reason = lead.responsible and "assigned" or "new", nil
end)

-- ---- qualifying: company, contact and deal, all or nothing ----

local function company_of(lead, args)
  if args.company then return args.company end
  local name = args.company_name or lead.company_name
  if not name then
    reject("required", { en = "Choose a company, or give a name for a new one", ru = "Выберите компанию или укажите название новой" }, { field = "company" })
  end
  return crm.create("company", {
    name = name, tax_id = args.tax_id or lead.tax_id, direction = lead.direction, responsible = lead.responsible, partner = lead.partner, lifecycle_step = "awareness",
  }).id
end

local function contact_of(lead, args, company)
  if args.contact then return args.contact end
  local name = args.contact_name or lead.contact_name
  if not name then
    reject("required", { en = "Choose a contact, or give a name for a new one", ru = "Выберите контакт или укажите имя нового" }, { field = "contact" })
  end
  return crm.create("contact", {
    name = name, position = lead.position, email = lead.email, phone = lead.phone, company = company, direction = lead.direction, responsible = lead.responsible,
    partner = lead.partner,
  }).id
end

local function deal_of(lead, args, company, contact)
  local wanted = args.deal or (args.opportunity and "existing") or "new"
  if wanted == "none" then return nil end
  if wanted == "existing" then
    if not args.opportunity then
      reject("required", { en = "Choose the deal", ru = "Выберите сделку" }, { field = "opportunity" })
    end
    return args.opportunity
  end
  return crm.create("opportunity", {
    name = args.opportunity_name or lead.subject, company = company, contact = contact, partner = lead.partner, direction = lead.direction,
    responsible = lead.responsible, products = lead.products, amount = args.amount, currency = args.currency, close_date = args.close_date,
    source_lead = lead.id, description = lead.description,
  }).id
end

action("lead", "qualify", {
  label = { en = "Qualify", ru = "Квалифицировать" }, when = 'status = "assigned"', by = mine,
  fields = {
    company = ref { to = "company", label = { en = "Company", ru = "Компания" }, help = { en = "Empty: a new one is made", ru = "Пусто: создаётся новая" } },
    company_name = text { label = { en = "Name of the new company", ru = "Название новой компании" } },
    tax_id = text { label = { en = "Its tax id", ru = "Её ИНН" } },
    contact = ref { to = "contact", label = { en = "Contact", ru = "Контакт" }, help = { en = "Empty: a new one is made", ru = "Пусто: создаётся новый" } },
    contact_name = text { label = { en = "Name of the new contact", ru = "Имя нового контакта" } },
    deal = option { { "new", en = "A new deal", ru = "Новая сделка" }, { "existing", en = "An existing deal", ru = "Существующая сделка" }, { "none", en = "No deal yet", ru = "Пока без сделки" },
      label = { en = "Deal", ru = "Сделка" }, default = "new" },
    opportunity = ref { to = "opportunity", label = { en = "The existing deal", ru = "Существующая сделка" } },
    opportunity_name = text { label = { en = "Name of the new deal", ru = "Название новой сделки" } },
    amount = money { label = { en = "Amount", ru = "Сумма" } },
    currency = ref { to = "currency", label = { en = "Currency", ru = "Валюта" } },
    close_date = date { label = { en = "Close date", ru = "Дата закрытия" } },
  },
}, function(lead, args)
  local company = company_of(lead, args)
  local contact = contact_of(lead, args, company)
  lead.converted_to = deal_of(lead, args, company, contact)
  lead.company, lead.contact, lead.status, lead.qualified_at = company, contact, "qualified", crm.now()
end)
