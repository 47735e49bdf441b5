-- roles.lua: who may do what. Everything not allowed here is denied. Relations: own (responsible or author is me), team (responsible is one of my
-- reports), dir (direction is one of mine), acct (its partner's account manager is me), comp (its partner is my company).

local own = "responsible = @me or created_by = @me"
local own_team = own .. " or responsible in @my.reports"
local dir = "direction in @my.directions"
local dir_team = dir .. " or responsible in @my.reports"
local acct = "partner.responsible = @me"

local settings = { "direction", "stage", "lifecycle_step", "chain", "chain_step", "product", "currency", "lost_reason", "industry", "role" }
local hanging = { "document", "task", "comment" }

-- What every employee of the vendor has.
local function employee()
  return {
    allow { "read", settings },
    allow { "read", "user", fields = { "login", "name", "email", "phone", "manager", "direction", "partner", "language" } },
    allow { "read", "user", where = "id = @me" },
    allow { "update", "user", where = "id = @me", fields = { "phone", "language", "time_zone", "deputy", "absent_from", "absent_to" } },
    allow { "read", "group" },
    allow { { "create", "read", "delete" }, "token" },
    allow { { "create", "read", "update" }, hanging, follow = "record" },
    allow { { "read", "update" }, "task", where = "assignee = @me" },
    allow { { "create", "read", "update", "delete" }, "line", follow = "opportunity" },
    allow { "read", "stage_change", follow = "opportunity" },
  }
end

role "crm_admin" { label = { en = "Administrator", ru = "Администратор" }, all = "write" }
role "crm_read_admin" { label = { en = "Read-only administrator", ru = "Администратор без изменений" }, all = "read" }

role "crm_manager" {
  label = { en = "Sales manager", ru = "Руководитель продаж" },
  employee(),
  allow { "create", { "opportunity", "company", "contact", "partner" } },
  allow { { "read", "update" }, { "opportunity", "company", "contact" }, where = dir_team },
  allow { "delete", { "opportunity", "company", "contact" }, where = dir },
  allow { "read", "partner" },
  allow { "update", "partner", where = dir },
  allow { "update", "product", where = dir },
  allow { "update", "user", where = "id in @my.reports", fields = except { "roles", "login", "groups", "partner" } },
}

role "crm_sales" {
  label = { en = "Salesperson", ru = "Продавец" },
  employee(),
  allow { "create", { "opportunity", "company", "contact", "partner" } },
  allow { "read", { "opportunity", "company", "contact", "partner" }, where = dir .. " or " .. own },
  allow { "update", { "opportunity", "company", "contact" }, where = own_team },
  allow { "update", "partner", where = own },
}

-- Account managers of partners and presale have the same rights, always.
local function account()
  return {
    employee(),
    allow { "create", { "opportunity", "company", "contact" }, where = acct },
    allow { "read", { "opportunity", "company", "contact" }, where = dir },
    allow { "update", { "opportunity", "company", "contact" }, where = acct },
    allow { "create", "partner" },
    allow { "read", "partner", where = dir .. " or " .. own },
    allow { "update", "partner", where = own },
  }
end

role "crm_pam" { label = { en = "Partner account manager", ru = "Менеджер по партнёрам" }, account() }
role "crm_presale" { label = { en = "Presale engineer", ru = "Пресейл-инженер" }, account() }

role "crm_marketeer" {
  label = { en = "Marketeer", ru = "Маркетолог" },
  employee(),
  allow { "read", "opportunity", where = dir },
  allow { "create", { "company", "contact", "partner" } },
  allow { "read", { "company", "contact" } },
  allow { "read", "partner", where = dir },
  allow { "update", "contact", fields = { "consent", "language" } },
}

role "crm_certificate_manager" {
  label = { en = "Certification manager", ru = "Менеджер по сертификации" },
  employee(),
  allow { "read", { "company", "contact", "partner" } },
}

-- Partner staff see their own company's deals, and only the fields that a portal shows.
local shown = { "number", "name", "company", "partner", "direction", "stage", "lifecycle_step", "status", "amount", "currency", "close_date" }

local function partner_staff()
  return {
    allow { "read", { "direction", "stage", "lifecycle_step", "product", "currency" } },
    allow { "read", "user", where = "partner = @my.company", fields = { "name", "email", "phone", "partner" } },
    allow { "read", "user", where = "id = @me" },
    allow { "update", "user", where = "id = @me", fields = { "phone", "language", "time_zone" } },
    allow { "read", "partner", where = "id = @my.company", fields = { "name", "legal_name", "site", "level", "directions", "responsible", "supervisor" } },
    allow { "read", { "document", "comment" }, follow = "record", where = "created_by = @me" },
  }
end

role "crm_partner_supervisor" {
  partner = true,
  label = { en = "Supervisor at a partner", ru = "Руководитель у партнёра" },
  partner_staff(),
  allow { "read", "opportunity", where = "partner = @my.company", fields = shown },
  allow { "read", "company", where = "partner = @my.company", fields = { "name", "partner" } },
  allow { "update", "partner", where = "id = @my.company", fields = { "site", "address", "supervisor" } },
  allow { { "create", "update" }, "user", where = "partner = @my.company", fields = except { "groups", "manager", "direction", "directions" } },
}

role "crm_partner" {
  partner = true,
  label = { en = "Partner employee", ru = "Сотрудник партнёра" },
  partner_staff(),
  allow { "read", "opportunity", where = "partner = @my.company and created_by = @me", fields = shown },
}
