-- partnering.lua: decides what we keep about selling through partners: registered deals, portals, certifications and certificates.

entity "registration" {
  label = { en = "Deal registration", ru = "Регистрация сделки" },
  plural = { en = "Deal registrations", ru = "Регистрации сделок", path = "registrations" },
  number = "REG",
  title = "client_name",
  delete = "allow", -- a draft; anything else is kept (workflows/registrations.lua)
  fields = {
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" }, required = true, default = "@my.company" },
    author = ref { to = "user", label = { en = "Author", ru = "Автор" }, default = "@me", fixed = true },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, required = true, default = "@my.direction" },
    responsible = ref { to = "user", label = { en = "Reviewed by", ru = "Рассматривает" } },
    client_name = text { label = { en = "Client", ru = "Клиент" }, required = true, search = true, max = 200 },
    client_tax_id = text { label = { en = "Client's tax id", ru = "ИНН клиента" }, search = true, max = 20, validate = require "lib.tax_id" },
    client_contact = text { label = { en = "Contact at the client", ru = "Контакт у клиента" }, max = 200 },
    client_email = email { label = { en = "Contact's e-mail", ru = "Почта контакта" } },
    client_phone = phone { label = { en = "Contact's phone", ru = "Телефон контакта" } },
    products = refs { to = "product", label = { en = "Products", ru = "Продукты" } },
    amount = money { label = { en = "Amount", ru = "Сумма" }, currency = "currency", min = 0 },
    currency = ref { to = "currency", label = { en = "Currency", ru = "Валюта" }, default = "RUB" },
    close_date = date { label = { en = "Close date", ru = "Дата закрытия" } },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
    state = option { { "draft", en = "Draft", ru = "Черновик" }, { "submitted", en = "Submitted", ru = "Отправлена" }, { "in_review", en = "Under review", ru = "На рассмотрении" },
      { "needs_info", en = "Needs information", ru = "Нужны сведения" }, { "approved", en = "Approved", ru = "Одобрена" }, { "rejected", en = "Rejected", ru = "Отклонена" },
      { "expired", en = "Expired", ru = "Истекла" }, { "converted", en = "Converted", ru = "Стала сделкой" }, label = { en = "State", ru = "Состояние" }, default = "draft", readonly = true },
    reason = text { label = { en = "Reason", ru = "Причина" }, max = 1000 },
    protected_until = date { label = { en = "Protected until", ru = "Защищена до" }, readonly = true },
    extended = boolean { label = { en = "Protection extended", ru = "Защита продлена" }, default = false, readonly = true },
    opportunity = ref { to = "opportunity", label = { en = "Opportunity", ru = "Сделка" }, readonly = true },
    lead = ref { to = "lead", label = { en = "Lead", ru = "Интерес" }, readonly = true },
    client_key = text { label = { en = "Name for comparing", ru = "Название для сравнения" }, readonly = true, max = 300 },
    client_domain = text { label = { en = "Domain", ru = "Домен" }, readonly = true, max = 200 },
    conflicts = json { label = { en = "Possible duplicates", ru = "Возможные дубли" }, readonly = true },
  },
  index = { { "partner", "state" }, { "direction", "state" }, { "client_key" }, { "client_domain" }, { "client_tax_id" } },
  views = {
    list = { "number", "client_name", "partner", "direction", "amount", "state", "protected_until" },
    board = { group_by = "state", sum = "amount", card = { "client_name", "partner", "amount" } },
    form = {
      { label = { en = "Client", ru = "Клиент" }, fields = { "client_name", "client_tax_id", "client_contact", "client_email", "client_phone" } },
      { label = { en = "Deal", ru = "Сделка" }, fields = { "products", "amount", "currency", "close_date", "description" } },
      { label = { en = "Review", ru = "Рассмотрение" }, fields = { "partner", "author", "direction", "responsible", "state", "reason", "protected_until", "opportunity" } },
    },
    card = { "client_name", "state", "amount" },
  },
}

entity "portal" {
  label = { en = "Partner portal", ru = "Партнёрский портал" },
  plural = { en = "Partner portals", ru = "Партнёрские порталы", path = "portals" },
  title = "name",
  delete = "allow",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 60 },
    path = text { label = { en = "Path", ru = "Путь" }, required = true, unique = true, max = 60, help = { en = "/p/{path}", ru = "/p/{path}" },
      validate = function(path)
        if not string.find(path, "^[a-z0-9][a-z0-9-]*$") then return { en = "has small letters, digits and dashes only", ru = ": только строчные латинские буквы, цифры и дефис" } end
      end },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, required = true, unique = true },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, search = true, max = 200 },
    texts = json { label = { en = "Texts", ru = "Тексты" } },
    look = json { label = { en = "Look", ru = "Оформление" } },
    settings = json { label = { en = "Settings", ru = "Настройки" } },
    colleagues = boolean { label = { en = "Employees see their colleagues' deals", ru = "Сотрудники видят сделки коллег" }, default = false },
  },
  views = {
    list = { "name", "path", "direction", "active" },
    form = { { label = { en = "Portal", ru = "Портал" }, fields = { "code", "path", "direction", "name", "texts", "look", "settings", "colleagues" } } },
    card = { "name", "path" },
  },
}

entity "certification" {
  label = { en = "Certification", ru = "Сертификация" },
  plural = { en = "Certifications", ru = "Сертификации", path = "certifications" },
  title = "name",
  delete = "allow",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 60 },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, search = true, max = 200 },
    requirements = text { label = { en = "Requirements", ru = "Требования" }, localized = true, max = 4000 },
    validity = integer { label = { en = "Valid for, months", ru = "Действует, месяцев" }, default = 12, min = 1, max = 240 },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" } },
    product = ref { to = "product", label = { en = "Product", ru = "Продукт" } },
  },
  views = {
    list = { "code", "name", "direction", "product", "validity" },
    form = { { label = { en = "Certification", ru = "Сертификация" }, fields = { "code", "name", "requirements", "validity", "direction", "product" } } },
    card = { "name", "validity" },
  },
}

entity "certificate" {
  label = { en = "Certificate", ru = "Сертификат" },
  plural = { en = "Certificates", ru = "Сертификаты", path = "certificates" },
  number = "CRT",
  title = "number",
  fields = {
    certification = ref { to = "certification", label = { en = "Certification", ru = "Сертификация" }, required = true },
    holder = ref { to = "contact", label = { en = "Holder", ru = "Владелец" }, required = true },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    issued = date { label = { en = "Issued", ru = "Выдан" }, required = true, default = "@today" },
    expires = date { label = { en = "Expires", ru = "Действует до" } },
    state = option { { "issued", en = "Issued", ru = "Выдан" }, { "expired", en = "Expired", ru = "Истёк" }, { "revoked", en = "Revoked", ru = "Отозван" },
      label = { en = "State", ru = "Состояние" }, default = "issued" },
    reason = text { label = { en = "Reason", ru = "Причина" }, max = 500 },
    renews = ref { to = "certificate", label = { en = "Renews", ru = "Продлевает" } },
  },
  index = { { "partner" }, { "holder" }, { "state", "expires" } },
  views = {
    list = { "number", "certification", "holder", "partner", "issued", "expires", "state" },
    form = { { label = { en = "Certificate", ru = "Сертификат" }, fields = { "certification", "holder", "partner", "issued", "expires", "state", "reason", "renews" } } },
    card = { "number", "certification", "expires", "state" },
  },
}
