-- 02_fields.lua: the field types: text{}, money{}, ref{} …: each gives a description that `entity` puts under its name.
local core = ...
local check = core.check_words

local any = {
  label = { "table", "string" }, help = { "table", "string" }, required = "boolean", default = { "string", "number", "boolean" }, unique = "boolean",
  readonly = "boolean", when = "string", validate = "function", fixed = "boolean", search = "boolean",
}

local extra = {
  text = { max = "integer", min = "integer", localized = "boolean" }, longtext = { max = "integer", min = "integer" },
  integer = { min = "number", max = "number" }, decimal = { scale = "integer", min = "number", max = "number" },
  money = { currency = "string", min = "number", max = "number" }, percent = { min = "number", max = "number" }, boolean = {}, date = {}, datetime = {},
  email = {}, phone = {}, url = {}, option = { labels = "table" }, options = { labels = "table" }, ref = { to = "string" }, refs = { to = "string" },
  stage = { pipeline = "string" }, file = {}, json = {}, formula = { type = "string", expr = "string", scale = "integer" },
  computed = { type = "string", expr = "function" },
}

local results = { "text", "integer", "decimal", "money", "percent", "boolean", "date", "datetime" }

-- Positional values of option { "a", { "b", en = "B", ru = "Б" } } become a list; labels stand with the value or in `labels`.
local function take_options(field, declared)
  local options = {}
  if type(declared) ~= "table" then return options end
  for i, option in ipairs(declared) do
    local value, label = option, nil
    if type(option) == "table" then
      value, label = option[1], { en = option.en, ru = option.ru }
      for key in pairs(option) do
        if key ~= 1 and key ~= "en" and key ~= "ru" then check.fail(field, "option: a value has \"en\" and \"ru\", not \"" .. tostring(key) .. "\"") end
      end
    end
    if type(value) ~= "string" then
      check.fail(field, "option: value " .. i .. " is not a text")
    else
      label = label or (declared.labels and declared.labels[value])
      options[#options + 1] = { value = value, label = check.label("option", field, label, value) }
    end
  end
  if #options == 0 then check.fail(field, field.type .. " needs its values: " .. field.type .. " { \"a\", \"b\" }") end
  for value in pairs(declared.labels or {}) do
    local known = false
    for _, option in ipairs(options) do known = known or option.value == value end
    if not known then check.fail(field, "option: the label \"" .. tostring(value) .. "\" belongs to no value") end
  end
  return options
end

local function describe(kind, declared)
  local field = check.place()
  field.is_field, field.type = true, kind
  if declared == nil then declared = {} end
  local shape = {}
  for name, t in pairs(any) do shape[name] = t end
  for name, t in pairs(extra[kind]) do shape[name] = t end
  local named = {}
  if type(declared) == "table" then
    for name, value in pairs(declared) do
      if not ((kind == "option" or kind == "options") and math.type(name) == "integer") then named[name] = value end
    end
  else
    named = declared
  end
  if not check.attributes(kind, field, named, shape) then
    if type(named) ~= "table" then named = {} end
  end
  for name, value in pairs(named) do
    if field[name] == nil and name ~= "labels" then field[name] = value end
  end
  field.label, field.help = named.label, check.label(kind, field, named.help, "")
  field.default = named.default ~= nil and tostring(named.default) or nil
  field.default_value = named.default
  field.validate = check.fn(type(named.validate) == "function" and named.validate or nil)
  if kind == "option" or kind == "options" then field.options = take_options(field, declared) end
  if (kind == "ref" or kind == "refs") and not named.to then check.fail(field, kind .. " needs \"to\": the entity it leads to") end
  if kind == "stage" and not named.pipeline then check.fail(field, "stage needs \"pipeline\"") end
  if kind == "formula" or kind == "computed" then
    field.result = named.type
    field.type = kind
    local known = named.type and check.one_of(kind, field, "type", named.type, results)
    if not named.type then check.fail(field, kind .. " needs \"type\"") end
    if not named.expr then check.fail(field, kind .. " needs \"expr\"") end
    if not known then field.expr = nil end -- what it gives cannot be checked
    if kind == "computed" then field.expr, field.fn = nil, check.fn(type(named.expr) == "function" and named.expr or nil) end
  end
  return field
end

for kind in pairs(extra) do
  if kind ~= "stage" then
    core.export(kind, function(declared) return describe(kind, declared) end)
  end
end
core.stage_field = function(declared) return describe("stage", declared) end

--- except { "amount" }: all fields but these, for allow { fields = … }.
core.export("except", function(names)
  local place = check.place()
  return { is_except = true, names = check.texts("except", place, "except", names) }
end)
