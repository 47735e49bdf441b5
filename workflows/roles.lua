-- roles.lua: who may do what. What no rule allows is denied; somebody with several roles may do what any of them allows.
--
--   allow { actions, entities, where = …, fields = …, follow = …, of = … }
--
-- `where` chooses rows, `fields` what of them. `follow = "record"` gives the rights that one has on the record under that field: to read it, or
-- to change it for all else. `of = "opportunity.company"` means: what a deal that one may read has as its company. For a change the row must
-- match before and after. "import" comes on top of creating or changing: which rows an import may write. `perigee access matrix` shows the
-- result, `perigee access why` explains one case.

-- ---- relations: how somebody stands to a record ----
-- @my.absent: colleagues who named me as their deputy and are away today; I stand to their records as they do.

local own = "(responsible = @me or created_by = @me or responsible in @my.absent or created_by in @my.absent)"
local team = "responsible in @my.reports"
local dir = "direction in @my.directions"
local acct = "(partner.responsible = @me or partner.responsible in @my.absent)"

local own_team = own .. " or " .. team
local dir_team = dir .. " or " .. team
local partner_dir = "(direction in @my.directions or directions in @my.directions)"

-- ---- groups of entities ----

local settings = {
  "direction", "stage", "lifecycle_step", "chain", "chain_step", "portal", "currency", "currency_rate", "holiday", "industry", "document_kind",
  "lost_reason", "status_reason", "lead_source", "lead_reason",
}
local goods = { "product", "price", "content", "achievement" }
local hanging = { "document", "task", "activity", "comment", "folder" }
local campaigns = { "campaign", "offering" } -- and what follows them: lists and members

-- ---- what everybody has: themselves, and what is theirs alone ----

local function oneself()
  return {
    allow { "read", "user", where = "id = @me" },
    allow { "update", "user", where = "id = @me", fields = { "phone", "language", "time_zone", "muted", "deputy", "absent_from", "absent_to" } },
    allow { { "read", "update", "delete" }, "notification", where = "user = @me" },
    allow { "all", "view", where = "owner = @me", fields = except { "shared_groups", "shared_roles" } },
    allow { "read", "view", where = "owner = @me or shared_groups in @my.groups or shared_roles in @my.roles" },
  }
end

-- What every employee of the vendor has besides.
local function employee()
  return {
    oneself(),
    allow { "read", settings },
    allow { "read", goods },
    allow { "read", "user", fields = { "name", "login" } }, -- a comment mentions a colleague by login
    allow { "read", "group", fields = { "name" } },
    allow { { "create", "read", "delete" }, "token" },
    allow { "all", "follower", where = "user = @me" },
    allow { "all", hanging, follow = "record" },
    allow { "all", "line", follow = "opportunity" },
    allow { { "read", "update" }, "task", where = "assignee = @me or assignee in @my.absent" },
    allow { "read", "stage_change", follow = "opportunity" },
  }
end

-- ---- administrators ----

role "crm_admin" { label = { en = "Administrator", ru = "Администратор" }, all = "write" }
role "crm_read_admin" { label = { en = "Read-only administrator", ru = "Администратор без изменений" }, all = "read", oneself() }

-- ---- the vendor's employees ----

role "crm_manager" {
  label = { en = "Sales manager", ru = "Руководитель продаж" },
  employee(),
  allow { "create", { "opportunity", "lead", "company", "contact", "partner" } },
  allow { { "read", "update" }, { "opportunity", "lead", "company", "contact" }, where = dir_team },
  allow { "delete", { "opportunity", "lead", "company", "contact" }, where = dir },
  allow { { "read", "update" }, "registration", where = dir },
  allow { "read", "partner" },
  allow { "update", "partner", where = partner_dir },
  allow { "update", { "product", "content", "portal", "chain" }, where = dir },
  allow { "update", "price", follow = "product" },
  allow { "read", "merge", follow = "kept" }, -- and undoes it
  allow { "all", "chain_step", follow = "chain" },
  allow { "read", { "certification", "certificate" } },
  allow { "read", { "campaign", "offering", "marketing_list", "member" } },
  allow { "create", "import" },
  allow { "import", { "opportunity", "lead", "company", "contact" }, where = dir },
  allow { "import", "partner", where = partner_dir },

  -- People: what is said of them, but never what they may do. They are moved about within one's own directions and team only.
  allow { "read", { "user", "group" } },
  allow { "update", "user", where = "id in @my.reports", fields = { "name", "email", "phone", "language", "time_zone", "deputy", "absent_from", "absent_to" } },
  allow { "update", "user", where = "id in @my.reports and direction in @my.directions", fields = { "direction" } },
  allow { "update", "user", where = "id in @my.reports and (manager = @me or manager in @my.reports)", fields = { "manager" } },
  allow { "update", "group", where = "lead = @me or lead in @my.reports", fields = { "name", "lead" } },
  allow { "all", "view", where = "owner = @me and (shared_groups is null or shared_groups in @my.groups)", fields = except { "shared_roles" } },
}

