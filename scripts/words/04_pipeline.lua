-- 04_pipeline.lua: pipeline "name" { stage "code" { … } … } and chain "code" { task "code" { … } … }.
local core = ...
local check = core.check_words

local stage_shape = {
  label = { "table", "string" }, lifecycle = "string", probability = "number", require = "table", documents = "table", gate = "function", chain = "string",
  on_enter = "function", on_leave = "function", skippable = "boolean", order = "integer",
}

-- What a script states about a stage, as fields of its record.
local function stated(declared)
  local record = {}
  if declared.label then record.name = type(declared.label) == "table" and { en = declared.label.en, ru = declared.label.ru } or declared.label end
  record.lifecycle_step, record.probability, record.chain = declared.lifecycle, declared.probability, declared.chain
  record.require, record.documents, record.skippable, record.order = declared.require, declared.documents, declared.skippable, declared.order
  return record
end

local function stage_member(code)
  local place = check.place()
  return function(declared)
    local ok = check.attributes("stage", place, declared, stage_shape)
    if not check.name("stage", place, code) or not ok then return { is_stage = true, bad = true } end
    if declared.probability and (declared.probability < 0 or declared.probability > 100) then
      check.fail(place, "stage \"" .. code .. "\": \"probability\" is from 0 to 100, not " .. declared.probability)
    end
    local record = stated(declared)
    return {
      is_stage = true, file = place.file, line = place.line, code = code, attributes = record, names = check.keys(record), chain = declared.chain,
      gate = check.fn(declared.gate), on_enter = check.fn(declared.on_enter), on_leave = check.fn(declared.on_leave),
      require = check.texts("stage", place, "require", declared.require),
    }
  end
end

-- `stage` is a field type with a table and a member of a pipeline with a code.
core.export("stage", function(what)
  if type(what) == "string" then return stage_member(what) end
  return core.stage_field(what)
end)

local pipeline_shape = {
  entity = "string", move = "string", skip = "boolean", skip_by = "string", back = "boolean", back_by = "string",
}

