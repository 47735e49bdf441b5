-- testing.lua: what `perigee test` gives to *_test.lua: test(name, function(t) … end) and the functions of `t`. Trusted; loaded by that
-- command alone. Every test runs in a transaction of its own that is rolled back, at the same moment of a clock that stands still.
local core = ...
local T, crm, check = core.test, core.crm, core.check_words

local tests, current = {}, nil -- of the file that runs; the user who acts, nil: the system
local http, mails, sharepoint = nil, {}, nil

local function place()
  local file, line = core.where()
  return file .. ":" .. line
end

local function fail(message)
  error({ test_failed = true, message = message, place = place() }, 0)
end

-- Runs f as somebody; the one who acted before acts again afterwards, whatever happens.
local function acting(user, f, ...)
  local before = current
  current = user
  T.become(user)
  local results = table.pack(core.pcall(f, ...))
  current = before
  T.become(before)
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

-- ---- comparing ----

local function same(a, b, depth)
  if a == b then return true end
  if math.type(a) and math.type(b) then return math.abs(a - b) < 1e-9 end
  if type(a) ~= "table" or type(b) ~= "table" or depth > 20 then return false end
  for key, value in pairs(a) do
    if not same(value, b[key], depth + 1) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function show(value, depth)
  depth = depth or 0
  if type(value) == "string" then return string.format("%q", value) end
  if type(value) ~= "table" or depth > 3 then return tostring(value) end
  local parts, keys = {}, {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = (math.type(key) and "" or tostring(key) .. " = ") .. show(value[key], depth + 1)
  end
  return "{ " .. table.concat(parts, ", ") .. " }"
end

-- ---- what a person does ----

local function entity_of(record)
  return type(record) == "string" and record or record.entity
end

-- The functions of `crm` under somebody's rights.
local function person(user)
  local p = {}
  local function act(right, entity, f, ...)
    T.used(user, right, entity)
    return acting(user, f, ...)
  end
  function p.create(entity, fields) return act("create", entity, crm.create, entity, fields or {}) end
  function p.get(entity, id) return act("read", entity_of(entity), crm.get, entity_of(entity), id or entity.id) end
  function p.find(entity, filter, ...)
    return act("read", entity, crm.find, entity, filter or "", { params = { ... }, limit = 500 })
  end
  function p.count(entity, filter, ...) return #p.find(entity, filter, ...) end
  function p.update(record, ...) return act("update", entity_of(record), crm.update, record, ...) end
  function p.move(record, ...) return act("update", entity_of(record), crm.move, record, ...) end
  function p.remove(record, ...) return act("delete", entity_of(record), crm.remove, record, ...) end
  function p.comment(record, ...) return act("read", entity_of(record), crm.comment, record, ...) end
  function p.action(record, name, args) return act("update", record.entity, T.action, record, name, args or {}) end
  return p
end

local system = person(nil)

-- ---- jobs and timers ----

local answers = {}

answers["crm.create"] = function(a) return { entity = a.entity, id = system.create(a.entity, a.fields).id } end
answers["crm.update"] = function(a)
  acting(nil, crm.update, a.entity, a.id, a.fields)
  return { entity = a.entity, id = a.id }
end
answers["crm.move"] = function(a)
  acting(nil, crm.move, a.entity, a.id, a.stage)
  return { entity = a.entity, id = a.id }
end
answers["crm.remove"] = function(a) acting(nil, crm.remove, a.entity, a.id) end
answers["crm.comment"] = function(a)
  acting(nil, crm.comment, a.entity, a.id, a.text)
  return { entity = a.entity, id = a.id }
end
answers["crm.enqueue"] = function(a) T.enqueue(a.job, a.args, a.key, a.due) end
answers["http.request"] = function(a)
  if not http then error("a job asks for " .. tostring(a.method or "GET") .. " " .. tostring(a.url) .. ": say t.http(function(request) … end)", 0) end
  local answer = http(a) or {}
  return { status = answer.status or 200, headers = answer.headers or {}, body = answer.body or "" }
end
answers["mail.send"] = function(a)
  mails[#mails + 1] = a
  return { id = "mail-" .. #mails }
end

local function answer_to(name, args, job)
  if name == "step" then
    T.step(job.id, args.name, args.result)
    return nil
  end
  local f = answers[name]
  if f then return f(args) end
  if string.find(name, "^sharepoint%.") then
    if not sharepoint then error("a job calls " .. name .. ": say t.sharepoint(function(name, args) … end)", 0) end
    return sharepoint(string.match(name, "%.(.*)"), args)
  end
  error("tests do not know \"" .. name .. "\"", 0)
end

-- One attempt; what it asks for is done at once.
local function run_job(job)
  local handle = T.job_start(job.job, job.args, job.steps)
  local state, name, args = T.job_run(handle)
  while state == "asks" do
    if name == "retry" then return "retry", args.why, args.after end
    local ok, value = core.pcall(answer_to, name, args, job)
    if ok then
      state, name, args = T.job_run(handle, value)
    else
      if type(value) == "table" and value.test_failed then error(value, 0) end
      state, name, args = T.job_run(handle, nil, tostring(value))
    end
  end
  return state, name
end

local function run_due()
  local ran = 0
  while true do
    local job = T.claim()
    if not job then return ran end
    ran = ran + 1
    if ran > 10000 then fail("more than 10000 jobs are due: does one enqueue itself?") end
    local state, text, after = run_job(job)
    T.finish(job, state, text, after and check.duration(after) or nil)
  end
end

local function advance(span)
  local ms = check.duration(span)
  if not ms then fail("t.advance takes a span such as \"15m\", \"3d\" or \"1w\", not " .. show(span)) end
  local target = T.now() + ms
  run_due()
  for _ = 1, 100000 do
    local due = T.next_due(target)
    if not due then break end
    if due > T.now() then T.set(due) end
    T.start_timers()
    run_due()
  end
  T.set(target)
end

-- ---- t ----

local function make_t()
  local t = { crm = crm }
  for name in pairs(system) do
    t[name] = function(...) return person(current)[name](...) end
  end
  --- From now on `login` acts; made when there is nobody of that name. Gives the functions of `crm` under their rights.
  function t.as(login, ...)
    local fields, roles = nil, { ... }
    if type(roles[#roles]) == "table" then fields = table.remove(roles) end
    local found = system.find("user", "login = $1", login)[1]
    if not found then
      local made = { login = login, name = login }
      if #roles > 0 then made.roles = roles end
      for name, value in pairs(fields or {}) do made[name] = value end
      found = system.create("user", made)
    elseif #roles > 0 or fields then
      local changed = fields or {}
      if #roles > 0 then changed.roles = roles end
      found = acting(nil, crm.update, found, changed)
    end
    current = found.id
    T.become(current)
    return person(current), found
  end
  --- From now on the system acts: nothing is forbidden.
  function t.system()
    current = nil
    T.become(nil)
    return system
  end
  --- A company that the one who acts may work with.
  function t.company(fields)
    local made = { name = "Company " .. T.serial() }
    if current then
      local user = system.get("user", current)
      made.responsible, made.direction = current, user.direction
    end
    for name, value in pairs(fields or {}) do made[name] = value end
    return system.create("company", made)
  end
  function t.ok(value, message)
    if not value then fail(message or "a true value expected, not " .. show(value)) end
  end
  function t.equal(got, wanted, message)
    if not same(got, wanted, 0) then
      fail((message and message .. ": " or "") .. "got " .. show(got) .. ", wanted " .. show(wanted))
    end
  end
  --- f is refused with that code: the kind of the answer ("gate_refused", "forbidden") or the code that a script or field gave.
  function t.rejects(code, f)
    local ok, problem = core.pcall(f)
    if ok then fail("nothing was refused; \"" .. tostring(code) .. "\" expected") end
    if type(problem) ~= "userdata" then error(problem, 0) end
    if problem.kind == code then return problem end
    local codes = {}
    for _, entry in ipairs(problem.errors) do
      if entry.code == code then return problem end
      codes[#codes + 1] = entry.code
    end
    fail("refused with " .. problem.kind .. (#codes > 0 and " (" .. table.concat(codes, ", ") .. ")" or "") .. ", not \"" .. tostring(code) .. "\": "
      .. tostring(problem))
  end
  function t.now() return T.time() end
  t.advance = advance
  --- Runs what is due now without moving the clock; gives how many jobs ran.
  t.run = run_due
  function t.http(f) http = f end
  function t.sharepoint(f) sharepoint = f end
  function t.mails() return mails end
  function t.jobs(name) return T.jobs(name) end
  return t
end

-- ---- running ----

local function why(problem, where)
  if type(problem) == "table" and problem.test_failed then return problem.message, problem.place end
  local text = type(problem) == "table" and "an error object that is not a text was raised" or tostring(problem)
  if where and string.sub(text, 1, #where + 1) == where .. ":" then where = nil end -- it says so itself
  return text, where
end

local function run_test(one)
  current, http, mails, sharepoint = nil, nil, {}, nil
  T.begin()
  T.become(nil)
  local where
  local ok, problem = core.xpcall(one.run, function(e)
    where = place()
    return e
  end, make_t())
  local message
  if not ok then message, where = why(problem, where) end
  T.rollback()
  return ok, message, where
end

local number = 0

--- core.run_tests(name, filter): runs a file of tests; gives how many passed and failed.
function core.run_tests(file)
  tests = {}
  local passed, failed = 0, 0
  local env = core.environment {
    test = function(name, f)
      if type(name) ~= "string" or type(f) ~= "function" then error("write test(\"what it promises\", function(t) … end)", 2) end
      tests[#tests + 1] = { name = name, run = f }
    end,
    require = function(name) error("there is no module \"" .. tostring(name) .. "\" for tests", 2) end,
  }
  T.out("# " .. file)
  local chunk, problem = T.compile(file, env)
  local ok = chunk ~= nil
  if ok then ok, problem = core.pcall(chunk) end
  if not ok then
    number = number + 1
    T.out("not ok " .. number .. " - " .. file)
    T.out("  # " .. tostring(problem))
    return 0, 1
  end
  for _, one in ipairs(tests) do
    number = number + 1
    local fine, message, where = run_test(one)
    T.out((fine and "ok " or "not ok ") .. number .. " - " .. one.name)
    if fine then
      passed = passed + 1
    else
      failed = failed + 1
      for line in string.gmatch((where and where ~= "" and where .. ": " or "") .. message, "[^\n]+") do T.out("  # " .. line) end
    end
  end
  return passed, failed
end
