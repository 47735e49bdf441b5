-- people.lua: decides who works in the system: users, their groups and roles, and the sales directions they work in.

entity "user" {
  label = { en = "User", ru = "Пользователь" },
  plural = { en = "Users", ru = "Пользователи", path = "users" },
  title = "name",
  fields = {
    login = text { label = { en = "Login", ru = "Логин" }, required = true, unique = true, min = 2, max = 60 },
    name = text { label = { en = "Name", ru = "Имя" }, required = true, search = true, max = 200 },
    email = email { label = { en = "E-mail", ru = "Почта" }, search = true },
    phone = phone { label = { en = "Phone", ru = "Телефон" } },
    language = option { { "en", en = "English", ru = "Английский" }, { "ru", en = "Russian", ru = "Русский" },
      label = { en = "Language", ru = "Язык" }, default = "en" },
    time_zone = text { label = { en = "Time zone", ru = "Часовой пояс" }, default = "Europe/Moscow", max = 60 },
    manager = ref { to = "user", label = { en = "Manager", ru = "Руководитель" } },
    direction = ref { to = "direction", label = { en = "Main direction", ru = "Основное направление" } },
    directions = refs { to = "direction", label = { en = "Directions", ru = "Направления" } },
    groups = refs { to = "group", label = { en = "Groups", ru = "Группы" } },
    roles = refs { to = "role", label = { en = "Roles", ru = "Роли" } },
    partner = ref { to = "partner", label = { en = "Partner company", ru = "Компания-партнёр" },
      help = { en = "Only for partner staff", ru = "Только у сотрудников партнёра" } },
    deputy = ref { to = "user", label = { en = "Deputy", ru = "Заместитель" },
      help = { en = "Gets new tasks while the user is absent", ru = "Получает новые задачи, пока пользователь отсутствует" } },
    absent_from = date { label = { en = "Absent from", ru = "Отсутствует с" } },
    absent_to = date { label = { en = "Absent to", ru = "Отсутствует по" } },
    muted = options { { "assigned", en = "Assigned to me", ru = "Назначено мне" }, { "mentioned", en = "Mentions", ru = "Упоминания" },
      { "commented", en = "Comments on what I follow", ru = "Комментарии к отслеживаемому" }, { "overdue", en = "Overdue tasks", ru = "Просроченные задачи" },
      { "stage_moved", en = "Stage moved", ru = "Смена этапа" }, { "approval", en = "Approval asked", ru = "Запрос согласования" },
      label = { en = "Notifications switched off", ru = "Отключённые уведомления" } },
  },
  views = {
    list = { "name", "login", "email", "direction", "manager", "roles" },
    form = {
      { label = { en = "Person", ru = "Человек" }, fields = { "name", "login", "email", "phone", "language", "time_zone" } },
      { label = { en = "Work", ru = "Работа" }, fields = { "manager", "direction", "directions", "groups", "roles", "partner" } },
      { label = { en = "Absence", ru = "Отсутствие" }, fields = { "deputy", "absent_from", "absent_to" } },
      { label = { en = "Notifications", ru = "Уведомления" }, fields = { "muted" } },
    },
    card = { "name", "email", "phone" },
  },
}

entity "group" {
  label = { en = "Group", ru = "Группа" },
  plural = { en = "Groups", ru = "Группы", path = "groups" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, unique = true, search = true, max = 200 },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" } },
    lead = ref { to = "user", label = { en = "Lead", ru = "Руководитель группы" } },
    members = refs { to = "user", label = { en = "Members", ru = "Участники" } },
    roles = refs { to = "role", label = { en = "Roles", ru = "Роли" }, help = { en = "Every member has them", ru = "Есть у каждого участника" } },
  },
  views = {
    list = { "name", "direction", "lead" },
    form = { { label = { en = "Group", ru = "Группа" }, fields = { "name", "direction", "lead", "members", "roles" } } },
    card = { "name", "direction" },
  },
}

entity "role" {
  label = { en = "Role", ru = "Роль" },
  plural = { en = "Roles", ru = "Роли", path = "roles" },
  title = "name",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 60 },
    name = text { label = { en = "Name", ru = "Название" }, localized = true, max = 200 },
  },
  views = { list = { "code", "name" }, form = { { label = { en = "Role", ru = "Роль" }, fields = { "code", "name" } } } },
}

entity "direction" {
  label = { en = "Sales direction", ru = "Направление продаж" },
  plural = { en = "Sales directions", ru = "Направления продаж", path = "directions" },
  title = "name",
  delete = "allow",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 60 },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, search = true, max = 200 },
    group = ref { to = "group", label = { en = "Group", ru = "Группа" } },
    head = ref { to = "user", label = { en = "Head", ru = "Руководитель" } },
    portal = ref { to = "portal", label = { en = "Portal", ru = "Портал" }, readonly = true,
      help = { en = "Made from the direction", ru = "Создаётся из направления" } },
  },
  views = {
    list = { "code", "name", "head", "group", "portal" },
    form = { { label = { en = "Direction", ru = "Направление" }, fields = { "code", "name", "head", "group", "portal" } } },
    card = { "name", "head" },
  },
}
