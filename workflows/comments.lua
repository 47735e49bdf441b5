-- comments.lua: decides who hears of a comment: those it mentions (if they may see the record) and those who follow the record. What a
-- partner's staff write is for both sides; an internal comment is never told to them.

local function each_mention(text, f)
  for login in string.gmatch(" " .. (text or ""), "[%s(,;]@([%w._-]+)") do f((string.gsub(login, "[._-]+$", ""))) end
end

-- "@anna" names a colleague by login. Whoever may not see the record is not told of it and is not listed.
on("comment", "before_create", function(comment)
  if crm.user.partner then comment.internal = false end
  local record, seen, mentions = crm.record(comment.record), {}, {}
  each_mention(comment.text, function(login)
    if seen[login] or #mentions >= 20 then return end
    seen[login] = true
    local user = crm.system("a mention finds its user by login", function() return crm.find("user", "login = $1", { params = { login }, limit = 1 })[1] end)
    local outside = user and user.partner and comment.internal
    if user and record and not outside and crm.can(user.id, "read", record) then mentions[#mentions + 1] = user.id end
  end)
  comment.mentions = mentions
end)

local function followers(record)
  local users = crm.system("those who follow a record are told of it", function()
    local list = {}
    for _, follower in ipairs(crm.find("follower", "record = $1", { params = { record.id }, limit = 200 })) do list[#list + 1] = follower.user end
    return list
  end)
  if record.entity == "opportunity" or record.entity == "lead" then
    -- A saved view has a field "entity" of its own, and nobody responsible.
    local known, responsible = pcall(function() return record.responsible end)
    if known and responsible then users[#users + 1] = responsible end
  end
  return users
end

local function shorten(text)
  return utf8.len(text) <= 120 and text or string.sub(text, 1, utf8.offset(text, 120) - 1) .. "…"
end

on("comment", "after_create", function(comment)
  local record, told = crm.record(comment.record), {}
  if not record then return end
  for _, user in ipairs(comment.mentions or {}) do
    told[user] = true
    crm.notify(user, { en = "You are mentioned: " .. shorten(comment.text), ru = "Вас упомянули: " .. shorten(comment.text) }, { kind = "mentioned", record = record })
  end
  for _, user in ipairs(followers(record)) do
    if not told[user] then
      told[user] = true
      crm.notify(user, { en = "New comment: " .. shorten(comment.text), ru = "Новый комментарий: " .. shorten(comment.text) }, { kind = "commented", record = record })
    end
  end
end)

-- A deal that moved is told to its responsible, presale and followers; a new responsible is told that it is theirs.
on("opportunity", "after_change", function(deal, before)
  local told = {}
  if deal.responsible and deal.responsible ~= before.responsible then
    told[deal.responsible] = true
    crm.notify(deal.responsible, { en = "Deal for you: " .. deal.name, ru = "Вам назначена сделка: " .. deal.name }, { kind = "assigned", record = deal })
  end
  if deal.stage == before.stage then return end
  local stage = crm.get("stage", deal.stage)
  local name = function(language) return stage and crm.text(stage.name, language) or deal.stage end
  local users = followers(deal)
  users[#users + 1] = deal.presale
  for _, user in ipairs(users) do
    if not told[user] then
      told[user] = true
      crm.notify(user, { en = deal.name .. " moved to " .. name("en"), ru = deal.name .. ": этап «" .. name("ru") .. "»" }, { kind = "stage_moved", record = deal })
    end
  end
end)

-- Work on a deal keeps it from growing stale.
local function touch(record)
  local deal = record and crm.record(record)
  if deal and deal.entity == "opportunity" and deal.status ~= "won" and deal.status ~= "lost" then
    crm.system("work on a deal is remembered", function() crm.update(deal, { touched_at = crm.now() }) end)
  end
end

on("activity", "after_create", function(activity) touch(activity.record) end)

action("opportunity", "follow", { label = { en = "Follow", ru = "Следить" }, right = "read" }, function(deal)
  if #crm.find("follower", "record = $1 and user = @me", { params = { deal.id } }) == 0 then crm.create("follower", { record = deal, user = crm.user.id }) end
end)

action("opportunity", "unfollow", { label = { en = "Do not follow", ru = "Не следить" }, right = "read" }, function(deal)
  for _, follower in ipairs(crm.find("follower", "record = $1 and user = @me", { params = { deal.id } })) do crm.remove(follower) end
end)
