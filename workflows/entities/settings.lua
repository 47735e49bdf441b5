-- settings.lua: what an administrator keeps in Settings: stages, lifecycle steps, chains, products, currencies, reasons. All are records.

local function setting(label, plural, fields)
  local all = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 60 },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, search = true, max = 200 },
  }
  for name, field in pairs(fields) do all[name] = field end
  return { label = label, plural = plural, title = "name", delete = "allow", fields = all }
end

entity "lifecycle_step"(setting({ en = "Lifecycle step", ru = "Шаг жизненного цикла" }, { en = "Lifecycle steps", ru = "Шаги жизненного цикла", path = "lifecycle_steps" }, {
  order = integer { label = { en = "Order", ru = "Порядок" }, default = 0 },
}))

entity "stage"(setting({ en = "Stage", ru = "Этап" }, { en = "Stages", ru = "Этапы", path = "stages" }, {
  pipeline = text { label = { en = "Pipeline", ru = "Воронка" }, default = "sales", max = 60 },
  order = integer { label = { en = "Order", ru = "Порядок" }, default = 0 },
  probability = percent { label = { en = "Least probability", ru = "Минимальная вероятность" }, default = 0 },
  lifecycle_step = ref { to = "lifecycle_step", label = { en = "Lifecycle step", ru = "Шаг жизненного цикла" } },
  require = json { label = { en = "Fields to enter", ru = "Поля для входа" } },
  documents = json { label = { en = "Documents to enter", ru = "Документы для входа" } },
  chain = ref { to = "chain", label = { en = "Task chain", ru = "Цепочка задач" } },
  skippable = boolean { label = { en = "May be skipped by a manager", ru = "Руководитель может пропустить" }, default = false },
}))

entity "chain"(setting({ en = "Task chain", ru = "Цепочка задач" }, { en = "Task chains", ru = "Цепочки задач", path = "chains" }, {}))

entity "chain_step" {
  label = { en = "Step of a chain", ru = "Шаг цепочки" },
  plural = { en = "Steps of chains", ru = "Шаги цепочек", path = "chain_steps" },
  title = "title",
  delete = "allow",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 120 },
    chain = ref { to = "chain", label = { en = "Chain", ru = "Цепочка" } },
    title = text { label = { en = "Title", ru = "Название" }, localized = true, max = 300 },
    order = integer { label = { en = "Order", ru = "Порядок" }, default = 0 },
    after = json { label = { en = "After the steps", ru = "После шагов" } },
    due = text { label = { en = "Due", ru = "Срок" }, max = 60, help = { en = "2d, or 5d after call", ru = "2d или 5d after call" } },
    assignee = json { label = { en = "Assignee", ru = "Исполнитель" } },
    blocking = boolean { label = { en = "Blocks the next stage", ru = "Блокирует следующий этап" }, default = false },
  },
}

entity "product"(setting({ en = "Product", ru = "Продукт" }, { en = "Products", ru = "Продукты", path = "products" }, {
  kind = option { "licence", "subscription", "service", "hardware", label = { en = "Kind", ru = "Вид" } },
  unit = text { label = { en = "Unit", ru = "Единица" }, max = 30 },
  direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" } },
}))

entity "currency"(setting({ en = "Currency", ru = "Валюта" }, { en = "Currencies", ru = "Валюты", path = "currencies" }, {}))
entity "lost_reason"(setting({ en = "Reason of loss", ru = "Причина проигрыша" }, { en = "Reasons of loss", ru = "Причины проигрыша", path = "lost_reasons" }, {
  asks_competitor = boolean { label = { en = "Asks for the competitor", ru = "Спрашивать конкурента" }, default = false },
}))
entity "industry"(setting({ en = "Industry", ru = "Отрасль" }, { en = "Industries", ru = "Отрасли", path = "industries" }, {}))

entity "stage_change" {
  label = { en = "Stage change", ru = "Смена этапа" },
  plural = { en = "Stage changes", ru = "Смены этапов", path = "stage_changes" },
  title = "to",
  server = true,
  fields = {
    opportunity = ref { to = "opportunity", label = { en = "Opportunity", ru = "Сделка" } },
    from = text { label = { en = "From", ru = "С этапа" } },
    to = text { label = { en = "To", ru = "На этап" } },
    at = datetime { label = { en = "At", ru = "Когда" } },
    by = ref { to = "user", label = { en = "By", ru = "Кто" } },
    seconds = integer { label = { en = "Seconds in the stage before", ru = "Секунд на прежнем этапе" } },
  },
}
