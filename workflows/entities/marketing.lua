-- marketing.lua: decides what marketing works with: campaigns, lists and who is on them, offerings, success stories, content.

entity "campaign" {
  label = { en = "Campaign", ru = "Кампания" },
  plural = { en = "Campaigns", ru = "Кампании", path = "campaigns" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    kind = option { { "mailing", en = "Mailing", ru = "Рассылка" }, { "event", en = "Event", ru = "Мероприятие" }, { "webinar", en = "Webinar", ru = "Вебинар" },
      { "advertising", en = "Advertising", ru = "Реклама" }, { "partner", en = "With partners", ru = "С партнёрами" }, { "other", en = "Other", ru = "Прочее" },
      label = { en = "Kind", ru = "Вид" }, default = "mailing" },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    partner = ref { to = "partner", label = { en = "Partner", ru = "Партнёр" } },
    start_date = date { label = { en = "Starts", ru = "Начало" } },
    end_date = date { label = { en = "Ends", ru = "Окончание" } },
    budget = money { label = { en = "Budget", ru = "Бюджет" }, currency = "currency", min = 0 },
    currency = ref { to = "currency", label = { en = "Currency", ru = "Валюта" }, default = "RUB" },
    state = option { { "planned", en = "Planned", ru = "Запланирована" }, { "running", en = "Running", ru = "Идёт" }, { "finished", en = "Finished", ru = "Завершена" },
      { "cancelled", en = "Cancelled", ru = "Отменена" }, label = { en = "State", ru = "Состояние" }, default = "planned" },
    owner = ref { to = "user", label = { en = "Owner", ru = "Владелец" }, default = "@me" },
    description = longtext { label = { en = "Description", ru = "Описание" }, search = true },
  },
  views = {
    list = { "name", "kind", "direction", "start_date", "end_date", "budget", "state", "owner" },
    form = { { label = { en = "Campaign", ru = "Кампания" }, fields = { "name", "kind", "direction", "partner", "start_date", "end_date", "budget", "currency", "state", "owner", "description" } } },
    card = { "name", "kind", "state" },
  },
}

entity "marketing_list" {
  label = { en = "Marketing list", ru = "Маркетинговый список" },
  plural = { en = "Marketing lists", ru = "Маркетинговые списки", path = "marketing_lists" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    kind = option { { "static", en = "Static", ru = "Статический" }, { "dynamic", en = "Dynamic", ru = "Динамический" }, label = { en = "Kind", ru = "Вид" }, default = "static" },
    campaign = ref { to = "campaign", label = { en = "Campaign", ru = "Кампания" } },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    entity = option { { "contact", en = "Contacts", ru = "Контакты" }, { "lead", en = "Leads", ru = "Интересы" }, label = { en = "Of whom", ru = "Кого" }, default = "contact" },
    filter = longtext { label = { en = "Filter", ru = "Фильтр" }, max = 4000, required = true, when = 'kind = "dynamic"' },
    owner = ref { to = "user", label = { en = "Owner", ru = "Владелец" }, default = "@me" },
  },
  views = {
    list = { "name", "kind", "campaign", "owner" },
    form = { { label = { en = "List", ru = "Список" }, fields = { "name", "kind", "campaign", "direction", "entity", "filter", "owner" } } },
    card = { "name", "kind" },
  },
}

entity "member" {
  label = { en = "Member of a list", ru = "Участник списка" },
  plural = { en = "Members of lists", ru = "Участники списков", path = "members" },
  title = "person",
  delete = "allow",
  fields = {
    list = ref { to = "marketing_list", label = { en = "List", ru = "Список" }, required = true, fixed = true },
    person = ref { to = "any", label = { en = "Person", ru = "Человек" }, required = true, fixed = true },
    response = option { { "none", en = "None yet", ru = "Пока нет" }, { "sent", en = "Sent", ru = "Отправлено" }, { "opened", en = "Opened", ru = "Открыто" },
      { "interested", en = "Interested", ru = "Заинтересован" }, { "refused", en = "Refused", ru = "Отказался" }, label = { en = "Response", ru = "Отклик" }, default = "none" },
    responded_at = datetime { label = { en = "Responded at", ru = "Дата отклика" } },
  },
  unique = { { "list", "person" } },
  views = { list = { "list", "person", "response" }, form = { { label = { en = "Member", ru = "Участник" }, fields = { "list", "person", "response" } } }, card = { "person", "response" } },
}

