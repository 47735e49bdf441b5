-- settings.lua: decides what an administrator keeps in Settings: stages, lifecycle steps, chains, products, prices, currencies, reasons.
-- All are records: they are made, changed and imported at run time, and work at once.

-- A setting has a code, by which others refer to it, and a name in both languages.
local function setting(label, plural, fields, form)
  local all = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 120 },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, search = true, max = 200 },
  }
  local shown = { "code", "name" }
  for name, field in pairs(fields) do all[name] = field end
  for _, name in ipairs(form or {}) do shown[#shown + 1] = name end
  local views = { list = shown, form = { { label = label, fields = shown } }, card = { "name" } }
  return { label = label, plural = plural, title = "name", delete = "allow", fields = all, views = views }
end

local order = function() return integer { label = { en = "Order", ru = "Порядок" }, default = 0 } end

entity "lifecycle_step"(setting({ en = "Lifecycle step", ru = "Шаг жизненного цикла" }, { en = "Lifecycle steps", ru = "Шаги жизненного цикла", path = "lifecycle_steps" }, {
  order = order(),
}, { "order" }))

entity "stage"(setting({ en = "Stage", ru = "Этап" }, { en = "Stages", ru = "Этапы", path = "stages" }, {
  pipeline = text { label = { en = "Pipeline", ru = "Воронка" }, default = "sales", max = 60 },
  order = order(),
  probability = percent { label = { en = "Least probability", ru = "Минимальная вероятность" }, default = 0 },
  lifecycle_step = ref { to = "lifecycle_step", label = { en = "Lifecycle step", ru = "Шаг жизненного цикла" } },
  require = json { label = { en = "Fields to enter", ru = "Поля для входа" } },
  documents = json { label = { en = "Documents to enter", ru = "Документы для входа" } },
  chain = ref { to = "chain", label = { en = "Task chain", ru = "Цепочка задач" } },
  skippable = boolean { label = { en = "May be skipped by a manager", ru = "Руководитель может пропустить" }, default = false },
}, { "pipeline", "order", "probability", "lifecycle_step", "require", "documents", "chain", "skippable" }))

entity "chain"(setting({ en = "Task chain", ru = "Цепочка задач" }, { en = "Task chains", ru = "Цепочки задач", path = "chains" }, {
  stage = ref { to = "stage", label = { en = "Starts in the stage", ru = "Начинается на этапе" } },
  direction = ref { to = "direction", label = { en = "Kept by the direction", ru = "Ведёт направление" },
    help = { en = "Its managers may change the chain", ru = "Его руководители могут менять цепочку" } },
}, { "stage", "direction" }))

entity "chain_step" {
  label = { en = "Step of a chain", ru = "Шаг цепочки" },
  plural = { en = "Steps of chains", ru = "Шаги цепочек", path = "chain_steps" },
  title = "title",
  delete = "allow",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 120 },
    chain = ref { to = "chain", label = { en = "Chain", ru = "Цепочка" }, required = true },
    title = text { label = { en = "Title", ru = "Название" }, required = true, localized = true, max = 300 },
    order = order(),
    after = json { label = { en = "After the steps", ru = "После шагов" } },
    due = text { label = { en = "Due", ru = "Срок" }, max = 60, help = { en = "2d, or 5d after call: working days", ru = "2d или 5d after call: рабочие дни" } },
    assignee = json { label = { en = "Assignee", ru = "Исполнитель" },
      help = { en = 'A field of the record, or {"role": …}, {"group": …} with "pick": "round_robin" or "least_busy"',
        ru = 'Поле записи или {"role": …}, {"group": …} и "pick": "round_robin" либо "least_busy"' } },
    blocking = boolean { label = { en = "Blocks the next stage", ru = "Блокирует следующий этап" }, default = false },
    only_if = text { label = { en = "Only if", ru = "Только если" }, max = 1000, help = { en = "A filter on the record: no task without it", ru = "Фильтр по записи: иначе задачи нет" } },
  },
  index = { { "chain", "order" } },
  views = {
    list = { "code", "chain", "title", "order", "due", "blocking" },
    form = { { label = { en = "Step", ru = "Шаг" }, fields = { "code", "chain", "title", "order", "after", "due", "assignee", "blocking", "only_if" } } },
    card = { "title", "due" },
  },
}

entity "product"(setting({ en = "Product", ru = "Продукт" }, { en = "Products", ru = "Продукты", path = "products" }, {
  kind = option { { "licence", en = "Licence", ru = "Лицензия" }, { "subscription", en = "Subscription", ru = "Подписка" }, { "service", en = "Service", ru = "Услуга" },
    { "hardware", en = "Hardware", ru = "Оборудование" }, label = { en = "Kind", ru = "Вид" } },
  unit = text { label = { en = "Unit", ru = "Единица" }, max = 30 },
  direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" } },
  published = boolean { label = { en = "Shown to partners", ru = "Показывается партнёрам" }, default = true },
  partner_level = option { { "registered", en = "Registered", ru = "Зарегистрированный" }, { "silver", en = "Silver", ru = "Серебряный" }, { "gold", en = "Gold", ru = "Золотой" },
    { "platinum", en = "Platinum", ru = "Платиновый" }, label = { en = "From the partner level", ru = "С уровня партнёра" }, default = "registered" },
  description = longtext { label = { en = "Description", ru = "Описание" } },
}, { "kind", "unit", "direction", "published", "partner_level", "description" }))

