-- shell.lua: one line of `perigee shell`: an expression or a statement, in an environment that lasts as long as the prompt. Trusted.
local core, line = ...

if not core.shell then
  local own = {}
  local env = core.environment(own)
  -- At a prompt a global is how one keeps something from line to line.
  core.shell = setmetatable({}, { __index = function(_, key)
    local ok, value = core.pcall(function() return env[key] end)
    return ok and value or nil
  end })
end

local function show(value, depth)
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) == "userdata" then
    local ok, entity = core.pcall(function() return value.entity end)
    if not ok or depth > 1 then return tostring(value) end
    local parts = {}
    for _, name in ipairs(core.fields(entity)) do
      local got = value[name]
      if got ~= nil then parts[#parts + 1] = name .. " = " .. show(got, depth + 1) end
    end
    return entity .. " { " .. table.concat(parts, ", ") .. " }"
  end
  if type(value) ~= "table" or depth > 4 then return tostring(value) end
  local parts = {}
  for i, item in ipairs(value) do parts[i] = show(item, depth + 1) end
  local keys = {}
  for key in pairs(value) do
    if math.type(key) ~= "integer" then keys[#keys + 1] = tostring(key) end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do parts[#parts + 1] = key .. " = " .. show(value[key], depth + 1) end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local load = core.load(core.shell)
local chunk, problem = load("return " .. line)
if not chunk then chunk, problem = load(line) end
if not chunk then error(problem, 0) end
local results = table.pack(chunk())
local lines = {}
for i = 1, results.n do lines[i] = show(results[i], 0) end
return table.concat(lines, "\n")
