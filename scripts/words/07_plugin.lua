-- 07_plugin.lua: plugin.lua checked, and the order in which plugins run: dependencies first, then by name.
local core = ...
local check = core.check_words

local shape = {
  name = "string", version = "string", api = { "string", "number" }, requires = "table", permissions = "table", config = "table", label = { "table", "string" },
  description = { "table", "string" },
}

-- "1.2.3" → { 1, 2, 3 }; missing parts are 0.
local function version_of(text)
  local major, rest = string.match(text, "^(%d+)(.*)$")
  if not major then return nil end
  local minor, patch = string.match(rest, "^%.(%d+)%.(%d+)$")
  if not minor then minor, patch = string.match(rest, "^%.(%d+)$"), "0" end
  if not minor and rest ~= "" then return nil end
  return { tonumber(major), tonumber(minor or "0"), tonumber(patch or "0") }
end

local function compare(a, b)
  for i = 1, 3 do
    if a[i] ~= b[i] then return a[i] < b[i] and -1 or 1 end
  end
  return 0
end

-- ">=1.0", "^2", "~1.2", "=1.2.3", "1.2.3", "<3"; several are separated by spaces. nil when it is no range.
local function fits(version, range)
  local all, any = true, false
  for part in string.gmatch(range, "%S+") do
    local sign, text = string.match(part, "^([<>=^~]*)(.*)$")
    local wanted = version_of(text)
    if not wanted then return nil end
    local order = compare(version, wanted)
    local ok
    if sign == ">=" then ok = order >= 0
    elseif sign == ">" then ok = order > 0
    elseif sign == "<=" then ok = order <= 0
    elseif sign == "<" then ok = order < 0
    elseif sign == "^" then ok = order >= 0 and version[1] == wanted[1] and (wanted[1] > 0 or version[2] == wanted[2])
    elseif sign == "~" then ok = order >= 0 and version[1] == wanted[1] and version[2] == wanted[2]
    elseif sign == "=" or sign == "" then ok = order == 0
    else return nil end
    all, any = all and ok, true
  end
  if any then return all end
  return nil
end

local rights = { read = true, write = true, http = true, mail = true, sharepoint = true, system = true }

local function check_permissions(place, list)
  for _, permission in ipairs(check.texts("plugin", place, "permissions", list)) do
    local kind = string.match(permission, "^(%a+)")
    if not rights[kind or ""] then
      check.fail(place, "plugin: \"" .. permission .. "\" is no permission: read:ENTITY, write:ENTITY, http:HOST, mail, sharepoint or system")
    end
  end
end

local lua_types = {
  text = "string", longtext = "string", email = "string", phone = "string", url = "string", option = "string", integer = "number", decimal = "number",
  money = "number", percent = "number", boolean = "boolean", date = "string", datetime = "string",
}

