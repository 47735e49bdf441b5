-- tasks.lua: decides how a task lives: its statuses, who approves, whom it is told, and what happens when nobody does it in time.

states "task" {
  field = "status", first = { "open", "in_progress", "waiting", "done" },
  way { "waiting", "open", check = function()
    if not crm.trusted() then reject("waits", { en = "The task waits for another one", ru = "Задача ждёт выполнения другой" }, { field = "status" }) end
  end },
  way { { "waiting", "open", "in_progress" }, "cancelled" },
  way { "open", "in_progress" },
  way { "in_progress", "open" },
  way { { "open", "in_progress" }, "done" },
  way { { "done", "cancelled" }, "open" },
}

-- A blocking task cannot be waved away by whom it blocks: only its assignee or a manager finishes it, and it is not cancelled by others.
rule("task", function(task, before)
  if not before or not task.blocking and not before.blocking or crm.has_role("crm_manager") then return end
  local finishes = task.status ~= before.status and (task.status == "done" or task.status == "cancelled")
  local unblocks = before.blocking and not task.blocking
  local reassigns = task.assignee ~= before.assignee
  if (finishes or unblocks or reassigns) and before.assignee ~= crm.user.id then
    reject("blocking", { en = "Only its assignee or a manager finishes or changes a blocking task", ru = "Блокирующую задачу завершает или меняет только её исполнитель или руководитель" },
      { field = finishes and "status" or unblocks and "blocking" or "assignee" })
  end
end)

-- The discount is approved by a manager: the responsible's own or the one of the direction, never by the seller.
on("task", "before_change", function(task, before)
  if task.chain_step ~= "proposal.approve" or task.status ~= "done" or before.status == "done" then return end
  local deal = crm.get("opportunity", task.record)
  local responsible = deal and deal.responsible and crm.get("user", deal.responsible)
  local is_manager = responsible and responsible.manager == crm.user.id
  if not (is_manager or crm.has_role("crm_manager")) then
    reject("not_manager", { en = "The discount is approved by the responsible's manager", ru = "Скидку согласует руководитель ответственного" }, { field = "status" })
  end
end)

on("task", "after_change", function(task, before)
  if task.chain_step ~= "proposal.approve" or task.status ~= "done" or before.status == "done" then return end
  crm.system("the manager has approved the discount", function()
    local deal = crm.get("opportunity", task.record)
    crm.update(deal, { approved_discount = deal.discount or 0 })
  end)
end)

on("task", "before_change", function(task, before)
  if task.status ~= before.status then task.done_at = task.status == "done" and crm.now() or nil end
  if task.due ~= before.due then task.escalated_at = nil end
end)

-- ---- who is told ----

local function tell(task)
  if not task.assignee or task.status == "waiting" then return end
  local approval = task.chain_step == "proposal.approve"
  crm.notify(task.assignee, {
    en = (approval and "Approval asked: " or "Task for you: ") .. crm.text(task.title, "en"),
    ru = (approval and "Запрос согласования: " or "Вам поставлена задача: ") .. crm.text(task.title, "ru"),
  }, { kind = approval and "approval" or "assigned", record = task })
end

on("task", "after_create", tell)
on("task", "after_change", function(task, before)
  local opened = before.status == "waiting" and task.status == "open"
  if task.assignee ~= before.assignee or opened then tell(task) end
end)

-- An overdue task is told to its assignee and to their manager, once for each due date.
every("15m", "escalate_overdue", function()
  local late = crm.find("task", 'status in ("open", "in_progress") and due < @now and escalated_at is null', { sort = "due", limit = 200 })
  for _, task in ipairs(late) do
    crm.system("an overdue task is escalated", function()
      local text = { en = "Overdue: " .. crm.text(task.title, "en"), ru = "Просрочено: " .. crm.text(task.title, "ru") }
      local assignee = task.assignee and crm.get("user", task.assignee)
      if assignee then
        crm.notify(assignee, text, { kind = "overdue", record = task })
        if assignee.manager then crm.notify(assignee.manager, text, { kind = "overdue", record = task }) end
      end
      crm.update(task, { escalated_at = crm.now() })
    end)
  end
end)