entity "price" {
  label = { en = "Price", ru = "Цена" },
  plural = { en = "Prices", ru = "Цены", path = "prices" },
  title = "product",
  delete = "allow",
  fields = {
    product = ref { to = "product", label = { en = "Product", ru = "Продукт" }, required = true },
    currency = ref { to = "currency", label = { en = "Currency", ru = "Валюта" }, required = true, default = "RUB" },
    price = money { label = { en = "Price", ru = "Цена" }, currency = "currency", required = true, min = 0 },
    date = date { label = { en = "From", ru = "С" }, required = true, default = "@today" },
  },
  unique = { { "product", "currency", "date" } },
  views = {
    list = { "product", "currency", "price", "date" },
    form = { { label = { en = "Price", ru = "Цена" }, fields = { "product", "currency", "price", "date" } } },
    card = { "product", "price", "currency" },
  },
}

entity "currency"(setting({ en = "Currency", ru = "Валюта" }, { en = "Currencies", ru = "Валюты", path = "currencies" }, {
  symbol = text { label = { en = "Symbol", ru = "Символ" }, max = 5 },
  main = boolean { label = { en = "Main currency", ru = "Основная валюта" }, default = false },
}, { "symbol", "main" }))

entity "currency_rate" {
  label = { en = "Exchange rate", ru = "Курс валюты" },
  plural = { en = "Exchange rates", ru = "Курсы валют", path = "currency_rates" },
  title = "currency",
  delete = "allow",
  fields = {
    currency = ref { to = "currency", label = { en = "Currency", ru = "Валюта" }, required = true },
    date = date { label = { en = "From", ru = "С" }, required = true, default = "@today" },
    rate = decimal { label = { en = "Rate", ru = "Курс" }, scale = 6, required = true, min = 0,
      help = { en = "How much of the main currency one unit costs", ru = "Сколько стоит единица в основной валюте" } },
  },
  unique = { { "currency", "date" } },
  views = { list = { "currency", "date", "rate" }, form = { { label = { en = "Rate", ru = "Курс" }, fields = { "currency", "date", "rate" } } }, card = { "currency", "rate", "date" } },
}

entity "holiday" {
  label = { en = "Day off", ru = "Нерабочий день" },
  plural = { en = "Days off", ru = "Нерабочие дни", path = "holidays" },
  delete = "allow",
  fields = {
    date = date { label = { en = "Day", ru = "День" }, required = true, unique = true },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, max = 200 },
    working = boolean { label = { en = "A working day after all", ru = "Рабочий день" }, default = false,
      help = { en = "For a weekend that is worked", ru = "Для рабочей субботы или воскресенья" } },
  },
  views = { list = { "date", "name", "working" }, form = { { label = { en = "Day", ru = "День" }, fields = { "date", "name", "working" } } }, card = { "date", "name" } },
}

-- ---- reasons and other lists ----

entity "lost_reason"(setting({ en = "Reason of loss", ru = "Причина проигрыша" }, { en = "Reasons of loss", ru = "Причины проигрыша", path = "lost_reasons" }, {
  asks_competitor = boolean { label = { en = "Asks for the competitor", ru = "Спрашивать конкурента" }, default = false },
}, { "asks_competitor" }))

entity "status_reason"(setting({ en = "Reason of a status", ru = "Причина статуса" }, { en = "Reasons of statuses", ru = "Причины статусов", path = "status_reasons" }, {
  status = option { { "open", en = "Open", ru = "Открыта" }, { "in_progress", en = "In progress", ru = "В работе" }, { "on_hold", en = "On hold", ru = "Отложена" },
    { "won", en = "Won", ru = "Выиграна" }, { "lost", en = "Lost", ru = "Проиграна" }, label = { en = "Of the status", ru = "Для статуса" }, required = true },
}, { "status" }))

entity "lead_reason"(setting({ en = "Reason at a lead", ru = "Причина по интересу" }, { en = "Reasons at leads", ru = "Причины по интересам", path = "lead_reasons" }, {
  status = option { { "disqualified", en = "Disqualified", ru = "Отклонён" }, { "dropped", en = "Dropped", ru = "Прекращён" }, label = { en = "Of the status", ru = "Для статуса" } },
}, { "status" }))

entity "lead_source"(setting({ en = "Source of leads", ru = "Источник интересов" }, { en = "Sources of leads", ru = "Источники интересов", path = "lead_sources" }, {}))
entity "industry"(setting({ en = "Industry", ru = "Отрасль" }, { en = "Industries", ru = "Отрасли", path = "industries" }, {}))
entity "document_kind"(setting({ en = "Kind of document", ru = "Вид документа" }, { en = "Kinds of documents", ru = "Виды документов", path = "document_kinds" }, {
  order = order(),
}, { "order" }))
