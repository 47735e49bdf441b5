-- deals.lua: what we sell and to whom: opportunities with their lines, documents, tasks and comments.

entity "opportunity" {
  label = { en = "Opportunity", ru = "Возможная сделка" },
  plural = { en = "Opportunities", ru = "Возможные сделки", path = "opportunities" },
  number = "OPP",
  title = "name",
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    company = ref { to = "company", label = { en = "Company", ru = "Компания" }, required = true },
    contact = ref { to = "contact", label = { en = "Contact", ru = "Контакт" } },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    responsible = ref { to = "user", label = { en = "Responsible", ru = "Ответственный" }, default = "@me" },
    presale = ref { to = "user", label = { en = "Presale", ru = "Пресейл" } },
    products = refs { to = "product", label = { en = "Products", ru = "Продукты" } },
    amount = money { label = { en = "Amount", ru = "Сумма" }, currency = "currency", min = 0 },
    currency = ref { to = "currency", label = { en = "Currency", ru = "Валюта" }, default = "RUB" },
    probability = percent { label = { en = "Probability", ru = "Вероятность" }, default = 0 },
    close_date = date { label = { en = "Close date", ru = "Дата закрытия" } },
    stage = stage { pipeline = "sales", label = { en = "Stage", ru = "Этап" } },
    lifecycle_step = ref { to = "lifecycle_step", label = { en = "Lifecycle step", ru = "Шаг жизненного цикла" }, readonly = true },
    status = option { "open", "in_progress", "on_hold", "won", "lost", label = { en = "Status", ru = "Статус" }, default = "open",
      labels = { open = { en = "Open", ru = "Открыта" }, in_progress = { en = "In progress", ru = "В работе" }, on_hold = { en = "On hold", ru = "Отложена" },
        won = { en = "Won", ru = "Выиграна" }, lost = { en = "Lost", ru = "Проиграна" } } },
    status_reason = text { label = { en = "Reason", ru = "Причина статуса" }, max = 300 },
    lost_reason = ref { to = "lost_reason", label = { en = "Why lost", ru = "Причина проигрыша" } },
    competitor = text { label = { en = "Competitor", ru = "Конкурент" }, max = 200 },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
    weighted = formula { label = { en = "Weighted amount", ru = "Взвешенная сумма" }, type = "money", expr = "amount * probability / 100" },
  },
  index = { { "direction", "stage" }, { "responsible", "stage" } },
  views = {
    list = { "number", "name", "company", "stage", "amount", "probability", "close_date", "responsible" },
    board = { group_by = "stage", sum = "amount", card = { "name", "company", "amount" } },
    form = { { label = { en = "Deal", ru = "Сделка" }, fields = { "name", "company", "contact", "products", "amount", "currency", "probability", "close_date" } },
      { label = { en = "People", ru = "Участники" }, fields = { "direction", "responsible", "presale", "partner" } },
      { label = { en = "Outcome", ru = "Итог" }, fields = { "status", "status_reason", "lost_reason", "competitor", "description" } } },
  },
}

entity "line" {
  label = { en = "Product line", ru = "Позиция" },
  plural = { en = "Product lines", ru = "Позиции", path = "lines" },
  title = "product",
  delete = "allow",
  fields = {
    opportunity = ref { to = "opportunity", label = { en = "Opportunity", ru = "Сделка" }, required = true, fixed = true },
    product = ref { to = "product", label = { en = "Product", ru = "Продукт" }, required = true },
    quantity = decimal { label = { en = "Quantity", ru = "Количество" }, scale = 3, required = true, default = 1, min = 0 },
    price = money { label = { en = "Price", ru = "Цена" }, required = true, min = 0 },
    discount = percent { label = { en = "Discount, %", ru = "Скидка, %" }, default = 0 },
    total = formula { label = { en = "Total", ru = "Итого" }, type = "money", expr = "quantity * price * (100 - discount) / 100" },
  },
}

entity "task" {
  label = { en = "Task", ru = "Задача" },
  plural = { en = "Tasks", ru = "Задачи", path = "tasks" },
  number = "TSK",
  title = "title",
  fields = {
    title = text { label = { en = "Title", ru = "Название" }, required = true, search = true, localized = true, max = 300 },
    record = ref { to = "any", label = { en = "Belongs to", ru = "Относится к" } },
    chain_step = ref { to = "chain_step", label = { en = "Step of a chain", ru = "Шаг цепочки" }, readonly = true },
    assignee = ref { to = "user", label = { en = "Assignee", ru = "Исполнитель" }, default = "@me" },
    due = datetime { label = { en = "Due", ru = "Срок" } },
    status = option { "waiting", "open", "in_progress", "done", "cancelled", label = { en = "Status", ru = "Статус" }, default = "open",
      labels = { waiting = { en = "Waits for another", ru = "Ждёт другую" }, open = { en = "Open", ru = "Открыта" }, in_progress = { en = "In progress", ru = "В работе" },
        done = { en = "Done", ru = "Выполнена" }, cancelled = { en = "Cancelled", ru = "Отменена" } } },
    result = longtext { label = { en = "Result", ru = "Результат" } },
    blocking = boolean { label = { en = "Blocks the next stage", ru = "Блокирует следующий этап" }, default = false },
  },
  views = { list = { "number", "title", "record", "assignee", "due", "status" } },
}

entity "document" {
  label = { en = "Document", ru = "Документ" },
  plural = { en = "Documents", ru = "Документы", path = "documents" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 300 },
    kind = option { "requirements_brief", "pilot_plan", "proposal", "contract", "invoice", "act", "other", label = { en = "Kind", ru = "Вид" }, required = true,
      labels = { requirements_brief = { en = "Requirements brief", ru = "Описание требований" }, pilot_plan = { en = "Pilot plan", ru = "План пилота" },
        proposal = { en = "Proposal", ru = "Коммерческое предложение" }, contract = { en = "Contract", ru = "Договор" }, invoice = { en = "Invoice", ru = "Счёт" },
        act = { en = "Act", ru = "Акт" }, other = { en = "Other", ru = "Прочее" } } },
    record = ref { to = "any", label = { en = "Belongs to", ru = "Относится к" }, required = true, fixed = true },
    size = integer { label = { en = "Size, bytes", ru = "Размер, байт" }, min = 0 },
    hash = text { label = { en = "Hash", ru = "Хэш" }, max = 128 },
    place = url { label = { en = "Where it lies", ru = "Где лежит" } },
  },
}

entity "comment" {
  label = { en = "Comment", ru = "Комментарий" },
  plural = { en = "Comments", ru = "Комментарии", path = "comments" },
  title = "text",
  fields = {
    record = ref { to = "any", label = { en = "Belongs to", ru = "Относится к" }, required = true, fixed = true },
    text = longtext { label = { en = "Text", ru = "Текст" }, required = true, max = 10000 },
    internal = boolean { label = { en = "Internal", ru = "Внутренний" }, default = true },
  },
}
