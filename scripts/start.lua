-- start.lua: runs the scripts of users: the workflow folder, then the enabled plugins in the order of their dependencies. Trusted, last.
local core = ...
local check = core.check_words

-- Modules by file: { value =, state = "runs" or "done" }; each runs once, in the environment of the folder it lies in.
local modules, running = {}, {}

local function describe_loop(file)
  local chain, on = {}, false
  for _, name in ipairs(running) do
    on = on or name == file
    if on then chain[#chain + 1] = name end
  end
  chain[#chain + 1] = file
  return table.concat(chain, " → ")
end

local function run_module(file, env)
  local module = modules[file]
  if module and module.state == "done" then return module.value end
  if module then error("modules require each other: " .. describe_loop(file), 0) end
  local chunk, problem = core.compile(file, env)
  if not chunk then error(problem, 0) end
  module = { state = "runs" }
  modules[file] = module
  running[#running + 1] = file
  local value = chunk(file)
  running[#running] = nil
  if value == nil then value = true end
  module.value, module.state = value, "done"
  return value
end

-- `places`: where require looks, in order: { prefix =, env = }; `others`: environments of declared dependencies by name.
local function make_require(places, others)
  return function(name)
    if type(name) ~= "string" or not string.find(name, "^[a-z0-9_][a-z0-9_./]*$") or string.find(name, "..", 1, true) then
      error("a module is named by small letters, digits, _ and dots", 2)
    end
    local path = string.gsub(name, "%.", "/")
    for _, place in ipairs(places) do
      local file = place.prefix .. path .. ".lua"
      if core.exists(file) then return run_module(file, place.env) end
    end
    local plugin, rest = string.match(path, "^([a-z0-9_]+)/(.+)$")
    local other = plugin and others and others[plugin]
    if other then
      local file = "plugins/" .. plugin .. "/" .. rest .. ".lua"
      if core.exists(file) then return run_module(file, other) end
    end
    error("there is no module \"" .. name .. "\" here", 2)
  end
end

-- crm.t("key") finds its text in locale/en.lua and locale/ru.lua beside the scripts; the other language stands in for a missing one.
local function make_crm(prefix, env)
  local texts
  local function load_texts()
    texts = { known = {} }
    for _, lang in ipairs { "en", "ru" } do
      local file = prefix .. "locale/" .. lang .. ".lua"
      local list = core.exists(file) and run_module(file, env()) or {}
      if type(list) ~= "table" then error(file .. " returns a table of texts", 0) end
      texts[lang] = list
      for key in pairs(list) do texts.known[#texts.known + 1] = tostring(key) end
    end
    table.sort(texts.known)
  end
  local function t(key, ...)
    if type(key) ~= "string" then return core.crm.t(key) end
    if not texts then load_texts() end
    local text = texts[core.lang()][key] or texts.en[key] or texts.ru[key]
    if text == nil then
      local near = core.suggest(key, texts.known)
      error("locale/ has no text \"" .. key .. "\"" .. (near and "; did you mean \"" .. near .. "\"?" or ""), 2)
    end
    if select("#", ...) == 0 then return text end
    return core.text.format(text, ...)
  end
  return core.freeze("crm", setmetatable({ t = t }, { __index = core.crm }))
end

local function run_file(file, env)
  local chunk, problem = core.compile(file, env)
  if not chunk then
    local where, line, text = string.match(problem, "^([^:]+):(%d+): (.*)$")
    core.fail(where or file, line and math.tointeger(tonumber(line)) or 0, text or problem)
    return false
  end
  return core.run(file, chunk)
end

local library_places = { { prefix = "scripts/" } }
local library = core.environment { require = make_require(library_places), crm = make_crm("scripts/", function() return library_places[1].env end) }
library_places[1].env = library

local workflow_places = { { prefix = "workflows/" }, library_places[1] }
local workflows = core.environment { require = make_require(workflow_places), crm = make_crm("workflows/", function() return workflow_places[1].env end) }
workflow_places[1].env = workflows

local manifests = {}
for _, source in ipairs(core.sources()) do
  if source.kind == "workflow" then
    run_file(source.name, workflows)
  elseif source.kind == "manifest" then
    -- A description may use field types for its configuration and nothing else.
    local ok, value = run_file(source.name, core.environment {})
    if ok then manifests[#manifests + 1] = { folder = source.plugin, file = source.name, value = value } end
  end
end

local environments = {}
for _, plugin in ipairs(core.order_plugins(manifests, core.sources(), core.config())) do
  local prefix = "plugins/" .. plugin.name .. "/"
  local places, others = { { prefix = prefix }, library_places[1] }, {}
  for _, name in ipairs(plugin.needs) do others[name] = environments[name] end
  local env = core.environment {
    require = make_require(places, others), config = core.freeze("config", plugin.config), crm = make_crm(prefix, function() return places[1].env end),
  }
  places[1].env = env
  environments[plugin.name] = env
  run_file(prefix .. "main.lua", env)
end

--- Runs a migration of a plugin in the plugin's environment (core/script/migrate.c).
function core.run_migration(plugin, file)
  local env = environments[plugin]
  if not env then error("plugin " .. plugin .. " does not run", 0) end
  local chunk, problem = core.compile(file, env)
  if not chunk then error(problem, 0) end
  chunk()
end

check.finish()
