-- 03_entity.lua: entity "name" { … } and extend "name" { … }.
local core = ...
local check = core.check_words

local shape = {
  label = { "table", "string" }, plural = "table", number = "string", title = "string", delete = "string", fields = "table", unique = "table", index = "table",
  views = "table", setting = "boolean", server = "boolean",
}

local reserved = { id = true, number = true, created_at = true, created_by = true, updated_at = true, updated_by = true, version = true, active = true }

-- The fields of a table in the order of their lines, so that the catalog has the order of the script.
local function take_fields(word, place, declared, prefix)
  local list = {}
  for name, field in pairs(declared or {}) do
    if type(field) ~= "table" or not field.is_field then
      check.fail(place, word .. ": field \"" .. tostring(name) .. "\" is not a field type: write " .. tostring(name) .. " = text { … }")
    elseif reserved[name] then
      check.fail(field, word .. ": \"" .. name .. "\" is a field that every entity has")
    elseif check.name("field", field, name) then
      if prefix and string.sub(name, 1, #prefix) ~= prefix then
        check.fail(field, "a plugin's field begins with its name: \"" .. prefix .. name .. "\"", prefix .. name)
      end
      local copy = {}
      for key, value in pairs(field) do copy[key] = value end
      copy.name = name
      copy.label = check.label("field \"" .. name .. "\"", field, field.label, name)
      list[#list + 1] = copy
    end
  end
  table.sort(list, function(a, b)
    if a.file ~= b.file then return a.file < b.file end
    if a.line ~= b.line then return a.line < b.line end
    return a.name < b.name
  end)
  return list
end

-- Paths that the server has itself.
local taken = {
  sessions = true, tokens = true, me = true, schema = true, batch = true, events = true, reload = true, imports = true, files = true, webhooks = true, x = true,
  exports = true, search = true, help = true,
}

local prefixes = {}

local function check_number(place, name, prefix)
  if type(prefix) ~= "string" then return end
  if not string.find(prefix, "^[A-Z][A-Z0-9]*$") or #prefix > 8 then
    check.fail(place, "entity: \"number\" is a prefix of one to eight capital letters and digits, not \"" .. prefix .. "\"")
  elseif prefixes[prefix] then
    check.fail(place, "entity: the number prefix \"" .. prefix .. "\" belongs to \"" .. prefixes[prefix] .. "\" already")
  else
    prefixes[prefix] = name
  end
end

local function check_path(place, path)
  if type(path) ~= "string" or not string.find(path, "^[a-z][a-z0-9_]*$") or #path > 60 then
    check.fail(place, "plural: \"path\" is made of small letters, digits and _, not \"" .. tostring(path) .. "\"")
  elseif taken[path] then
    check.fail(place, "plural: the path \"" .. path .. "\" belongs to the server")
  end
end

-- Fields of all entities by name, for what is looked at when every file has run.
local known = {}

local function remember(name, fields)
  known[name] = known[name] or {}
  for _, field in ipairs(fields) do known[name][field.name] = true end
end

local function check_view_field(place, entity, view, path)
  local first = type(path) == "string" and string.match(path, "^[^.:]+") or nil
  if not first then
    check.fail(place, "views." .. view .. ": a field is named by a text, not by a " .. type(path))
  elseif not known[entity][first] and not reserved[first] then
    local text, best = check.near(first, check.keys(known[entity]))
    check.fail(place, "views." .. view .. ": " .. entity .. " has no field \"" .. first .. "\"" .. text, best)
  end
end

-- list = { fields }, board = { group_by =, sum =, card = { fields } }, form = { { label =, fields = { … } } … }; other views are free.
local function check_views(place, entity, views)
  local function fields(view, list)
    if list == nil then return end
    if type(list) ~= "table" then return check.fail(place, "views." .. view .. " is a list of fields, not a " .. type(list)) end
    for _, path in ipairs(list) do check_view_field(place, entity, view, path) end
  end
  if type(views.list) == "table" and not views.list.fields then fields("list", views.list) end
  if type(views.board) == "table" then
    fields("board", { views.board.group_by, views.board.sum })
    fields("board", views.board.card)
  end
  for _, section in ipairs(type(views.form) == "table" and views.form or {}) do
    if type(section) == "table" then fields("form", section.fields) end
  end
end

-- Labels of fields and of option values, for messages of other words: core.labels["opportunity.status"].
core.labels = {}

local function keep_labels(entity, fields)
  for _, field in ipairs(fields) do
    local values = {}
    for _, option in ipairs(field.options or {}) do values[option.value] = option.label end
    core.labels[entity .. "." .. field.name] = { label = field.label, values = values }
  end
  return fields
end

-- { { "a", "b" }, { "c" } }
local function take_sets(word, place, attribute, declared)
  local sets = {}
  for _, names in ipairs(declared or {}) do
    sets[#sets + 1] = check.texts(word, place, attribute, names)
  end
  return sets
end

core.export("entity", function(name)
  local place = check.place()
  if not check.name("entity", place, name) then name = "x" end
  return function(declared)
    if not check.attributes("entity", place, declared, shape) then declared = type(declared) == "table" and declared or {} end
    local plural = declared.plural or {}
    local label = check.label("entity \"" .. name .. "\"", place, declared.label, name)
    if declared.delete then check.one_of("entity", place, "delete", declared.delete, { "deactivate", "allow", "forbid" }) end
    if type(declared.fields) ~= "table" then
      if declared.fields == nil then check.fail(place, "entity \"" .. name .. "\" needs \"fields\"") end
      declared = { label = declared.label, plural = declared.plural, fields = {} }
    end
    check_number(place, name, declared.number)
    if type(plural) ~= "table" then plural = {} end
    if plural.path ~= nil then check_path(place, plural.path) end
    local fields = keep_labels(name, take_fields("entity", place, declared.fields))
    remember(name, fields)
    local views = type(declared.views) == "table" and declared.views or {}
    check.later(function() check_views(place, name, views) end)
    core.declare("entity", {
      file = place.file, line = place.line, name = name, plugin = core.plugin(), label = label,
      plural = check.label("plural", place, declared.plural, label.en), collection = type(plural.path) == "string" and plural.path or (name .. "s"), number = declared.number,
      title = declared.title, delete = declared.delete or "deactivate", setting = declared.setting or false, server = declared.server or false,
      fields = fields, unique = take_sets("entity", place, "unique", declared.unique),
      index = take_sets("entity", place, "index", declared.index), views = core.json(views),
    })
  end
end)

core.export("extend", function(name)
  local place = check.place()
  if not check.name("extend", place, name) then return function() end end
  return function(declared)
    if not check.attributes("extend", place, declared, { fields = "table", index = "table" }) then return end
    local plugin = core.plugin()
    local fields = take_fields("extend", place, declared.fields, plugin and plugin .. "_")
    if type(name) == "string" then remember(name, fields) end
    core.declare("extend", {
      file = place.file, line = place.line, name = name, plugin = plugin,
      fields = fields, index = take_sets("extend", place, "index", declared.index),
    })
  end
end)
