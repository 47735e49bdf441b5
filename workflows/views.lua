-- views.lua: decides what a saved view may hold, and that everybody has one view of a kind that opens first.

rule("view", function(view, before)
  if before and view.entity == before.entity and view.filter == before.filter then return end
  local code, words = crm.filter_problem(view.entity, view.filter)
  if code then reject(code, words, { field = code == "bad_filter" and "filter" or "entity" }) end
end)

local function only_default(view, before)
  if not view.is_default or (before and before.is_default) then return end
  local others = crm.find("view", "owner = $1 and entity = $2 and is_default = true and id != $3", { params = { view.owner, view.entity, view.id } })
  for _, other in ipairs(others) do crm.update(other, { is_default = false }) end
end

on("view", "after_create", only_default)
on("view", "after_change", only_default)
