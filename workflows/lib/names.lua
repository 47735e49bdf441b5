-- names.lua: when two names mean one company: case, quotes, punctuation and the legal form do not count.

local forms = {}
for form in string.gmatch("ооо оао пао зао ао нао ип нко гк llc ltd limited inc corp corporation co company gmbh ag sa jsc pjsc plc", "%S+") do forms[form] = true end

local names = {}

--- "ООО «Рога и Копыта»" and "рога и копыта, ООО" have one key. Nil for a name of which nothing is left.
function names.key(name)
  if not name then return nil end
  local text = crm.fold(name)
  for _, sign in ipairs({ "«", "»", "“", "”", "„", "№", "—", "–", "’" }) do text = string.gsub(text, sign, " ") end
  local words = {}
  for word in string.gmatch(string.gsub(text, "%p", " "), "%S+") do
    if not forms[word] then words[#words + 1] = word end
  end
  if #words == 0 then return nil end
  local key = table.concat(words, " ")
  local cut = utf8.offset(key, 301) -- the field holds 300 characters; a name that long is refused by its own rule
  return cut and string.sub(key, 1, cut - 1) or key
end

-- Addresses at these say nothing about the company.
local public = {}
for domain in string.gmatch("gmail.com mail.ru yandex.ru ya.ru bk.ru list.ru inbox.ru outlook.com hotmail.com icloud.com yahoo.com rambler.ru example.com example.org example.net", "%S+") do public[domain] = true end

--- The domain of an e-mail address or a site; nil for public mail services.
function names.domain(text)
  if not text then return nil end
  local domain = string.match(text, "@([^@%s]+)$") or string.match(text, "^https?://([^/:?#]+)")
  domain = domain and string.gsub(string.lower(domain), "^www%.", "")
  return domain and not public[domain] and domain or nil
end

return names
