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
    if not declared.fields then check.fail(place, "entity \"" .. name .. "\" needs \"fields\"") end
    core.declare("entity", {
      file = place.file, line = place.line, name = name, plugin = core.plugin(), label = label,
      plural = check.label("plural", place, declared.plural, label.en), collection = plural.path or (name .. "s"), number = declared.number,
      title = declared.title, delete = declared.delete or "deactivate", setting = declared.setting or false, server = declared.server or false,
      fields = take_fields("entity", place, declared.fields), unique = take_sets("entity", place, "unique", declared.unique),
      index = take_sets("entity", place, "index", declared.index), views = core.json(declared.views or {}),
    })
  end
end)

core.export("extend", function(name)
  local place = check.place()
  return function(declared)
    if not check.attributes("extend", place, declared, { fields = "table", index = "table" }) then return end
    local plugin = core.plugin()
    core.declare("extend", {
      file = place.file, line = place.line, name = name, plugin = plugin,
      fields = take_fields("extend", place, declared.fields, plugin and plugin .. "_"), index = take_sets("extend", place, "index", declared.index),
    })
  end
end)
