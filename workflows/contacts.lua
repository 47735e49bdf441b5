-- contacts.lua: decides that somebody may have several addresses and phones: the first of each is the one that lists and letters use.

local function list_of(value, field)
  if value == nil then return {} end
  if type(value) ~= "table" then
    reject("not_a_list", { en = "A list of texts expected", ru = "Ожидался список текстов" }, { field = field })
  end
  for _, text in ipairs(value) do
    if type(text) ~= "string" then reject("not_a_list", { en = "A list of texts expected", ru = "Ожидался список текстов" }, { field = field }) end
  end
  return value
end

rule("contact", function(contact)
  for _, address in ipairs(list_of(contact.emails, "emails")) do
    if not string.find(address, "^[^%s@<>,;]+@[^%s@<>,;]+%.[^%s@<>,;.]+$") then
      reject("bad_email", { en = "\"" .. address .. "\" is not an e-mail address", ru = "«" .. address .. "» не похоже на адрес почты" }, { field = "emails" })
    end
  end
  for _, number in ipairs(list_of(contact.phones, "phones")) do
    local digits = string.gsub(number, "%D", "")
    if #digits < 5 or #digits > 15 or string.find(number, "[^%d%s()+.-]") then
      reject("bad_phone", { en = "\"" .. number .. "\" is not a phone number", ru = "«" .. number .. "» не похоже на номер телефона" }, { field = "phones" })
    end
  end
end)

local function take_first(contact)
  if not contact.email and contact.emails then contact.email = contact.emails[1] end
  if not contact.phone and contact.phones then contact.phone = contact.phones[1] end
end

on("contact", "before_create", take_first)
on("contact", "before_change", take_first)
