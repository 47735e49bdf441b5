-- views.lua: decides what a saved view may hold, and that everybody has one view of a kind that opens first.

rule("view", function(view, before)
  if before and view.entity == before.entity and view.filter == before.filter then return end
  if not view.entity then return end -- its absence is told with the other required fields
  local code, words = crm.filter_problem(view.entity, view.filter)
  if code then reject(code, words, { field = code == "bad_filter" and "filter" or "entity" }) end
end)

-- A view is shared with one's own groups, each of them; with others by an administrator.
rule("view", function(view, before)
  if #(view.shared_groups or {}) == 0 or crm.has_role("crm_admin") then return end
  local known = {}
  for _, group in ipairs(before and before.shared_groups or {}) do known[group] = true end
  for _, group in ipairs(crm.find("group", "id in @my.groups", { limit = 500 })) do known[group.id] = true end
  for _, group in ipairs(view.shared_groups or {}) do
    if not known[group] then
      reject("not_my_group", { en = "A view is shared with groups of one's own", ru = "Представлением делятся только со своими группами" }, { field = "shared_groups" })
    end
  end
end)

local function only_default(view, before)
  if not view.is_default or (before and before.is_default) then return end
  local others = crm.find("view", "owner = $1 and entity = $2 and is_default = true and id != $3", { params = { view.owner, view.entity, view.id } })
  for _, other in ipairs(others) do crm.update(other, { is_default = false }) end
end

on("view", "after_create", only_default)
on("view", "after_change", only_default)
