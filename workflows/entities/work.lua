-- work.lua: decides what hangs on a record while people work with it: tasks, activities, comments, documents, folders, and each
-- person's own notifications, followed records and saved views.

local belongs_to = function(fixed)
  return ref { to = "any", label = { en = "Belongs to", ru = "Относится к" }, required = fixed, fixed = fixed }
end

entity "task" {
  label = { en = "Task", ru = "Задача" },
  plural = { en = "Tasks", ru = "Задачи", path = "tasks" },
  number = "TSK",
  title = "title",
  fields = {
    title = text { label = { en = "Title", ru = "Название" }, required = true, search = true, localized = true, max = 300 },
    record = belongs_to(false),
    chain_step = ref { to = "chain_step", label = { en = "Step of a chain", ru = "Шаг цепочки" }, readonly = true },
    assignee = ref { to = "user", label = { en = "Assignee", ru = "Исполнитель" }, default = "@me" },
    due = datetime { label = { en = "Due", ru = "Срок" } },
    status = option { { "waiting", en = "Waits for another", ru = "Ждёт другую" }, { "open", en = "Open", ru = "Открыта" }, { "in_progress", en = "In progress", ru = "В работе" },
      { "done", en = "Done", ru = "Выполнена" }, { "cancelled", en = "Cancelled", ru = "Отменена" }, label = { en = "Status", ru = "Статус" }, default = "open" },
    result = longtext { label = { en = "Result", ru = "Результат" } },
    blocking = boolean { label = { en = "Blocks the next stage", ru = "Блокирует следующий этап" }, default = false },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
    done_at = datetime { label = { en = "Done at", ru = "Выполнена" }, readonly = true },
    escalated_at = datetime { label = { en = "Escalated at", ru = "Эскалирована" }, readonly = true },
    overdue = formula { label = { en = "Overdue", ru = "Просрочена" }, type = "boolean", expr = 'if(status in ("open", "in_progress") and due < @now, true, false)' },
  },
  index = { { "record" }, { "assignee", "status" }, { "status", "due" } },
  views = {
    list = { "number", "title", "record", "assignee", "due", "status" },
    board = { group_by = "status", card = { "title", "record", "assignee", "due" } },
    form = { { label = { en = "Task", ru = "Задача" }, fields = { "title", "record", "assignee", "due", "status", "blocking", "description", "result" } } },
    card = { "title", "assignee", "due", "status" },
  },
}

entity "activity" {
  label = { en = "Activity", ru = "Активность" },
  plural = { en = "Activities", ru = "Активности", path = "activities" },
  title = "subject",
  fields = {
    kind = option { { "call", en = "Call", ru = "Звонок" }, { "meeting", en = "Meeting", ru = "Встреча" }, { "note", en = "Note", ru = "Заметка" }, { "letter", en = "Letter", ru = "Письмо" },
      label = { en = "Kind", ru = "Вид" }, required = true },
    subject = text { label = { en = "Subject", ru = "Тема" }, search = true, max = 300 },
    record = belongs_to(false),
    when = datetime { label = { en = "When", ru = "Когда" }, default = "@now" },
    duration = integer { label = { en = "Minutes", ru = "Минут" }, min = 0, max = 14400 },
    people = refs { to = "contact", label = { en = "People", ru = "Участники" } },
    colleagues = refs { to = "user", label = { en = "Colleagues", ru = "Сотрудники" } },
    text = longtext { label = { en = "Text", ru = "Текст" }, search = true },
  },
  index = { { "record" }, { "when" } },
  views = {
    list = { "kind", "subject", "record", "when", "duration", "created_by" },
    form = { { label = { en = "Activity", ru = "Активность" }, fields = { "kind", "subject", "record", "when", "duration", "people", "colleagues", "text" } } },
    card = { "kind", "subject", "when" },
  },
}

entity "comment" {
  label = { en = "Comment", ru = "Комментарий" },
  plural = { en = "Comments", ru = "Комментарии", path = "comments" },
  title = "text",
  fields = {
    record = belongs_to(true),
    text = longtext { label = { en = "Text", ru = "Текст" }, required = true, max = 10000, help = { en = "@login mentions a colleague", ru = "@логин упоминает коллегу" } },
    internal = boolean { label = { en = "Internal", ru = "Внутренний" }, default = true },
    mentions = refs { to = "user", label = { en = "Mentioned", ru = "Упомянуты" }, readonly = true },
  },
  index = { { "record" } },
  views = { list = { "record", "text", "created_by", "created_at" }, form = { { label = { en = "Comment", ru = "Комментарий" }, fields = { "text", "internal" } } }, card = { "text", "created_by" } },
}

entity "document" {
  label = { en = "Document", ru = "Документ" },
  plural = { en = "Documents", ru = "Документы", path = "documents" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 300 },
    kind = ref { to = "document_kind", label = { en = "Kind", ru = "Вид" }, required = true },
    record = belongs_to(true),
    edition = integer { label = { en = "Edition", ru = "Редакция" }, default = 1, min = 1, readonly = true },
    size = integer { label = { en = "Size, bytes", ru = "Размер, байт" }, min = 0, readonly = true },
    hash = text { label = { en = "Hash", ru = "Хэш" }, max = 128, readonly = true },
    file = file { label = { en = "File", ru = "Файл" }, readonly = true },
    place = url { label = { en = "Where it lies", ru = "Где лежит" } },
    item = text { label = { en = "SharePoint item", ru = "Элемент SharePoint" }, max = 200 },
  },
  index = { { "record", "kind" } },
  views = {
    list = { "name", "kind", "record", "edition", "size" },
    form = { { label = { en = "Document", ru = "Документ" }, fields = { "name", "kind", "record", "edition", "size", "place" } } },
    card = { "name", "kind", "edition" },
  },
}

