-- 01_base.lua: what all words share: places, strict checks with near names, labels. Trusted; `core` comes from C.
local core = ...

local check = {}
core.check_words = check

local mistakes, checks = 0, {}

--- Collects a mistake at a place; loading goes on, so that all of them are told at once.
function check.fail(place, message, suggestion)
  mistakes = mistakes + 1
  core.fail(place.file, place.line, message, suggestion)
end

--- How many there are so far.
function check.mistakes() return mistakes end

--- Runs `f` when every file has run: for what may be declared later than it is used.
function check.later(f) checks[#checks + 1] = f end

function check.finish()
  for _, f in ipairs(checks) do f() end
end

function check.warn(place, message, suggestion)
  core.warn(place.file, place.line, message, suggestion)
end

--- The place in the user's script that calls the word.
function check.place()
  local file, line = core.where()
  return { file = file, line = line }
end

local function keys(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end
check.keys = keys

local function near(name, names)
  local best = core.suggest(tostring(name), names)
  return best and ("; did you mean \"" .. best .. "\"?") or "", best
end
check.near = near

--- Checks a declaration's attributes: `shape` maps a name to a Lua type, to {types}, or to true for anything.
function check.attributes(word, place, declared, shape)
  if type(declared) ~= "table" then
    check.fail(place, word .. " takes a table: " .. word .. " { … }, not a " .. type(declared))
    return false
  end
  local ok, names = true, {}
  for name in pairs(declared) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local value, wanted = declared[name], shape[name]
    if wanted == nil then
      local text, best = near(name, keys(shape))
      check.fail(place, word .. " has no attribute \"" .. tostring(name) .. "\"" .. text, best)
      ok = false
    elseif wanted ~= true then
      local types = type(wanted) == "table" and wanted or { wanted }
      local fits = false
      for _, t in ipairs(types) do
        fits = fits or type(value) == t or (t == "integer" and math.type(value) == "integer")
      end
      if not fits then
        check.fail(place, word .. ": \"" .. tostring(name) .. "\" is a " .. table.concat(types, " or ") .. ", not a " .. type(value))
        ok = false
      end
    end
  end
  return ok
end

--- One of some texts.
function check.one_of(word, place, attribute, value, allowed)
  for _, name in ipairs(allowed) do
    if value == name then return true end
  end
  local text, best = near(type(value) == "string" and value or "", allowed)
  check.fail(place, word .. ": \"" .. attribute .. "\" is one of " .. table.concat(allowed, ", ") .. ", not " .. check.said(value) .. text, best)
  return false
end

--- A value as messages show it.
function check.said(value)
  if type(value) == "string" or type(value) == "number" then return "\"" .. value .. "\"" end
  return value == nil and "nothing" or "a " .. type(value)
end

--- A name: small letters, digits and "_", beginning with a letter.
function check.name(word, place, name)
  if type(name) ~= "string" or not string.find(name, "^[a-z][a-z0-9_]*$") or #name > 48 or string.find(name, "^perigee_") or string.find(name, "^search_")
    or string.find(name, "^sqlite_") then
    check.fail(place, word .. ": " .. check.said(name) .. " is not a good name: use small letters, digits and _")
    return false
  end
  return true
end

--- A label: a text for both languages, or {en=, ru=}. `fallback` stands in where nothing is said.
function check.label(word, place, label, fallback)
  if label == nil then return { en = fallback, ru = fallback } end
  if type(label) == "string" then return { en = label, ru = label } end
  if type(label) ~= "table" then
    check.fail(place, word .. ": a label is a text or { en = …, ru = … }")
    return { en = fallback, ru = fallback }
  end
  for name, text in pairs(label) do
    if name ~= "en" and name ~= "ru" and name ~= "path" then check.fail(place, word .. ": a label has \"en\" and \"ru\", not \"" .. tostring(name) .. "\"") end
    if type(text) ~= "string" then check.fail(place, word .. ": the label \"" .. tostring(name) .. "\" is not a text") end
  end
  if not label.en or not label.ru then check.warn(place, word .. ": the label lacks \"" .. (label.en and "ru" or "en") .. "\"") end
  return { en = label.en or label.ru or fallback, ru = label.ru or label.en or fallback }
end

--- A list of texts; a single text is a list of one.
function check.texts(word, place, attribute, value)
  if value == nil then return {} end
  if type(value) == "string" then return { value } end
  local list = {}
  if type(value) == "table" then
    for _, text in ipairs(value) do
      if type(text) == "string" then list[#list + 1] = text
      else check.fail(place, word .. ": \"" .. attribute .. "\" is a list of texts") end
    end
  end
  return list
end

--- A function's number, or nil.
function check.fn(f)
  return f and core.fn(f) or nil
end

-- "2d", "15m", "6h", "1w" in milliseconds; nil when it is none.
local units = { s = 1000, m = 60000, h = 3600000, d = 86400000, w = 604800000 }
function check.duration(text)
  if type(text) ~= "string" then return nil end
  local n, unit = string.match(text, "^(%d+)([smhdw])$")
  return n and tonumber(n) * units[unit] or nil
end
