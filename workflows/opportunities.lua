-- opportunities.lua: decides what may happen to a deal besides moving: its statuses and their reasons, the frozen amount, what follows a
-- handover, and the actions on its card.
local stages = require "lib.stages"
local money = require "lib.money"

-- ---- statuses ----

local function ask_reason(deal)
  if not deal.status_reason then return end
  local reason = crm.get("status_reason", deal.status_reason)
  if reason and reason.status ~= deal.status then
    reject("wrong_reason", { en = "That reason belongs to another status", ru = "Эта причина относится к другому статусу" }, { field = "status_reason" })
  end
end

local function ask_loss(deal)
  local reason = crm.get("lost_reason", deal.lost_reason)
  if reason and reason.asks_competitor and not deal.competitor then
    reject("required", { en = "Name the competitor", ru = "Укажите конкурента" }, { field = "competitor" })
  end
end

local function ask_win(deal)
  if not stages.at_least(deal, "contract") then
    reject("too_early", { en = "A deal is won from the contract on", ru = "Выиграть сделку можно начиная с договора" }, { field = "stage" })
  end
end

states "opportunity" {
  field = "status", first = { "open", "in_progress" }, closed = { "won", "lost" },
  way { "open", "in_progress" },
  way { { "open", "in_progress" }, "on_hold" },
  way { "on_hold", "in_progress" },
  way { { "open", "in_progress" }, "won", check = ask_win },
  way { { "open", "in_progress", "on_hold" }, "lost", require = { "lost_reason" }, check = ask_loss },
  way { { "won", "lost" }, "in_progress", roles = { "crm_manager" } }, -- reopen
}

rule("opportunity", function(deal, before)
  if before and deal.status ~= before.status and deal.status_reason == before.status_reason then deal.status_reason = nil end
  ask_reason(deal)
  if deal.status == "lost" and not before then ask_loss(deal) end
end)

-- From the contract on the amount is agreed: only a manager changes it.
rule("opportunity", function(deal, before)
  if not before or (deal.amount == before.amount and deal.currency == before.currency) then return end
  if stages.at_least(before, "contract") and not crm.has_role("crm_manager") then
    reject("amount_frozen", { en = "The amount is fixed from the contract on", ru = "С этапа договора сумма не меняется" }, { field = "amount" })
  end
end)

-- ---- what the server keeps on the card ----

on("opportunity", "before_create", function(deal)
  deal.stage_since, deal.touched_at = crm.now(), crm.now()
  deal.rate = money.rate(deal.currency)
end)

on("opportunity", "before_change", function(deal, before)
  if deal.stage ~= before.stage then deal.stage_since = crm.now() end
  if deal.currency ~= before.currency then deal.rate = money.rate(deal.currency) end
  if deal.status ~= before.status then
    local closed = deal.status == "won" or deal.status == "lost"
    deal.closed_at = closed and crm.now() or nil
    if deal.status == "won" then deal.probability = 100 end
    if before.status == "won" or before.status == "lost" then deal.lost_reason, deal.competitor = nil, nil end
  end
  if not deal.adopted_at and (deal.status == "won" or (deal.stage == "handover" and before.stage ~= "handover")) then deal.adopted_at = crm.now() end
  deal.touched_at = crm.now()
end)

-- ---- what follows ----

-- A handed-over or won deal makes its company a client; the daily timer below comes back to it after ninety days.
on("opportunity", "after_change", function(deal, before)
  if not deal.adopted_at or before.adopted_at then return end
  crm.system("a handed-over or won deal makes its company a client", function()
    crm.update("company", deal.company, { lifecycle_step = "adoption", status = "client" })
  end)
end)

on("opportunity", "after_change", function(deal, before)
  if deal.status ~= "lost" or before.status == "lost" then return end
  crm.system("the tasks of a lost deal are cancelled", function()
    local open = crm.find("task", 'record = $1 and status in ("waiting", "open", "in_progress")', { params = { deal.id }, limit = 200 })
    for _, task in ipairs(open) do crm.update(task, { status = "cancelled" }) end
  end)
end)

