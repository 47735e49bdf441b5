-- companies.lua: those we sell to and those we sell through: companies, partners and the people there.

-- Russian tax ids have check digits: one for organisations (10 digits), two for persons (12). A foreign id has a letter in it.
local function check_digit(id, weights)
  local sum = 0
  for i, weight in ipairs(weights) do
    sum = sum + weight * tonumber(string.sub(id, i, i))
  end
  return sum % 11 % 10
end

local wrong = { en = "is not a valid tax id: the check digits do not fit", ru = ": контрольные цифры ИНН не сходятся" }

local function valid_tax_id(id)
  if string.find(id, "%a") and #id >= 4 and #id <= 20 then return nil end
  if not string.find(id, "^%d+$") then return wrong end
  local digit = function(i) return tonumber(string.sub(id, i, i)) end
  if #id == 10 then
    if check_digit(id, { 2, 4, 10, 3, 5, 9, 4, 6, 8 }) == digit(10) then return nil end
  elseif #id == 12 then
    local first = check_digit(id, { 7, 2, 4, 10, 3, 5, 9, 4, 6, 8 }) == digit(11)
    if first and check_digit(id, { 3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8 }) == digit(12) then return nil end
  end
  return wrong
end

entity "company" {
  label = { en = "Company", ru = "Компания" },
  plural = { en = "Companies", ru = "Компании", path = "companies" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    legal_name = text { label = { en = "Legal name", ru = "Юридическое название" }, search = true, max = 300 },
    tax_id = text { label = { en = "Tax id", ru = "ИНН" }, unique = true, search = true, max = 20, validate = valid_tax_id },
    industry = ref { to = "industry", label = { en = "Industry", ru = "Отрасль" } },
    size = integer { label = { en = "Employees", ru = "Сотрудников" }, min = 0 },
    site = url { label = { en = "Site", ru = "Сайт" } },
    address = longtext { label = { en = "Address", ru = "Адрес" }, max = 1000 },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    responsible = ref { to = "user", label = { en = "Responsible", ru = "Ответственный" }, default = "@me" },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    lifecycle_step = ref { to = "lifecycle_step", label = { en = "Lifecycle step", ru = "Шаг жизненного цикла" } },
    status = option { "prospect", "client", "former", label = { en = "Status", ru = "Статус" }, default = "prospect",
      labels = { prospect = { en = "Prospect", ru = "Потенциальный" }, client = { en = "Client", ru = "Клиент" }, former = { en = "Former client", ru = "Бывший клиент" } } },
  },
  views = {
    list = { "name", "tax_id", "industry", "responsible", "lifecycle_step" },
    form = { { label = { en = "Company", ru = "Компания" }, fields = { "name", "legal_name", "tax_id", "industry", "size", "site", "address" } },
      { label = { en = "Work", ru = "Работа" }, fields = { "direction", "responsible", "partner", "lifecycle_step", "status" } } },
  },
}

entity "partner" {
  label = { en = "Partner", ru = "Партнёр" },
  plural = { en = "Partners", ru = "Партнёры", path = "partners" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    legal_name = text { label = { en = "Legal name", ru = "Юридическое название" }, search = true, max = 300 },
    tax_id = text { label = { en = "Tax id", ru = "ИНН" }, unique = true, search = true, max = 20, validate = valid_tax_id },
    level = option { "registered", "silver", "gold", "platinum", label = { en = "Level", ru = "Уровень" }, default = "registered" },
    site = url { label = { en = "Site", ru = "Сайт" } },
    address = longtext { label = { en = "Address", ru = "Адрес" }, max = 1000 },
    direction = ref { to = "direction", label = { en = "Main direction", ru = "Основное направление" }, default = "@my.direction" },
    directions = refs { to = "direction", label = { en = "Directions", ru = "Направления" } },
    responsible = ref { to = "user", label = { en = "Account manager", ru = "Менеджер партнёра" }, default = "@me" },
    supervisor = ref { to = "user", label = { en = "Supervisor at the partner", ru = "Руководитель у партнёра" } },
    agreement_from = date { label = { en = "Agreement from", ru = "Договор с" } },
    agreement_to = date { label = { en = "Agreement to", ru = "Договор по" } },
  },
  views = { list = { "name", "level", "responsible", "direction" } },
}

entity "contact" {
  label = { en = "Contact", ru = "Контакт" },
  plural = { en = "Contacts", ru = "Контакты", path = "contacts" },
  fields = {
    name = text { label = { en = "Name", ru = "Имя" }, required = true, search = true, max = 200 },
    position = text { label = { en = "Position", ru = "Должность" }, search = true, max = 200 },
    email = email { label = { en = "E-mail", ru = "Почта" }, search = true },
    phone = phone { label = { en = "Phone", ru = "Телефон" } },
    company = ref { to = "company", label = { en = "Company", ru = "Компания" } },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    responsible = ref { to = "user", label = { en = "Responsible", ru = "Ответственный" }, default = "@me" },
    decision_role = option { "decides", "influences", "uses", "pays", label = { en = "Part in the decision", ru = "Роль в решении" } },
    consent = boolean { label = { en = "Agrees to mailings", ru = "Согласен на рассылки" }, default = false },
    language = option { "en", "ru", label = { en = "Language", ru = "Язык" } },
  },
  views = { list = { "name", "position", "company", "email", "phone" } },
}

-- A partner's staff: nobody outside the vendor may hold a vendor's role, whoever grants it.
local partner_roles = { crm_partner = true, crm_partner_supervisor = true }

local function only_partner_roles(user)
  if not user.partner then return end
  for _, code in ipairs(user.roles or {}) do
    if not partner_roles[code] then
      reject("partner_role", { en = "Partner staff can hold partner roles only", ru = "Сотруднику партнёра доступны только партнёрские роли" }, { field = "roles" })
    end
  end
end

on("user", "before_create", only_partner_roles)
on("user", "before_change", only_partner_roles)