role "crm_sales" {
  label = { en = "Salesperson", ru = "Продавец" },
  employee(),
  allow { "create", { "opportunity", "lead", "company", "contact", "partner" } },
  allow { "read", { "opportunity", "company", "contact" }, where = dir .. " or " .. own_team },
  allow { "update", { "opportunity", "company", "contact" }, where = own_team },
  allow { "read", "lead", where = dir .. " or " .. own },
  allow { "update", "lead", where = own .. " or responsible is null and " .. dir },
  allow { "read", "registration", where = dir .. " or " .. own },
  allow { "update", "registration", where = own },
  allow { "read", "partner", where = partner_dir .. " or " .. own },
  allow { "update", "partner", where = own },
  allow { "read", { "certification", "certificate" } },
  allow { "read", { "campaign", "offering", "marketing_list" }, where = dir },
  allow { "read", "member", follow = "list" },
}

-- Account managers of partners and presale engineers have the same rights, always.
local function account()
  return {
    employee(),
    allow { "create", "opportunity", where = acct },
    allow { "create", { "lead", "company", "contact" } },
    allow { "read", { "opportunity", "lead", "company", "contact", "registration" }, where = dir .. " or " .. acct },
    allow { "update", { "opportunity", "lead", "company", "contact", "registration" }, where = acct },
    allow { "read", "partner", where = partner_dir .. " or " .. own },
    allow { "update", "partner", where = own },
    allow { "read", "certification", where = dir },
    allow { "read", "certificate", where = "certification.direction in @my.directions or " .. acct },
    allow { "read", "campaign", where = acct },
    allow { "read", { "offering", "marketing_list" }, follow = "campaign" },
    allow { "read", "member", follow = "list" },
  }
end

role "crm_pam" { label = { en = "Partner account manager", ru = "Менеджер по партнёрам" }, account() }
role "crm_presale" { label = { en = "Presale engineer", ru = "Пресейл-инженер" }, account() }

role "crm_marketeer" {
  label = { en = "Marketeer", ru = "Маркетолог" },
  employee(),
  allow { "read", "opportunity", where = dir },
  allow { { "create", "read", "update" }, "lead" },
  allow { "read", { "company", "contact" } },
  allow { "update", "contact", fields = { "consent", "language" } },
  allow { "update", "company", fields = { "industry", "size", "site" } },
  allow { "create", "partner" },
  allow { "read", "partner", where = partner_dir },
  allow { "all", { "content", "achievement" } },
  allow { "read", { "certification", "certificate" } },
  allow { "all", campaigns },
  allow { "all", { "marketing_list", "member" } },
  allow { "create", "import" },
  allow { "import", "lead" },
}

role "crm_certificate_manager" {
  label = { en = "Certification manager", ru = "Менеджер по сертификации" },
  employee(),
  allow { "read", { "company", "contact", "partner" } },
  allow { "all", { "certification", "certificate" } },
}

-- ---- partner staff: their own company's deals, and of them only what the portal shows ----
-- Nothing here may tell of another partner, of margins and discounts, of competitors, or of what is internal. Tasks are the vendor's.

local comp = "partner = @my.company"
local mine = comp .. " and (responsible = @me or created_by = @me or registration.author = @me)"
local colleagues = comp .. " and direction.portal.colleagues = true"
local open = 'state in ("draft", "needs_info")'

