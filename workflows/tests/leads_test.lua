-- leads_test.lua: what leads.lua promises, by `perigee test`.

local function lead(t, fields)
  local all = { subject = "Asks for a cloud", company_name = "Prospect", contact_name = "Ivan", direction = "cloud" }
  for name, value in pairs(fields or {}) do all[name] = value end
  return t.create("lead", all)
end

test("a lead is new until somebody is responsible", function(t)
  local _, anna = t.as("anna", "crm_sales", { direction = "cloud" })
  t.as("boss", "crm_manager", { direction = "cloud" })
  local made = lead(t)
  t.equal(made.status, "new")
  t.equal(t.update(made, { responsible = anna.id }).status, "assigned")
end)

test("leads are given by turns", function(t)
  local turns = {}
  for _, login in ipairs({ "one", "two", "three" }) do t.as(login, "crm_sales", { direction = "cloud" }) end
  t.as("boss", "crm_manager", { direction = "cloud" })
  for i = 1, 6 do turns[i] = t.get(t.action(lead(t), "assign", { pick = "round_robin" })).responsible end
  t.ok(turns[1] ~= turns[2] and turns[2] ~= turns[3] and turns[1] ~= turns[3], "three different ones")
  for i = 1, 3 do t.equal(turns[i + 3], turns[i]) end
end)

test("qualifying makes company, contact and deal, or nothing", function(t)
  t.as("anna", "crm_sales", { direction = "cloud" })
  local made = t.action(lead(t), "take")
  local companies = t.count("company", "")
  t.rejects("required", function() t.action(made, "qualify", { deal = "existing" }) end)
  t.equal(t.count("company", ""), companies)
  local done = t.action(made, "qualify", { amount = 100 })
  t.equal(done.status, "qualified")
  t.equal(t.get("opportunity", done.converted_to).source_lead, made.id)
  t.equal(t.get("contact", done.contact).company, done.company)
end)

test("a seller does not hand leads out", function(t)
  local _, anna = t.as("anna", "crm_sales", { direction = "cloud" })
  local made = lead(t)
  t.rejects("forbidden", function() t.action(made, "assign", { responsible = anna.id }) end)
end)