-- What a setting of config.lua, or its default, must be.
local function check_setting(place, name, field, value)
  local wanted = lua_types[field.type]
  local is = type(value)
  local words = "config \"" .. name .. "\": "
  if is ~= wanted or (field.type == "integer" and math.type(value) ~= "integer") then
    check.fail(place, words .. "it is of type " .. field.type .. ", not a " .. is)
    return false
  end
  if wanted == "number" and ((field.min and value < field.min) or (field.max and value > field.max)) then
    check.fail(place, words .. tostring(value) .. " is not from " .. tostring(field.min or "…") .. " to " .. tostring(field.max or "…"))
    return false
  end
  if field.options then
    local values = {}
    for _, option in ipairs(field.options) do values[#values + 1] = option.value end
    return check.one_of("config", place, name, value, values)
  end
  return true
end

local function take_config(place, folder, declared, given)
  local config, names = {}, {}
  for name, field in pairs(declared or {}) do
    if type(field) ~= "table" or not field.is_field or not lua_types[field.type] then
      check.fail(place, "plugin: config \"" .. tostring(name) .. "\" is not a field type: write " .. tostring(name) .. " = integer { default = 1 }")
    else
      names[#names + 1] = name
      local value = given[name]
      if value == nil then value = field.default_value end
      if value == nil and field.required then
        check.fail(field, "config \"" .. name .. "\" is required: set it in config.lua under plugin_config." .. folder)
      elseif value ~= nil and check_setting(field, name, field, value) then
        config[name] = value
      end
    end
  end
  table.sort(names)
  for name in pairs(given) do
    if not declared or not declared[name] then
      local best = core.suggest(name, names)
      check.fail(place, "config.lua sets \"" .. name .. "\", which plugin " .. folder .. " does not have" .. (best and "; did you mean \"" .. best .. "\"?" or ""), best)
    end
  end
  return config
end

-- One description; nil when the plugin cannot run.
local function take_manifest(m, given)
  local place, d = { file = m.file, line = 1 }, m.value
  if type(d) ~= "table" then
    check.fail(place, "plugin.lua returns a table: return { name = \"" .. m.folder .. "\", version = \"1.0\", api = \"1\" }")
    return nil
  end
  local known = check.mistakes()
  check.attributes("plugin", place, d, shape)
  if d.name ~= m.folder then check.fail(place, "plugin: its name is that of its folder, \"" .. m.folder .. "\", not \"" .. tostring(d.name) .. "\"") end
  if type(d.version) ~= "string" or not version_of(d.version) then check.fail(place, "plugin needs \"version\", such as \"1.0.2\"") end
  if tostring(d.api) ~= "1" then check.fail(place, "plugin: it is made for api \"" .. tostring(d.api) .. "\"; this server has api \"1\"") end
  check_permissions(place, type(d.permissions) == "table" and d.permissions or {})
  local needs, ranges = {}, {}
  for name, range in pairs(type(d.requires) == "table" and d.requires or {}) do
    if type(range) ~= "string" or fits({ 0, 0, 0 }, range) == nil then
      check.fail(place, "plugin: \"" .. tostring(range) .. "\" is no range of versions: write \">=1.0\", \"^2\" or \"~1.2\"")
    elseif name == "perigee" then
      if not fits(version_of(core.version), range) then check.fail(place, "plugin needs perigee " .. range .. "; this is " .. core.version) end
    else
      needs[#needs + 1], ranges[name] = name, range
    end
  end
  table.sort(needs)
  local config = take_config(place, m.folder, type(d.config) == "table" and d.config or nil, type(given) == "table" and given or {})
  if check.mistakes() > known then return nil end
  return { name = m.folder, version = version_of(d.version), needs = needs, ranges = ranges, config = config, place = place }
end

--- core.order_plugins(manifests, sources, config) → { { name =, needs =, config = } … } in the order in which they run.
function core.order_plugins(manifests, sources, config)
  local plugins, names, described, folders = {}, {}, {}, {}
  for _, m in ipairs(manifests) do
    described[m.folder] = true
    local plugin = take_manifest(m, config[m.folder])
    if plugin then plugins[m.folder], names[#names + 1] = plugin, m.folder end
  end
  local mains, listed = {}, {}
  for _, source in ipairs(sources) do
    if source.kind == "main" then mains[source.plugin] = true end
    if source.kind == "manifest" then described[source.plugin] = true end
    if source.plugin and not folders[source.plugin] then
      folders[source.plugin], listed[#listed + 1] = true, source.plugin
    end
  end
  for _, folder in ipairs(listed) do
    if not described[folder] then check.fail({ file = "plugins/" .. folder .. "/plugin.lua", line = 0 }, "plugin " .. folder .. " has no plugin.lua") end
    if not mains[folder] then check.fail({ file = "plugins/" .. folder .. "/main.lua", line = 0 }, "plugin " .. folder .. " has no main.lua") end
  end
  for name in pairs(config) do
    if not folders[name] then check.fail({ file = "config.lua", line = 0 }, "plugin_config speaks of \"" .. name .. "\", which is not among the enabled plugins") end
  end
  table.sort(names)
  local order, state = {}, {}
  local function visit(name, asked)
    local plugin = plugins[name]
    if state[name] == "done" then return end
    if state[name] == "open" then
      check.fail(asked.place, "plugins require each other: " .. asked.name .. " and " .. name)
      return
    end
    state[name] = "open"
    for _, other in ipairs(plugin.needs) do
      if not plugins[other] then
        if not described[other] then
          check.fail(plugin.place, "plugin " .. name .. " requires " .. other .. " " .. plugin.ranges[other] .. ", which is not enabled")
        end
      else
        if not fits(plugins[other].version, plugin.ranges[other]) then
          check.fail(plugin.place, "plugin " .. name .. " requires " .. other .. " " .. plugin.ranges[other] .. "; its version is " .. table.concat(plugins[other].version, "."))
        end
        visit(other, plugin)
      end
    end
    state[name] = "done"
    if mains[name] then order[#order + 1] = plugin end
  end
  for _, name in ipairs(names) do visit(name) end
  return order
end