every("1d at 07:00", "propose_growth", function()
  local due = crm.find("opportunity", "adopted_at <= @now - 90d and growth_proposed_at is null and status != \"lost\"", { limit = 200 })
  for _, deal in ipairs(due) do
    crm.system("ninety days after the handover growth is proposed", function()
      local company = crm.get("company", deal.company)
      crm.create("task", {
        title = { en = "Propose growth to the client: " .. company.name, ru = "Предложить клиенту развитие: " .. company.name },
        record = company, assignee = deal.responsible or company.responsible, due = crm.workday(crm.now(), 5),
      })
      crm.update(company, { lifecycle_step = "growth" })
      crm.update(deal, { growth_proposed_at = crm.now() })
    end)
  end
end)

-- ---- a closed deal is read-only: so is what hangs on it, but for comments and tasks that are under way ----

local function deal_of(record)
  local deal = record and crm.get("opportunity", record)
  return deal and (deal.status == "won" or deal.status == "lost") and deal or nil
end

local function refuse_closed(field)
  return function(record)
    if not crm.trusted() and deal_of(record[field]) then
      reject("closed", { en = "The deal is closed: it is read-only", ru = "Сделка закрыта и доступна только для чтения" }, { field = field })
    end
  end
end

rule("line", refuse_closed("opportunity"))
on("line", "before_delete", refuse_closed("opportunity"))
rule("document", refuse_closed("record"))
on("activity", "before_create", refuse_closed("record"))
on("task", "before_create", refuse_closed("record"))

-- ---- actions ----

local reason = function() return ref { to = "status_reason", label = { en = "Reason", ru = "Причина" } } end

action("opportunity", "start", { label = { en = "Start work", ru = "Взять в работу" }, when = 'status = "open"' }, function(deal)
  deal.status = "in_progress"
end)

action("opportunity", "hold", { label = { en = "Put on hold", ru = "Отложить" }, when = 'status in ("open", "in_progress")', fields = { status_reason = reason() } },
  function(deal, args)
    deal.status, deal.status_reason = "on_hold", args.status_reason
  end)

action("opportunity", "resume", { label = { en = "Resume", ru = "Возобновить" }, when = 'status = "on_hold"', fields = { status_reason = reason() } }, function(deal, args)
  deal.status, deal.status_reason = "in_progress", args.status_reason
end)

action("opportunity", "win", {
  label = { en = "Won", ru = "Выиграна" }, when = 'status in ("open", "in_progress")', fields = { status_reason = reason() },
}, function(deal, args)
  deal.status, deal.status_reason, deal.probability = "won", args.status_reason, 100
end)

action("opportunity", "lose", {
  label = { en = "Lost", ru = "Проиграна" }, when = 'status in ("open", "in_progress", "on_hold")',
  fields = {
    lost_reason = ref { to = "lost_reason", required = true, label = { en = "Why", ru = "Почему" } },
    competitor = text { label = { en = "Competitor", ru = "Конкурент" } },
    status_reason = reason(),
  },
}, function(deal, args)
  deal.status, deal.lost_reason, deal.competitor, deal.status_reason = "lost", args.lost_reason, args.competitor, args.status_reason
end)

action("opportunity", "reopen", {
  label = { en = "Reopen", ru = "Открыть снова" }, when = 'status in ("won", "lost")', roles = { "crm_manager", "crm_admin" },
  fields = { status_reason = reason() },
}, function(deal, args)
  deal.status, deal.status_reason = "in_progress", args.status_reason
end)

action("opportunity", "take_total", { label = { en = "Amount from the lines", ru = "Сумма по позициям" }, when = 'status in ("open", "in_progress", "on_hold")' }, function(deal)
  local total = 0
  for _, line in ipairs(crm.find("line", "opportunity = $1", { params = { deal.id }, limit = 500 })) do total = total + line.total end
  deal.amount = total
end)