local shown = {
  opportunity = {
    "name", "company", "contact", "partner", "direction", "products", "amount", "currency", "close_date", "stage", "lifecycle_step", "status", "registration",
  },
  registration = {
    "partner", "author", "direction", "client_name", "client_tax_id", "client_contact", "client_email", "client_phone", "products", "amount", "currency", "close_date",
    "description", "state", "reason", "protected_until", "extended", "opportunity",
  },
  company = { "name", "legal_name", "tax_id", "site", "address" },
  contact = { "name", "position", "email", "phone", "company" },
  partner = {
    "name", "legal_name", "tax_id", "industry", "size", "site", "address", "level", "direction", "directions", "supervisor", "agreement_from", "agreement_to", "status",
  },
  line = { "opportunity", "product", "quantity", "price", "total" },
  document = { "name", "kind", "record", "edition", "size", "file" },
  activity = { "kind", "record", "when", "duration" },
  product = { "code", "name", "kind", "unit", "direction", "description" },
  content = { "title", "kind", "direction", "language", "text", "file", "link", "edition" },
}
local asked = { -- what a partner says when registering a deal
  "partner", "direction", "client_name", "client_tax_id", "client_contact", "client_email", "client_phone", "products", "amount", "currency", "close_date", "description",
}
local published = "published = true and partner_level in @my.levels"
local deals = { "opportunity", "registration" }

local function partner_staff()
  return {
    oneself(),
    allow { "read", "user", where = comp, fields = { "name" } },
    allow { "read", "partner", where = "id = @my.company", fields = shown.partner },
    allow { "read", "company", of = "opportunity.company", fields = shown.company },
    allow { "read", "contact", of = "opportunity.contact", fields = shown.contact },
    allow { "read", "product", where = published, fields = shown.product },
    allow { "read", "price", follow = "product" },
    allow { "read", "content", where = published, fields = shown.content },
    allow { "read", "line", follow = "opportunity", fields = shown.line },
    allow { "read", "stage_change", follow = "opportunity", fields = { "opportunity", "from", "to", "at" } },
    allow { "read", "comment", follow = "record", to = deals, where = "internal = false" },
    allow { "create", "comment", follow = "record", to = deals, where = "internal = false", fields = { "record", "text", "internal" } },
    allow { "read", "document", follow = "record", to = deals, fields = shown.document },
    allow { "create", "document", follow = "record", to = deals, fields = shown.document },
    allow { "read", "activity", follow = "record", to = deals, where = 'kind in ("call", "meeting")', fields = shown.activity },
    allow { "read", "folder", follow = "record", to = deals, fields = { "record", "link", "state" } },
    allow { "create", "registration", where = comp .. ' and state = "draft"', fields = asked },
  }
end

role "crm_partner_supervisor" {
  label = { en = "Supervisor at a partner", ru = "Руководитель у партнёра" },
  partner = true,
  partner_staff(),
  allow { "read", "opportunity", where = comp, fields = shown.opportunity },
  allow { "read", "registration", where = comp, fields = shown.registration },
  allow { "update", "registration", where = comp .. " and " .. open, fields = asked },
  allow { "read", "certification" },
  allow { "read", "certificate", where = comp },
  allow { "update", "partner", where = "id = @my.company", fields = { "site", "address", "supervisor" } },

  -- Staff: of one's own company, with the roles of partners. Nobody outside the vendor can hold another (role "…" { partner = true }).
  allow { "read", "user", where = comp, fields = except { "manager", "direction", "directions", "groups" } },
  allow { { "create", "update" }, "user", where = comp,
    fields = { "login", "name", "email", "phone", "language", "time_zone", "roles", "partner", "deputy", "absent_from", "absent_to" } },
}

role "crm_partner" {
  label = { en = "Partner employee", ru = "Сотрудник партнёра" },
  partner = true,
  partner_staff(),
  allow { "read", "opportunity", where = mine, fields = shown.opportunity },
  allow { "read", "opportunity", where = colleagues, fields = shown.opportunity },
  allow { "read", "registration", where = comp .. " and (author = @me or created_by = @me)", fields = shown.registration },
  allow { "read", "registration", where = colleagues, fields = shown.registration },
  allow { "update", "registration", where = comp .. " and (author = @me or created_by = @me) and " .. open, fields = asked },
  allow { "read", "certification" },
  allow { "read", "certificate", where = "holder.user = @me" },
}
