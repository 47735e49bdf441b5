-- sandbox.lua: what scripts may touch. Runs first, trusted, with the table `core` of C primitives; returns a function that makes
-- the environment of a workflow folder or of a plugin. What is not handed out here does not exist for scripts.
local core = ...

local real_setmetatable, real_getmetatable, real_rawset = setmetatable, getmetatable, rawset
local real_pcall, real_xpcall, real_load, real_error = pcall, xpcall, load, error
local real_type, real_next = type, next
local table_move, table_insert, table_remove, table_concat, table_sort = table.move, table.insert, table.remove, table.concat, table.sort
local check = core.check

local frozen = real_setmetatable({}, { __mode = "k" })

--- A read-only view of a table: reading and pairs work, writing is an error that names it.
local function freeze(name, content)
  local view = {}
  frozen[view] = true
  return real_setmetatable(view, {
    __index = content,
    __newindex = function(_, key)
      real_error("\"" .. name .. "\" is read-only: cannot set \"" .. tostring(key) .. "\"", 2)
    end,
    __pairs = function()
      return function(_, key) return real_next(content, key) end, view, nil
    end,
    __len = function() return #content end,
    __metatable = false,
  })
end

-- A crossed limit passes through every pcall: check() raises it again.
local function protected(...)
  check()
  return ...
end

local function size_ok(t)
  if real_type(t) ~= "table" or rawlen(t) ~= #t or #t > 1000000 then
    real_error("a plain list of at most 1000000 elements expected", 3)
  end
end

local base = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, rawequal = rawequal, rawget = rawget, rawlen = rawlen,
  select = select, tonumber = tonumber, tostring = tostring, type = type, _VERSION = _VERSION,
  pcall = function(f, ...) return protected(real_pcall(f, ...)) end,
  xpcall = function(f, handler, ...) return protected(real_xpcall(f, handler, ...)) end,
  getmetatable = function(value)
    if real_type(value) == "string" then return false end
    return real_getmetatable(value)
  end,
  setmetatable = function(t, meta)
    if real_type(meta) == "table" and rawget(meta, "__gc") ~= nil then
      real_error("__gc is not available to scripts", 2)
    end
    return real_setmetatable(t, meta)
  end,
  rawset = function(t, key, value)
    if frozen[t] then real_error("this table is read-only", 2) end
    return real_rawset(t, key, value)
  end,
  collectgarbage = function(what)
    if what ~= "count" then real_error("only collectgarbage(\"count\") is available to scripts", 2) end
    return core.memory()
  end,
  print = function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    core.log("info", table_concat(parts, "\t"))
  end,
}

local pattern = core.pattern
base.string = freeze("string", {
  byte = string.byte, char = string.char, format = string.format, len = string.len, lower = string.lower, rep = string.rep,
  reverse = string.reverse, sub = string.sub, upper = string.upper, pack = string.pack, unpack = string.unpack, packsize = string.packsize,
  find = pattern.find, match = pattern.match, gmatch = pattern.gmatch, gsub = pattern.gsub,
})
base.table = freeze("table", {
  pack = table.pack, unpack = table.unpack,
  concat = function(t, ...) size_ok(t) return table_concat(t, ...) end,
  insert = function(t, ...) size_ok(t) return table_insert(t, ...) end,
  remove = function(t, ...) size_ok(t) return table_remove(t, ...) end,
  sort = function(t, ...) size_ok(t) return table_sort(t, ...) end,
  move = function(a, f, e, t, b)
    if real_type(f) == "number" and real_type(e) == "number" and e - f > 1000000 then
      real_error("at most 1000000 elements can be moved", 2)
    end
    return table_move(a, f, e, t, b)
  end,
})
base.crm = core.crm
base.reject = core.crm.reject
base.http, base.mail, base.sharepoint = freeze("http", core.http), freeze("mail", core.mail), freeze("sharepoint", core.sharepoint)
base.math = freeze("math", math)
base.utf8 = freeze("utf8", utf8)
base.coroutine = freeze("coroutine", coroutine)
base.os = freeze("os", { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime })

local string_meta = real_getmetatable("")
string_meta.__index = base.string
string_meta.__metatable = false

local words = {}

--- Called by scripts/words: makes a word known to scripts.
function core.export(name, value)
  if real_type(value) == "table" then value = freeze(name, value) end
  words[name] = value
end

core.freeze = freeze

--- A new environment. `label` is for messages, `find` gives the chunk of a module by name.
return function(label, find)
  local env, loaded = {}, {}
  env.load = function(chunk, name, _, use)
    if real_type(chunk) ~= "string" or #chunk > 1048576 then real_error("load takes a text of at most 1 MiB", 2) end
    return real_load(chunk, name or "=(load)", "t", use or env)
  end
  env.require = function(name)
    if loaded[name] ~= nil then return loaded[name] end
    local chunk, problem = find(name, env)
    if not chunk then real_error(problem, 2) end
    loaded[name] = true
    local result = chunk(name)
    if result ~= nil then loaded[name] = result end
    return loaded[name]
  end
  env._G = env
  frozen[env] = true
  return real_setmetatable(env, {
    __index = function(_, key)
      local value = base[key]
      if value == nil then value = words[key] end
      return value
    end,
    __newindex = function(_, key)
      real_error("\"" .. tostring(key) .. "\" is not declared: write \"local " .. tostring(key) .. "\" (" .. label .. ")", 2)
    end,
    __metatable = false,
  })
end
