-- 07_rules.lua: rule and states: what holds for every writer, whatever the door: form, board, API, batch, import, hook or action.
local core = ...
local check = core.check_words

local function declare(place, entity, point, f)
  core.declare("hook", { file = place.file, line = place.line, entity = entity, point = point, fn = core.fn(f), plugin = core.plugin(), rule = true })
end

local function both(place, entity, f)
  declare(place, entity, "before_create", function(now) f(now, nil) end)
  declare(place, entity, "before_change", f)
end

--- rule("line", function(now, before) … reject(…) … end): `before` is nil for a new record. Unlike a hook it also holds for an
--- import with automation off.
core.export("rule", function(entity, f)
  local place = check.place()
  if type(f) ~= "function" then return check.fail(place, "rule ends with a function, not a " .. type(f)) end
  both(place, entity, f)
end)

--- way { "open", "won", require = { "close_date" }, roles = { "crm_manager" }, check = function(record, from) … end }
core.export("way", function(declared)
  local place = check.place()
  local named = {}
  for key, value in pairs(type(declared) == "table" and declared or {}) do
    if math.type(key) ~= "integer" then named[key] = value end
  end
  local ok = check.attributes("way", place, named, { require = "table", roles = "table", check = "function" })
  if type(declared) ~= "table" or declared[1] == nil or type(declared[2]) ~= "string" then
    check.fail(place, "way leads from states to a state: way { { \"open\", \"on_hold\" }, \"lost\" }")
    ok = false
  end
  return {
    is_way = true, bad = not ok, file = place.file, line = place.line, from = ok and check.texts("way", place, "from", declared[1]) or {}, to = ok and declared[2],
    require = check.texts("way", place, "require", named.require), roles = check.texts("way", place, "roles", named.roles), check = named.check,
  }
end)

local function set_of(list)
  local set = {}
  for _, name in ipairs(list) do set[name] = true end
  return set
end

-- How the reader calls a field, or a value of an option field.
local function name_of(entity, field, language)
  local known = core.labels[entity .. "." .. field]
  return known and known.label[language] or field
end

local function value_name(entity, field, value, language)
  local known = core.labels[entity .. "." .. field]
  local label = known and known.values[value]
  return label and label[language] or tostring(value)
end

local function no_way(entity, field, from, to, ways)
  local function text(language, nothing)
    local possible = {}
    for _, way in ipairs(ways[from] or {}) do possible[#possible + 1] = value_name(entity, field, way.to, language) end
    table.sort(possible)
    return #possible > 0 and table.concat(possible, ", ") or nothing
  end
  core.crm.reject("no_way", {
    en = "From \"" .. value_name(entity, field, from, "en") .. "\" there is no way to \"" .. value_name(entity, field, to, "en") .. "\"; possible: " .. text("en", "nothing"),
    ru = "Из «" .. value_name(entity, field, from, "ru") .. "» нельзя перейти в «" .. value_name(entity, field, to, "ru") .. "»; можно: " .. text("ru", "никуда"),
  }, { field = field })
end

local function ask_way(entity, field, way, now, from)
  if #way.roles > 0 and not core.crm.has_role(table.unpack(way.roles)) then
    core.crm.reject("not_allowed", { en = "This step is for " .. table.concat(way.roles, ", "), ru = "Этот переход доступен ролям: " .. table.concat(way.roles, ", ") },
      { field = field })
  end
  for _, name in ipairs(way.require) do
    if now[name] == nil then
      core.crm.reject("required", {
        en = name_of(entity, name, "en") .. " is required for \"" .. value_name(entity, field, way.to, "en") .. "\"",
        ru = "Для «" .. value_name(entity, field, way.to, "ru") .. "» нужно заполнить «" .. name_of(entity, name, "ru") .. "»",
      }, { field = name })
    end
  end
  if way.check then way.check(now, from) end
end

local shape = { field = "string", first = "table", closed = "table" }

--- states "opportunity" { field = "status", first = { "open" }, closed = { "won", "lost" }, way { … }, … }: which values an option field
--- may begin with and which may follow which; a closed record is read-only until a way leads out.
core.export("states", function(entity)
  local place = check.place()
  return function(declared)
    local named, ways = {}, {}
    for key, value in pairs(type(declared) == "table" and declared or {}) do
      if math.type(key) ~= "integer" then named[key] = value end
    end
    if not check.attributes("states", place, named, shape) then return end
    if not named.field then return check.fail(place, "states needs \"field\": the option field that holds the state") end
    for i, way in ipairs(declared) do
      if type(way) ~= "table" or not way.is_way then check.fail(place, "states: member " .. i .. " is not a way: write way { \"open\", \"won\" }")
      elseif not way.bad then
        for _, from in ipairs(way.from) do
          ways[from] = ways[from] or {}
          ways[from][#ways[from] + 1] = way
        end
      end
    end
    local field, first, closed = named.field, set_of(named.first or {}), set_of(named.closed or {})
    both(place, entity, function(now, before)
      local to, from = now[field], before and before[field]
      if not before then
        if next(first) and to and not first[to] then
          core.crm.reject("no_way", {
            en = "A new record cannot begin as \"" .. value_name(entity, field, to, "en") .. "\"",
            ru = "Новая запись не может начинаться с «" .. value_name(entity, field, to, "ru") .. "»",
          }, { field = field })
        end
      elseif to == from then
        if closed[from] and not core.crm.trusted() then
          core.crm.reject("closed", {
            en = "The record is closed (\"" .. value_name(entity, field, from, "en") .. "\"): it is read-only",
            ru = "Запись закрыта («" .. value_name(entity, field, from, "ru") .. "») и доступна только для чтения",
          }, { field = field })
        end
      elseif to == nil then
        core.crm.reject("required", { en = name_of(entity, field, "en") .. " is required", ru = "Не заполнено «" .. name_of(entity, field, "ru") .. "»" }, { field = field })
      elseif from then
        local found
        for _, way in ipairs(ways[from] or {}) do
          if way.to == to then found = way end
        end
        if not found then no_way(entity, field, from, to, ways) end
        ask_way(entity, field, found, now, from)
      end
    end)
    local names = {}
    for _, way in ipairs(declared) do
      if way.to then names[#names + 1] = way.to end
      for _, from in ipairs(way.from or {}) do names[#names + 1] = from end
    end
    for _, list in ipairs({ named.first or {}, named.closed or {} }) do
      for _, name in ipairs(list) do names[#names + 1] = name end
    end
    core.declare("states", { file = place.file, line = place.line, entity = entity, field = field, names = names })
  end
end)
