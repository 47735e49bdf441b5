-- reports.lua: decides what is reported, all of it under the rights of whoever asks: GET /api/v1/x/reports/… with an optional `filter` in the
-- language of lists. Closed and deactivated deals count where they should.
local ask = require "lib.request"

-- Partner staff have no reports: they would be made of fields that a portal does not show.
local employees = { "crm_admin", "crm_read_admin", "crm_manager", "crm_sales", "crm_pam", "crm_presale", "crm_marketeer", "crm_certificate_manager" }

local function report(name, known, f)
  known[#known + 1] = "filter"
  route("GET", "/api/v1/x/reports/" .. name, { allow = employees }, function(request)
    local given = ask.arguments(request.query, known)
    if given.filter then
      local code, words = crm.filter_problem(name == "activity" and "activity" or "opportunity", given.filter)
      if code then reject(code, words, { field = "filter" }) end
    end
    return f(given)
  end)
end

local function created_between(given)
  local from, to = ask.date(given, "from"), ask.date(given, "to")
  return ask.all(from and ("created_at >= " .. from), to and ("created_at < " .. to .. " + 1d"))
end

local function share(part, whole)
  return whole > 0 and math.floor(part * 10000 / whole + 0.5) / 100 or crm.null
end

local function stages()
  return crm.find("stage", 'pipeline = "sales"', { sort = "order", limit = 200 })
end

-- How many deals reached each stage (a deal counts for all stages up to where it stands or was closed), and how many went on.
report("funnel", { "from", "to" }, function(given)
  local here, reached, list = {}, { count = 0, amount = 0 }, crm.json.list {}
  for _, group in ipairs(crm.aggregate("opportunity", { group_by = "stage", sum = "amount_base", filter = ask.all(created_between(given), given.filter) })) do
    if group.key.stage then here[group.key.stage] = group end
  end
  local all = stages()
  for i = #all, 1, -1 do
    local stage, group = all[i], here[all[i].code]
    local before = reached.count
    reached.count = reached.count + (group and group.count or 0)
    reached.amount = reached.amount + (group and group.sum.amount_base or 0)
    list[i] = {
      stage = stage.code, label = crm.text(stage.name), here = group and group.count or 0, reached = reached.count, amount = reached.amount,
      conversion = i < #all and share(before, reached.count) or crm.null, -- per cent that went on to the next stage
    }
  end
  return { stages = list, deals = reached.count }
end)

-- What is expected, in the main currency: won deals in full, open ones by their probability.
report("forecast", { "from", "to", "by" }, function(given)
  local by = ask.choice(given, "by", { "month", "direction", "responsible", "partner" })
  local from, to = ask.date(given, "from"), ask.date(given, "to")
  local filter = ask.all('status != "lost"', from and ("close_date >= " .. from), to and ("close_date <= " .. to), given.filter)
  local keys = by == "month" and "close_date:month" or "close_date:month," .. by
  local rows = crm.json.list {}
  for _, group in ipairs(crm.aggregate("opportunity", { group_by = keys, sum = "forecast,amount_base", filter = filter })) do
    local row = { month = group.key["close_date:month"] or crm.null, count = group.count, forecast = group.sum.forecast, amount = group.sum.amount_base }
    if by ~= "month" then row[by] = group.key[by] or crm.null end
    rows[#rows + 1] = row
  end
  return { by = by, rows = rows }
end)

report("outcomes", { "from", "to" }, function(given)
  local from, to = ask.date(given, "from"), ask.date(given, "to")
  local filter = ask.all('status in ("won", "lost")', from and ("closed_at >= " .. from), to and ("closed_at < " .. to .. " + 1d"), given.filter)
  local rows, won, lost = crm.json.list {}, 0, 0
  for _, group in ipairs(crm.aggregate("opportunity", { group_by = "status,lost_reason,status_reason", sum = "amount_base", filter = filter })) do
    local reason = group.key.status == "lost" and group.key.lost_reason or group.key.status_reason
    if group.key.status == "won" then won = won + group.count else lost = lost + group.count end
    rows[#rows + 1] = { status = group.key.status, reason = reason or crm.null, count = group.count, amount = group.sum.amount_base }
  end
  return { rows = rows, won = won, lost = lost, win_rate = share(won, won + lost) }
end)

report("activity", { "from", "to" }, function(given)
  local from, to = ask.date(given, "from"), ask.date(given, "to")
  local people, order = {}, crm.json.list {}
  local function person(id)
    if not people[id] then
      local user = crm.get("user", id)
      people[id] = { user = id, name = user and user.name or crm.null, call = 0, meeting = 0, note = 0, letter = 0, minutes = 0, tasks_done = 0 }
      order[#order + 1] = people[id]
    end
    return people[id]
  end
  local when = ask.all(from and ("when >= " .. from), to and ("when < " .. to .. " + 1d"), given.filter)
  for _, group in ipairs(crm.aggregate("activity", { group_by = "created_by,kind", sum = "duration", filter = when })) do
    if group.key.created_by then
      local row = person(group.key.created_by)
      row[group.key.kind] = row[group.key.kind] + group.count
      row.minutes = row.minutes + (group.sum.duration or 0)
    end
  end
  local done = ask.all('status = "done"', from and ("done_at >= " .. from), to and ("done_at < " .. to .. " + 1d"))
  for _, group in ipairs(crm.aggregate("task", { group_by = "assignee", filter = done })) do
    if group.key.assignee then person(group.key.assignee).tasks_done = group.count end
  end
  return { people = order }
end)

report("partners", { "from", "to" }, function(given)
  local partners, order = {}, crm.json.list {}
  local function partner(id)
    if not partners[id] then
      local record = crm.get("partner", id)
      partners[id] = { partner = id, name = record and record.name or crm.null, open = 0, won = 0, lost = 0, won_amount = 0, forecast = 0, registrations = 0, approved = 0 }
      order[#order + 1] = partners[id]
    end
    return partners[id]
  end
  local between = created_between(given)
  local filter = ask.all("partner is not null", between, given.filter)
  for _, group in ipairs(crm.aggregate("opportunity", { group_by = "partner,status", sum = "amount_base,forecast", filter = filter })) do
    local row = partner(group.key.partner)
    local kind = (group.key.status == "won" or group.key.status == "lost") and group.key.status or "open"
    row[kind] = row[kind] + group.count
    if kind == "won" then row.won_amount = row.won_amount + (group.sum.amount_base or 0) end
    if kind == "open" then row.forecast = row.forecast + (group.sum.forecast or 0) end
  end
  for _, group in ipairs(crm.aggregate("registration", { group_by = "partner,state", filter = between })) do
    local row = partner(group.key.partner)
    row.registrations = row.registrations + group.count
    if group.key.state == "approved" or group.key.state == "converted" then row.approved = row.approved + group.count end
  end
  for _, row in ipairs(order) do row.win_rate = share(row.won, row.won + row.lost) end
  return { partners = order }
end)

-- How long deals stay in each stage, of those that left it.
report("durations", { "from", "to" }, function(given)
  local from, to = ask.date(given, "from"), ask.date(given, "to")
  local left, rows = {}, crm.json.list {}
  local when = ask.all("from is not null", from and ("at >= " .. from), to and ("at < " .. to .. " + 1d"))
  for _, group in ipairs(crm.aggregate("stage_change", { group_by = "from", avg = "seconds", max = "seconds", filter = when })) do left[group.key.from] = group end
  for _, stage in ipairs(stages()) do
    local group = left[stage.code]
    rows[#rows + 1] = {
      stage = stage.code, label = crm.text(stage.name), left = group and group.count or 0,
      days = group and math.floor((group.avg.seconds or 0) / 864 + 0.5) / 100 or crm.null, longest_days = group and math.floor((group.max.seconds or 0) / 864 + 0.5) / 100 or crm.null,
    }
  end
  return { stages = rows }
end)