core.export("pipeline", function(name)
  local place = check.place()
  check.name("pipeline", place, name)
  return function(declared)
    if type(declared) ~= "table" then
      return check.fail(place, "pipeline takes a table: pipeline \"code\" { … }, not a " .. type(declared))
    end
    local named, stages, seen = {}, {}, {}
    for key, value in pairs(type(declared) == "table" and declared or {}) do
      if math.type(key) ~= "integer" then named[key] = value end
    end
    check.attributes("pipeline", place, named, pipeline_shape)
    if not named.entity then check.fail(place, "pipeline \"" .. tostring(name) .. "\" needs \"entity\"") end
    for i, member in ipairs(declared) do
      if type(member) ~= "table" or not member.is_stage then
        check.fail(place, "pipeline: member " .. i .. " is not a stage: write stage \"code\" { … }")
      elseif not member.bad then
        if seen[member.code] then check.fail(member, "stage \"" .. member.code .. "\" is declared twice") end
        seen[member.code] = true
        if not member.attributes.order then
          member.default_order = i
        end
        member.attributes.pipeline = name
        member.json = core.json(member.attributes)
        stages[#stages + 1] = member
      end
    end
    core.declare("pipeline", {
      file = place.file, line = place.line, name = name, entity = named.entity, move = named.move, skip = named.skip or false, skip_by = named.skip_by,
      back = named.back ~= false, back_by = named.back_by, stages = stages,
    })
  end
end)

local task_shape = {
  title = { "table", "string" }, after = { "string", "table" }, due = "string", assignee = { "string", "table", "function" }, blocking = "boolean",
  on_done = "function",
}

core.export("task", function(code)
  local place = check.place()
  return function(declared)
    local ok = check.attributes("task", place, declared, task_shape)
    if not check.name("task", place, code) or not ok then return { is_task = true, bad = true } end
    if declared.due and not string.find(declared.due, "^%d+[mhdw]$") and not string.find(declared.due, "^%d+[mhdw] after [a-z][a-z0-9_]*$") then
      check.fail(place, "task \"" .. code .. "\": due is \"2d\" or \"5d after call\" (m, h, d, w), not \"" .. declared.due .. "\"")
    end
    if type(declared.assignee) == "table" then
      if check.attributes("assignee", place, declared.assignee, { role = "string", pick = "string" }) and declared.assignee.pick then
        check.one_of("assignee", place, "pick", declared.assignee.pick, { "least_busy" })
      end
    end
    return {
      is_task = true, file = place.file, line = place.line, code = code, title = declared.title or code,
      after = check.texts("task", place, "after", declared.after), due = declared.due, blocking = declared.blocking or false,
      assignee = type(declared.assignee) ~= "function" and declared.assignee or nil,
      pick = check.fn(type(declared.assignee) == "function" and declared.assignee or nil), on_done = check.fn(declared.on_done),
    }
  end
end)

-- Every `after` names a task of the chain, and no task waits for itself through others.
local function check_order(tasks)
  local known, codes = {}, {}
  for _, task in ipairs(tasks) do
    known[task.code], codes[#codes + 1] = task, task.code
  end
  for _, task in ipairs(tasks) do
    for _, code in ipairs(task.after) do
      if not known[code] then
        local best = core.suggest(code, codes)
        check.fail(task, "task \"" .. task.code .. "\": there is no task \"" .. code .. "\" to come after" .. (best and "; did you mean \"" .. best .. "\"?" or ""), best)
      end
    end
  end
  for _, task in ipairs(tasks) do
    local code = task.due and string.match(task.due, " after (.+)$")
    if code and not known[code] then
      local text, best = check.near(code, codes)
      check.fail(task, "task \"" .. task.code .. "\": there is no task \"" .. code .. "\" for \"due\" to count from" .. text, best)
    end
  end
  local state, path = {}, {}
  local function visit(task)
    if state[task.code] == "done" then return end
    if state[task.code] == "open" then
      local from = 1
      while path[from] ~= task.code do from = from + 1 end
      check.fail(task, "task \"" .. task.code .. "\" waits for itself: " .. table.concat(path, " after ", from) .. " after " .. task.code)
      return
    end
    state[task.code], path[#path + 1] = "open", task.code
    for _, code in ipairs(task.after) do
      if known[code] then visit(known[code]) end
    end
    state[task.code], path[#path] = "done", nil
  end
  for _, task in ipairs(tasks) do visit(task) end
end

core.export("chain", function(code)
  local place = check.place()
  check.name("chain", place, code)
  return function(declared)
    if type(declared) ~= "table" then
      return check.fail(place, "chain takes a table: chain \"code\" { … }, not a " .. type(declared))
    end
    local tasks, seen, label = {}, {}, nil
    for key, value in pairs(type(declared) == "table" and declared or {}) do
      if math.type(key) ~= "integer" then
        if key == "label" then label = value
        else check.attributes("chain", place, { [key] = value }, { label = true }) end
      end
    end
    for i, member in ipairs(type(declared) == "table" and declared or {}) do
      if type(member) ~= "table" or not member.is_task then
        check.fail(place, "chain: member " .. i .. " is not a task: write task \"code\" { … }")
      elseif not member.bad then
        if seen[member.code] then check.fail(member, "task \"" .. member.code .. "\" is declared twice") end
        seen[member.code] = true
        tasks[#tasks + 1] = member
      end
    end
    check_order(tasks)
    for i, task in ipairs(tasks) do
      local after = {}
      for _, name in ipairs(task.after) do after[#after + 1] = code .. "." .. name end
      local record = {
        chain = code, title = task.title, order = i, due = task.due, assignee = task.assignee, blocking = task.blocking, after = #after > 0 and after or nil,
      }
      task.full, task.json, task.names = code .. "." .. task.code, core.json(record), check.keys(record)
    end
    local record = { name = label or nil }
    core.declare("chain", { file = place.file, line = place.line, code = code, json = core.json(record), names = check.keys(record), tasks = tasks })
  end
end)