entity "offering" {
  label = { en = "Offering", ru = "Предложение" },
  plural = { en = "Offerings", ru = "Предложения", path = "offerings" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    campaign = ref { to = "campaign", label = { en = "Campaign", ru = "Кампания" } },
    product = ref { to = "product", label = { en = "Product", ru = "Продукт" } },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    text = longtext { label = { en = "Text", ru = "Текст" }, search = true },
    content = ref { to = "content", label = { en = "Content", ru = "Материал" } },
  },
  views = {
    list = { "name", "campaign", "product", "direction" },
    form = { { label = { en = "Offering", ru = "Предложение" }, fields = { "name", "campaign", "product", "direction", "text", "content" } } },
    card = { "name", "product" },
  },
}

entity "achievement" {
  label = { en = "Success story", ru = "История успеха" },
  plural = { en = "Success stories", ru = "Истории успеха", path = "achievements" },
  fields = {
    name = text { label = { en = "Name", ru = "Название" }, required = true, search = true, max = 200 },
    company = ref { to = "company", label = { en = "Client", ru = "Клиент" } },
    product = ref { to = "product", label = { en = "Product", ru = "Продукт" } },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" }, default = "@my.direction" },
    text = longtext { label = { en = "Text", ru = "Текст" }, search = true },
    content = ref { to = "content", label = { en = "Content", ru = "Материал" } },
  },
  views = {
    list = { "name", "product", "direction" },
    form = { { label = { en = "Story", ru = "История" }, fields = { "name", "company", "product", "direction", "text", "content" } } },
    card = { "name", "product" },
  },
}

entity "content" {
  label = { en = "Content", ru = "Материал" },
  plural = { en = "Contents", ru = "Материалы", path = "contents" },
  title = "title",
  fields = {
    title = text { label = { en = "Title", ru = "Название" }, required = true, search = true, max = 200 },
    kind = option { { "brochure", en = "Brochure", ru = "Брошюра" }, { "presentation", en = "Presentation", ru = "Презентация" }, { "price_list", en = "Price list", ru = "Прайс-лист" },
      { "case", en = "Case", ru = "Пример внедрения" }, { "video", en = "Video", ru = "Видео" }, { "template", en = "Template", ru = "Шаблон" }, { "news", en = "News", ru = "Новость" },
      { "other", en = "Other", ru = "Прочее" }, label = { en = "Kind", ru = "Вид" }, default = "other" },
    direction = ref { to = "direction", label = { en = "Direction", ru = "Направление" } },
    partner_level = option { { "registered", en = "Registered", ru = "Зарегистрированный" }, { "silver", en = "Silver", ru = "Серебряный" }, { "gold", en = "Gold", ru = "Золотой" },
      { "platinum", en = "Platinum", ru = "Платиновый" }, label = { en = "From the partner level", ru = "С уровня партнёра" }, default = "registered" },
    language = option { { "en", en = "English", ru = "Английский" }, { "ru", en = "Russian", ru = "Русский" }, label = { en = "Language", ru = "Язык" } },
    published = boolean { label = { en = "Shown to partners", ru = "Показывается партнёрам" }, default = false },
    text = longtext { label = { en = "Text", ru = "Текст" }, search = true },
    file = file { label = { en = "File", ru = "Файл" } },
    item = text { label = { en = "SharePoint item", ru = "Элемент SharePoint" }, max = 200 },
    link = url { label = { en = "Link", ru = "Ссылка" } },
    edition = integer { label = { en = "Edition", ru = "Редакция" }, default = 1, min = 1 },
    folder = ref { to = "folder", label = { en = "Folder", ru = "Папка" }, readonly = true },
  },
  views = {
    list = { "title", "kind", "direction", "partner_level", "language", "edition", "published" },
    form = { { label = { en = "Content", ru = "Материал" }, fields = { "title", "kind", "direction", "partner_level", "language", "published", "text", "link", "edition" } } },
    card = { "title", "kind" },
  },
}
