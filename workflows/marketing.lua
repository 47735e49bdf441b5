-- marketing.lua: decides who gets on a marketing list, and when somebody has answered.

-- People are listed only where they agreed to mailings; leads have asked by themselves.
rule("member", function(member, before)
  if before then return end
  local person = crm.record(member.person)
  if not person or (person.entity ~= "contact" and person.entity ~= "lead") then
    reject("not_a_person", { en = "A member is a contact or a lead", ru = "Участник — контакт или интерес" }, { field = "person" })
  end
  if person.entity == "contact" and not person.consent then
    reject("no_consent", { en = "This contact has not agreed to mailings", ru = "Контакт не согласился на рассылки" }, { field = "person" })
  end
end)

on("member", "before_change", function(member, before)
  local answers = { interested = true, refused = true }
  if member.response ~= before.response and answers[member.response] then member.responded_at = crm.now() end
end)

rule("marketing_list", function(list)
  if list.kind ~= "dynamic" then return end
  local code, words = crm.filter_problem(list.entity or "contact", list.filter)
  if code then reject(code, words, { field = "filter" }) end
end)

action("marketing_list", "refresh", { label = { en = "Refresh by the filter", ru = "Обновить по фильтру" }, when = 'kind = "dynamic"' }, function(list)
  local filter = list.entity == "contact" and "(" .. list.filter .. ") and consent = true" or list.filter
  local wanted, there = {}, {}
  for _, person in ipairs(crm.find(list.entity, filter, { limit = 500 })) do wanted[person.id] = true end
  for _, member in ipairs(crm.find("member", "list = $1", { params = { list.id }, limit = 500 })) do
    there[member.person] = true
    if not wanted[member.person] and member.response == "none" then crm.remove(member) end
  end
  for person in pairs(wanted) do
    if not there[person] then crm.create("member", { list = list.id, person = person }) end
  end
end)
