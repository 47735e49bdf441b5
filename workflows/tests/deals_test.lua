-- deals_test.lua: what opportunities.lua, lines.lua and tasks.lua promise, by `perigee test`, with a clock that is turned.

local least = { qualification = 10, discovery = 20, presentation = 30, pilot = 45, proposal = 55, negotiation = 65, contract = 80, payment = 95, handover = 100 }
local order = { "qualification", "discovery", "presentation", "pilot", "proposal", "negotiation", "contract", "payment", "handover" }
local papers = { presentation = "requirements_brief", pilot = "pilot_plan", negotiation = "proposal", payment = "contract" }

-- One honest step after the other, as a manager goes.
local function walk(t, deal, to)
  local _, presale = t.as("denis", "crm_presale", { direction = "cloud" })
  t.as("boss", "crm_manager", { direction = "cloud" })
  local contact = t.create("contact", { name = "Buyer", company = deal.company, direction = "cloud" })
  for _, stage in ipairs(order) do
    local change = { probability = least[stage] }
    if stage == "qualification" then change.contact, change.products = contact, { "cloud_server" } end
    if stage == "discovery" then change.amount, change.close_date = 1000, "2030-01-01" end
    if stage == "presentation" then change.presale = presale end
    if stage == "proposal" then t.create("line", { opportunity = deal, product = "cloud_server", quantity = 10, price = 100 }) end
    if papers[stage] then t.create("document", { record = deal, kind = papers[stage], name = stage }) end
    for _ = 1, 3 do
      for _, task in ipairs(t.find("task", "record = $1 and status = \"open\"", deal.id)) do t.update(task, { status = "done" }) end
    end
    t.update(deal, change)
    deal = t.move(deal, stage)
    if stage == to then return deal end
  end
end

local function new(t)
  t.as("boss", "crm_manager", { direction = "cloud" })
  local company = t.create("company", { name = "Client", legal_name = "Client LLC", tax_id = "7707083893", direction = "cloud" })
  return t.create("opportunity", { name = "Deal", company = company, direction = "cloud" })
end

test("a handed-over deal makes its client, and ninety days later growth is proposed", function(t)
  local deal = walk(t, new(t), "handover")
  t.equal(t.get("company", deal.company).lifecycle_step, "adoption")
  t.advance("88d")
  t.equal(t.count("task", "record = $1", deal.company), 0)
  t.advance("3d")
  t.equal(t.count("task", "record = $1", deal.company), 1)
  t.equal(t.get("company", deal.company).lifecycle_step, "growth")
  t.advance("10d")
  t.equal(t.count("task", "record = $1", deal.company), 1, "once")
end)

test("an overdue task is told to its assignee and their manager, once", function(t)
  local _, boss = t.as("boss", "crm_manager", { direction = "cloud" })
  t.as("anna", "crm_sales", { direction = "cloud", manager = boss.id })
  local task = t.create("task", { title = "Call", record = t.company(), due = "2000-01-01T00:00:00Z" })
  t.advance("5d")
  t.ok(t.get(task).escalated_at, "it is escalated")
  t.equal(t.count("notification", "kind = \"overdue\""), 1)
  t.as("boss")
  t.advance("5d")
  t.equal(t.count("notification", "kind = \"overdue\""), 1)
end)

test("the amount is fixed from the contract on, but not for a manager", function(t)
  local deal = walk(t, new(t), "contract")
  local _, anna = t.as("anna", "crm_sales", { direction = "cloud" })
  t.as("boss")
  t.update(deal, { responsible = anna.id })
  t.as("anna")
  t.rejects("amount_frozen", function() t.update(deal, { amount = 1 }) end)
  t.as("boss")
  t.equal(t.update(deal, { amount = 1 }).amount, 1)
end)

test("a discount over the limit waits for the manager", function(t)
  local _, boss = t.as("boss", "crm_manager", { direction = "cloud" })
  local deal = walk(t, new(t), "proposal")
  local _, anna = t.as("anna", "crm_sales", { direction = "cloud", manager = boss.id })
  t.as("boss")
  t.update(deal, { responsible = anna.id })
  t.as("anna")
  t.update(t.find("line", "opportunity = $1", deal.id)[1], { discount = 30 })
  local asked = t.find("task", "record = $1 and chain_step = \"proposal.approve\"", deal.id)[1]
  t.equal(asked.assignee, boss.id)
  t.rejects("blocking", function() t.update(asked, { status = "done" }) end)
  t.as("boss")
  t.update(asked, { status = "done" })
  t.equal(t.get(deal).approved_discount, 30)
end)

test("a lost deal gives its reason and lets its tasks go", function(t)
  local deal = new(t)
  t.rejects("required", function() t.action(deal, "lose", { lost_reason = "competitor" }) end)
  t.equal(t.action(deal, "lose", { lost_reason = "competitor", competitor = "Zenith" }).status, "lost")
  t.equal(t.count("task", "record = $1 and status != \"cancelled\"", deal.id), 0)
  t.rejects("closed", function() t.update(deal, { name = "Other" }) end)
  t.equal(t.action(deal, "reopen").status, "in_progress")
end)
