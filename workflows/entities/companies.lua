-- companies.lua: decides what we know of those we sell to and those we sell through: companies, partners and the people there.

local valid_tax_id = require "lib.tax_id"

local status = function()
  return option { { "prospect", en = "Prospect", ru = "Потенциальный клиент" }, { "client", en = "Client", ru = "Клиент" },
    { "former", en = "Former client", ru = "Бывший клиент" }, label = { en = "Status", ru = "Статус" }, default = "prospect" }
end

entity "company" {
  label = { en = "Company", ru = "Компания" },
  plural = { en = "Companies", ru = "Компании", path = "companies" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    legal_name = text { label = { en = "Legal name", ru = "Юридическое название" }, search = true, max = 300 },
    tax_id = text { label = { en = "Tax id", ru = "ИНН" }, unique = true, search = true, max = 20, validate = valid_tax_id,
      help = { en = "10 or 12 digits; a foreign one has letters", ru = "10 или 12 цифр; иностранный — с буквами" } },
    industry = ref { to = "industry", label = { en = "Industry", ru = "Отрасль" } },
    size = integer { label = { en = "Employees", ru = "Сотрудников" }, min = 0 },
    site = url { label = { en = "Site", ru = "Сайт" } },
    address = longtext { label = { en = "Address", ru = "Адрес" }, max = 1000 },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    responsible = ref { to = "user", label = { en = "Responsible", ru = "Ответственный" }, default = "@me" },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    lifecycle_step = ref { to = "lifecycle_step", label = { en = "Lifecycle step", ru = "Шаг жизненного цикла" } },
    status = status(),
    name_key = text { label = { en = "Name for comparing", ru = "Название для сравнения" }, readonly = true, max = 300 },
    domain = text { label = { en = "Domain", ru = "Домен" }, readonly = true, max = 200 },
    folder = ref { to = "folder", label = { en = "Folder", ru = "Папка" }, readonly = true },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
  },
  index = { { "direction", "responsible" }, { "partner" }, { "name_key" }, { "domain" } },
  views = {
    list = { "name", "tax_id", "industry", "responsible", "lifecycle_step", "status" },
    form = {
      { label = { en = "Company", ru = "Компания" }, fields = { "name", "legal_name", "tax_id", "industry", "size", "site", "address", "description" } },
      { label = { en = "Work", ru = "Работа" }, fields = { "direction", "responsible", "partner", "lifecycle_step", "status", "folder" } },
    },
    card = { "name", "tax_id", "responsible" },
  },
}

entity "partner" {
  label = { en = "Partner", ru = "Партнёр" },
  plural = { en = "Partners", ru = "Партнёры", path = "partners" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    legal_name = text { label = { en = "Legal name", ru = "Юридическое название" }, search = true, max = 300 },
    tax_id = text { label = { en = "Tax id", ru = "ИНН" }, unique = true, search = true, max = 20, validate = valid_tax_id,
      help = { en = "10 or 12 digits; a foreign one has letters", ru = "10 или 12 цифр; иностранный — с буквами" } },
    industry = ref { to = "industry", label = { en = "Industry", ru = "Отрасль" } },
    size = integer { label = { en = "Employees", ru = "Сотрудников" }, min = 0 },
    site = url { label = { en = "Site", ru = "Сайт" } },
    address = longtext { label = { en = "Address", ru = "Адрес" }, max = 1000 },
    level = option { { "registered", en = "Registered", ru = "Зарегистрированный" }, { "silver", en = "Silver", ru = "Серебряный" },
      { "gold", en = "Gold", ru = "Золотой" }, { "platinum", en = "Platinum", ru = "Платиновый" }, label = { en = "Level", ru = "Уровень" }, default = "registered" },
    direction = ref { to = "direction", label = { en = "Main direction", ru = "Основное направление" }, default = "@my.direction" },
    directions = refs { to = "direction", label = { en = "Directions", ru = "Направления" } },
    responsible = ref { to = "user", label = { en = "Account manager", ru = "Менеджер партнёра" }, default = "@me" },
    supervisor = ref { to = "user", label = { en = "Supervisor at the partner", ru = "Руководитель у партнёра" } },
    agreement_from = date { label = { en = "Agreement from", ru = "Договор с" } },
    agreement_to = date { label = { en = "Agreement to", ru = "Договор по" } },
    status = option { { "candidate", en = "Candidate", ru = "Кандидат" }, { "partner", en = "Partner", ru = "Партнёр" }, { "former", en = "Former partner", ru = "Бывший партнёр" },
      label = { en = "Status", ru = "Статус" }, default = "partner" },
    lifecycle_step = ref { to = "lifecycle_step", label = { en = "Lifecycle step", ru = "Шаг жизненного цикла" } },
    folder = ref { to = "folder", label = { en = "Folder", ru = "Папка" }, readonly = true },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
  },
  index = { { "direction", "responsible" } },
  views = {
    list = { "name", "level", "responsible", "direction", "agreement_to" },
    form = {
      { label = { en = "Partner", ru = "Партнёр" }, fields = { "name", "legal_name", "tax_id", "industry", "size", "site", "address", "description" } },
      { label = { en = "Partnership", ru = "Партнёрство" }, fields = { "level", "direction", "directions", "responsible", "supervisor", "agreement_from", "agreement_to", "status" } },
    },
    card = { "name", "level", "responsible" },
  },
}

entity "contact" {
  label = { en = "Contact", ru = "Контакт" },
  plural = { en = "Contacts", ru = "Контакты", path = "contacts" },
  fields = {
    name = text { label = { en = "Name", ru = "Имя" }, required = true, search = true, max = 200 },
    position = text { label = { en = "Position", ru = "Должность" }, search = true, max = 200 },
    email = email { label = { en = "E-mail", ru = "Почта" }, search = true },
    emails = json { label = { en = "More e-mails", ru = "Другие адреса почты" } },
    phone = phone { label = { en = "Phone", ru = "Телефон" } },
    phones = json { label = { en = "More phones", ru = "Другие телефоны" } },
    company = ref { to = "company", label = { en = "Company", ru = "Компания" } },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    user = ref { to = "user", label = { en = "Signs in as", ru = "Входит как" }, help = { en = "For a partner's staff", ru = "Для сотрудников партнёра" } },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    responsible = ref { to = "user", label = { en = "Responsible", ru = "Ответственный" }, default = "@me" },
    decision_role = option { { "decides", en = "Decides", ru = "Принимает решение" }, { "influences", en = "Influences", ru = "Влияет на решение" },
      { "uses", en = "Uses", ru = "Использует" }, { "pays", en = "Pays", ru = "Платит" }, label = { en = "Part in the decision", ru = "Роль в решении" } },
    domain = text { label = { en = "Domain", ru = "Домен" }, readonly = true, max = 200 },
    consent = boolean { label = { en = "Agrees to mailings", ru = "Согласен на рассылки" }, default = false },
    language = option { { "en", en = "English", ru = "Английский" }, { "ru", en = "Russian", ru = "Русский" }, label = { en = "Language", ru = "Язык" } },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
  },
  index = { { "company" }, { "direction", "responsible" }, { "email" }, { "domain" } },
  views = {
    list = { "name", "position", "company", "email", "phone" },
    form = {
      { label = { en = "Contact", ru = "Контакт" }, fields = { "name", "position", "company", "partner", "decision_role", "email", "emails", "phone", "phones" } },
      { label = { en = "Work", ru = "Работа" }, fields = { "direction", "responsible", "language", "consent", "user", "description" } },
    },
    card = { "name", "position", "company" },
  },
}
