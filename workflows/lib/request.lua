-- request.lua: what a report is asked for: the query of its address, and filters joined.
local request = {}

local function decode(text)
  return (string.gsub(string.gsub(text, "+", " "), "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

--- "?from=2026-01-01&filter=…" as a table; an argument that the report does not know is refused with its name.
function request.arguments(query, known)
  local given, names = {}, {}
  for _, name in ipairs(known) do names[name] = true end
  for pair in string.gmatch(query or "", "[^&]+") do
    local name, value = string.match(pair, "^([^=]*)=?(.*)$")
    name = decode(name)
    if not names[name] then
      reject("unknown_parameter", { en = "There is no parameter \"" .. name .. "\"; there are " .. table.concat(known, ", "), ru = "Нет параметра «" .. name .. "»; есть: " .. table.concat(known, ", ") },
        { field = name })
    end
    given[name] = decode(value)
  end
  return given
end

--- A date argument, checked.
function request.date(given, name)
  local value = given[name]
  if value and not string.find(value, "^%d%d%d%d%-%d%d%-%d%d$") then
    reject("bad_value", { en = "A date such as 2026-11-23 expected", ru = "Ожидалась дата, например 2026-11-23" }, { field = name })
  end
  return value
end

--- One of some words; the first when nothing is said.
function request.choice(given, name, words)
  local value = given[name] or words[1]
  for _, word in ipairs(words) do
    if word == value then return value end
  end
  reject("bad_value", { en = "One of " .. table.concat(words, ", ") .. " expected", ru = "Ожидалось одно из: " .. table.concat(words, ", ") }, { field = name })
end

--- "(a) and (b)" of those that are said.
function request.all(...)
  local parts = {}
  for _, part in pairs(table.pack(...)) do
    if type(part) == "string" and part ~= "" then parts[#parts + 1] = "(" .. part .. ")" end
  end
  return table.concat(parts, " and ")
end

return request
