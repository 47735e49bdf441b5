-- lines.lua: decides what a product line costs, when lines may still change, and which discount asks the manager.
local money = require "lib.money"
local stages = require "lib.stages"
local limits = require "lib.limits"

on("line", "before_create", function(line)
  if line.price then return end
  local deal = crm.get("opportunity", line.opportunity)
  line.price = deal and money.price(line.product, deal.currency)
end)

-- The amount is agreed from the contract on, and the lines with it.
local function frozen(line)
  local deal = crm.get("opportunity", line.opportunity)
  if deal and stages.at_least(deal, "contract") and not crm.has_role("crm_manager") then
    reject("amount_frozen", { en = "The lines are fixed from the contract on", ru = "С этапа договора позиции не меняются" }, { field = "opportunity" })
  end
end

rule("line", frozen)
on("line", "before_delete", frozen)

-- The deal knows its largest discount. Over the limit, from the proposal on, the manager is asked, and asked again when it grows.
local function keep_discount(line)
  crm.system("the deal keeps its largest discount", function()
    local largest = 0
    for _, other in ipairs(crm.find("line", "opportunity = $1", { params = { line.opportunity }, limit = 500 })) do largest = math.max(largest, other.discount or 0) end
    local deal = crm.update("opportunity", line.opportunity, { discount = largest })
    if largest <= limits.discount or largest <= (deal.approved_discount or 0) or not stages.at_least(deal, "proposal") then return end
    local asked = crm.find("task", 'record = $1 and chain_step = "proposal.approve"', { params = { deal.id }, limit = 1 })[1]
    if not asked then
      local step = crm.get("chain_step", "proposal.approve")
      local responsible = deal.responsible and crm.get("user", deal.responsible)
      crm.create("task", {
        title = step and step.title or { en = "Approve the discount", ru = "Согласовать скидку" }, record = deal, chain_step = "proposal.approve", blocking = true,
        assignee = responsible and responsible.manager or crm.pick("task", "assignee", { role = "crm_manager", direction = deal.direction }),
        due = crm.workday(crm.now(), 2),
      })
    elseif asked.status == "done" or asked.status == "cancelled" then
      crm.update(asked, { status = "open", due = crm.workday(crm.now(), 2) })
    end
  end)
end

on("line", "after_create", keep_discount)
on("line", "after_change", function(line, before)
  if line.discount ~= before.discount then keep_discount(line) end
end)
on("line", "after_delete", keep_discount)
