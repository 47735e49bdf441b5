-- 06_behaviour.lua: on, action, route, every, job, portal: what happens when.
local core = ...
local check = core.check_words

local points = { "before_create", "after_create", "before_change", "after_change", "before_delete", "after_delete" }

local function needs_function(word, place, f)
  if type(f) == "function" then return true end
  check.fail(place, word .. " ends with a function, not a " .. type(f))
  return false
end

core.export("on", function(entity, point, f)
  local place = check.place()
  if not check.one_of("on", place, "event", point, points) or not needs_function("on", place, f) then return end
  if type(entity) ~= "string" then return check.fail(place, "on names an entity, not " .. check.said(entity)) end
  core.declare("hook", { file = place.file, line = place.line, entity = entity, point = point, fn = core.fn(f), plugin = core.plugin() })
end)

core.export("action", function(entity, name, declared, f)
  local place = check.place()
  local shape = { label = { "table", "string" }, when = "string", by = "string", fields = "table", right = "string", roles = "table" }
  if not check.attributes("action", place, declared, shape) or not needs_function("action", place, f) then return end
  check.name("action", place, name)
  if name == "move" then check.fail(place, "\"move\" is an action of the server") end
  if declared.right then check.one_of("action", place, "right", declared.right, { "create", "read", "update", "delete" }) end
  local fields = {}
  for field_name, field in pairs(declared.fields or {}) do
    if type(field) ~= "table" or not field.is_field then
      check.fail(place, "action: field \"" .. tostring(field_name) .. "\" is not a field type")
    else
      local copy = {}
      for key, value in pairs(field) do copy[key] = value end
      copy.name, copy.label = field_name, check.label("field", field, field.label, tostring(field_name))
      fields[#fields + 1] = copy
    end
  end
  table.sort(fields, function(a, b) return a.line < b.line or (a.line == b.line and a.name < b.name) end)
  core.declare("action", {
    file = place.file, line = place.line, entity = entity, name = name, label = check.label("action \"" .. tostring(name) .. "\"", place, declared.label, name),
    when = declared.when, by = declared.by, fields = fields, right = declared.right or "update", roles = check.texts("action", place, "roles", declared.roles), fn = core.fn(f),
  })
end)

core.export("route", function(method, path, declared, f)
  local place = check.place()
  if not check.attributes("route", place, declared, { allow = { "string", "table" } }) or not needs_function("route", place, f) then return end
  check.one_of("route", place, "method", method, { "GET", "POST", "PUT", "PATCH", "DELETE" })
  if type(path) ~= "string" or not string.find(path, "^/api/v1/x/[a-z0-9_/-]+$") then
    check.fail(place, "route: a path begins with /api/v1/x/, not " .. check.said(path))
  end
  local roles = check.texts("route", place, "allow", declared.allow)
  if #roles == 0 then check.fail(place, "route needs \"allow\": the roles that may call it, or \"*\" for everybody signed in") end
  core.declare("route", { file = place.file, line = place.line, method = method, path = path, roles = roles, fn = core.fn(f) })
end)

core.export("job", function(name, declared, f)
  local place = check.place()
  if not check.attributes("job", place, declared, { retry = "string", attempts = "integer", age = "string" }) or not needs_function("job", place, f) then return end
  check.name("job", place, name)
  local from, to = string.match(declared.retry or "10s..6h", "^(%d+[smhdw])%.%.(%d+[smhdw])$")
  if not from then check.fail(place, "job: retry is a range such as \"10s..6h\", not \"" .. tostring(declared.retry) .. "\"") end
  local age = declared.age and check.duration(declared.age)
  if declared.age and not age then check.fail(place, "job: age is a span such as \"3d\", not \"" .. tostring(declared.age) .. "\"") end
  core.declare("job", {
    file = place.file, line = place.line, name = name, retry_min = check.duration(from) or 10000, retry_max = check.duration(to) or 21600000,
    attempts = declared.attempts or 20, age = age or 0, fn = core.fn(f),
  })
end)

-- "15m", "1d", "1d at 06:00", or a cron expression with or without a time zone: "30 6 * * 1-5 Europe/Moscow"
core.export("every", function(spec, name, f)
  local place = check.place()
  if not needs_function("every", place, f) then return end
  check.name("every", place, name)
  if type(spec) ~= "string" then return check.fail(place, "every begins with a text such as \"15m\", not with " .. check.said(spec)) end
  local text = spec
  if string.find(text, "^%S+%s+%S+%s+%S+%s+%S+%s+%S") then
    core.declare("timer", { file = place.file, line = place.line, spec = text, name = name, cron = text, fn = core.fn(f) })
    return
  end
  local period, hour, minute = string.match(text, "^(%d+[mhdw]) at (%d%d):(%d%d)$")
  period = check.duration(period or string.match(text, "^(%d+[mhdw])$"))
  if not period or period == 0 or (hour and (tonumber(hour) > 23 or tonumber(minute) > 59)) then
    check.fail(place, "every begins with \"15m\", \"1d\", \"1d at 06:00\" or is a cron expression, not \"" .. text .. "\"")
    return
  end
  core.declare("timer", {
    file = place.file, line = place.line, spec = text, name = name, period = period, at = hour and tonumber(hour) * 60 + tonumber(minute) or -1, fn = core.fn(f),
  })
end)

core.export("portal", function(code)
  local place = check.place()
  check.name("portal", place, code)
  return function(declared)
    if type(declared) ~= "table" then return check.fail(place, "portal takes a table") end
    if type(declared.path) ~= "string" then check.fail(place, "portal needs \"path\"") end
    core.declare("portal", {
      file = place.file, line = place.line, code = code, path = declared.path or code, direction = declared.direction, audience = declared.audience,
      label = check.label("portal", place, declared.label, code), settings = core.json(declared),
    })
  end
end)
