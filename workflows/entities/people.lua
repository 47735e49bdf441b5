-- people.lua: who works in the system: users, their groups and roles, and the sales directions they work in.

entity "user" {
  label = { en = "User", ru = "Пользователь" },
  plural = { en = "Users", ru = "Пользователи", path = "users" },
  title = "name",
  fields = {
    login = text { label = { en = "Login", ru = "Логин" }, required = true, unique = true, min = 2, max = 60 },
    name = text { label = { en = "Name", ru = "Имя" }, required = true, search = true, max = 200 },
    email = email { label = { en = "E-mail", ru = "Почта" } },
    phone = phone { label = { en = "Phone", ru = "Телефон" } },
    language = option { "en", "ru", label = { en = "Language", ru = "Язык" }, default = "en",
      labels = { en = { en = "English", ru = "Английский" }, ru = { en = "Russian", ru = "Русский" } } },
    time_zone = text { label = { en = "Time zone", ru = "Часовой пояс" }, default = "Europe/Moscow", max = 60 },
    manager = ref { to = "user", label = { en = "Manager", ru = "Руководитель" } },
    direction = ref { to = "direction", label = { en = "Main direction", ru = "Основное направление" } },
    directions = refs { to = "direction", label = { en = "Directions", ru = "Направления" } },
    groups = refs { to = "group", label = { en = "Groups", ru = "Группы" } },
    roles = refs { to = "role", label = { en = "Roles", ru = "Роли" } },
    partner = ref { to = "partner", label = { en = "Partner company", ru = "Компания-партнёр" },
      help = { en = "Only for partner staff", ru = "Только у сотрудников партнёра" } },
    deputy = ref { to = "user", label = { en = "Deputy", ru = "Заместитель" } },
    absent_from = date { label = { en = "Absent from", ru = "Отсутствует с" } },
    absent_to = date { label = { en = "Absent to", ru = "Отсутствует по" } },
  },
}

entity "group" {
  label = { en = "Group", ru = "Группа" },
  plural = { en = "Groups", ru = "Группы", path = "groups" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, unique = true, search = true, max = 200 },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" } },
    roles = refs { to = "role", label = { en = "Roles", ru = "Роли" } },
    lead = ref { to = "user", label = { en = "Lead", ru = "Руководитель группы" } },
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
}

entity "direction" {
  label = { en = "Sales direction", ru = "Направление продаж" },
  plural = { en = "Sales directions", ru = "Направления продаж", path = "directions" },
  title = "name",
  fields = {
    code = text { label = { en = "Code", ru = "Код" }, required = true, unique = true, max = 60 },
    name = text { label = { en = "Name", ru = "Название" }, required = true, localized = true, search = true, max = 200 },
    group = ref { to = "group", label = { en = "Group", ru = "Группа" } },
    head = ref { to = "user", label = { en = "Head", ru = "Руководитель" } },
  },
}
