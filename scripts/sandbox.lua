-- sandbox.lua: what scripts may touch. Runs first, trusted, with the table `core` of C primitives; gives it core.environment, which makes
-- the globals of the workflow folder or of a plugin. What is not handed out here does not exist for scripts.
local core = ...

local real_setmetatable, real_getmetatable, real_rawset, real_rawget = setmetatable, getmetatable, rawset, rawget
local real_error, real_type, real_next, real_tostring = error, type, next, tostring

local frozen = real_setmetatable({}, { __mode = "k" })

--- A read-only view of a table: reading and pairs work, writing is an error that names it.
local function freeze(name, content)
  local view = {}
  frozen[view] = true
  return real_setmetatable(view, {
    __index = content,
    __newindex = function(_, key)
      real_error("\"" .. name .. "\" is read-only: cannot set \"" .. real_tostring(key) .. "\"", 2)
    end,
    __pairs = function()
      return function(_, key) return real_next(content, key) end, view, nil
    end,
    __len = function() return #content end,
    __metatable = false,
  })
end
core.freeze = freeze

local base = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, rawequal = rawequal, rawget = rawget, rawlen = rawlen,
  select = select, tonumber = tonumber, tostring = tostring, type = type, _VERSION = _VERSION,
  pcall = core.pcall, xpcall = core.xpcall,
  getmetatable = function(value)
    if real_type(value) == "string" then return false end
    return real_getmetatable(value)
  end,
  setmetatable = function(t, meta)
    if real_type(meta) == "table" and real_rawget(meta, "__gc") ~= nil then
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
    for i = 1, parts.n do parts[i] = real_tostring(parts[i]) end
    core.log("info", core.list.concat(parts, "\t"))
  end,
}

local pattern, texts, lists, codes = core.pattern, core.text, core.list, core.codes
base.string = freeze("string", {
  byte = string.byte, char = string.char, len = string.len, sub = string.sub, format = texts.format, lower = texts.lower, rep = texts.rep,
  reverse = texts.reverse, upper = texts.upper, pack = texts.pack, unpack = texts.unpack, packsize = texts.packsize,
  find = pattern.find, match = pattern.match, gmatch = pattern.gmatch, gsub = pattern.gsub,
})
base.table = freeze("table", {
  pack = table.pack, unpack = table.unpack, concat = lists.concat, insert = lists.insert, remove = lists.remove, sort = lists.sort, move = lists.move,
})
base.crm = core.crm
base.reject = core.crm.reject
base.http, base.mail, base.sharepoint = freeze("http", core.http), freeze("mail", core.mail), freeze("sharepoint", core.sharepoint)
base.math = freeze("math", math)
base.utf8 = freeze("utf8", { char = codes.char, codes = utf8.codes, codepoint = codes.codepoint, len = codes.len, offset = codes.offset, charpattern = utf8.charpattern })
base.coroutine = freeze("coroutine", core.coroutine)
base.os = freeze("os", { time = os.time, date = os.date, clock = os.clock, difftime = os.difftime })

local string_meta = real_getmetatable("")
string_meta.__index = base.string
string_meta.__metatable = false

local words, names = {}, {}
core.words = words

--- Called by scripts/words: makes a word known to scripts.
function core.export(name, value)
  if real_type(value) == "table" then value = freeze(name, value) end
  words[name] = value
end

for name in pairs(base) do names[#names + 1] = name end

--- The globals of a folder of scripts. `own` holds what only it has: require, config.
function core.environment(own)
  local env = {}
  own.load, own._G = core.load(env), env
  frozen[env] = true
  return real_setmetatable(env, {
    __index = function(_, key)
      local value = own[key]
      if value == nil then value = base[key] end
      if value == nil then value = words[key] end
      if value ~= nil or real_type(key) ~= "string" then return value end
      local known = {}
      for _, name in ipairs(names) do known[#known + 1] = name end
      for name in pairs(words) do known[#known + 1] = name end
      for name in pairs(own) do known[#known + 1] = name end
      table.sort(known)
      local near = core.suggest(key, known)
      real_error("there is no \"" .. key .. "\"" .. (near and "; did you mean \"" .. near .. "\"?" or ""), 2)
    end,
    __newindex = function(_, key)
      real_error("\"" .. real_tostring(key) .. "\" is not declared: write \"local " .. real_tostring(key) .. "\"", 2)
    end,
    __metatable = false,
  })
end