entity "folder" {
  label = { en = "Folder", ru = "Папка" },
  plural = { en = "Folders", ru = "Папки", path = "folders" },
  title = "wanted_path",
  fields = {
    record = belongs_to(true),
    wanted_path = text { label = { en = "Wanted path", ru = "Путь" }, required = true, max = 400 },
    item_id = text { label = { en = "SharePoint id", ru = "Идентификатор SharePoint" }, max = 200 },
    link = url { label = { en = "Link", ru = "Ссылка" } },
    state = option { { "pending", en = "Pending", ru = "Ожидает" }, { "ready", en = "Ready", ru = "Готова" }, { "failed", en = "Failed", ru = "Ошибка" }, { "gone", en = "Gone", ru = "Удалена" },
      label = { en = "State", ru = "Состояние" }, default = "pending" },
    error = text { label = { en = "Last error", ru = "Последняя ошибка" }, max = 1000 },
  },
  index = { { "record" }, { "state" } },
  views = { list = { "wanted_path", "record", "state", "link" }, form = { { label = { en = "Folder", ru = "Папка" }, fields = { "record", "wanted_path", "state", "link", "error" } } }, card = { "wanted_path", "state" } },
}

entity "follower" {
  label = { en = "Follower", ru = "Подписчик" },
  plural = { en = "Followers", ru = "Подписчики", path = "followers" },
  title = "user",
  delete = "allow",
  fields = {
    record = belongs_to(true),
    user = ref { to = "user", label = { en = "User", ru = "Пользователь" }, required = true, fixed = true, default = "@me" },
  },
  unique = { { "record", "user" } },
  index = { { "user" } },
  views = { list = { "record", "user" } },
}

entity "notification" {
  label = { en = "Notification", ru = "Уведомление" },
  plural = { en = "Notifications", ru = "Уведомления", path = "notifications" },
  title = "text",
  delete = "allow",
  fields = {
    user = ref { to = "user", label = { en = "For", ru = "Кому" }, required = true, fixed = true },
    kind = option { { "assigned", en = "Assigned", ru = "Назначено" }, { "mentioned", en = "Mentioned", ru = "Упоминание" }, { "commented", en = "Comment", ru = "Комментарий" },
      { "overdue", en = "Overdue", ru = "Просрочено" }, { "stage_moved", en = "Stage moved", ru = "Смена этапа" }, { "approval", en = "Approval asked", ru = "Запрос согласования" },
      { "other", en = "Other", ru = "Прочее" }, label = { en = "Kind", ru = "Вид" }, default = "other", fixed = true },
    text = text { label = { en = "Text", ru = "Текст" }, required = true, localized = true, max = 1000, fixed = true },
    record = belongs_to(false),
    by = ref { to = "user", label = { en = "Caused by", ru = "Кем вызвано" }, fixed = true },
    read = boolean { label = { en = "Read", ru = "Прочитано" }, default = false },
  },
  index = { { "user", "read" } },
  views = { list = { "text", "kind", "record", "read", "created_at" }, card = { "text", "created_at" } },
}

entity "view" {
  label = { en = "Saved view", ru = "Сохранённое представление" },
  plural = { en = "Saved views", ru = "Сохранённые представления", path = "views" },
  delete = "allow",
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    entity = text { label = { en = "Of what", ru = "Чего" }, required = true, max = 60, help = { en = "The name of an entity", ru = "Имя сущности" } },
    kind = option { { "list", en = "List", ru = "Список" }, { "board", en = "Board", ru = "Доска" }, { "chart", en = "Chart", ru = "График" }, label = { en = "Kind", ru = "Вид" }, default = "list" },
    owner = ref { to = "user", label = { en = "Owner", ru = "Владелец" }, default = "@me", fixed = true },
    filter = longtext { label = { en = "Filter", ru = "Фильтр" }, max = 4000 },
    sort = text { label = { en = "Sorting", ru = "Сортировка" }, max = 400 },
    columns = json { label = { en = "Columns", ru = "Столбцы" } },
    group_by = text { label = { en = "Grouped by", ru = "Группировка" }, max = 60 },
    shared_roles = refs { to = "role", label = { en = "Shared with roles", ru = "Доступно ролям" } },
    shared_groups = refs { to = "group", label = { en = "Shared with groups", ru = "Доступно группам" } },
    is_default = boolean { label = { en = "Opens first", ru = "Открывается первым" }, default = false },
    pinned = boolean { label = { en = "Pinned", ru = "Закреплено" }, default = false },
  },
  index = { { "owner", "entity" } },
  views = {
    list = { "name", "entity", "kind", "owner", "pinned" },
    form = { { label = { en = "View", ru = "Представление" }, fields = { "name", "entity", "kind", "filter", "sort", "columns", "group_by", "shared_roles", "shared_groups", "is_default", "pinned" } } },
    card = { "name", "entity" },
  },
}
