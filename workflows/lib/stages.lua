-- stages.lua: where a stage stands in its pipeline, whatever stages an administrator has added in Settings.
local stages = {}

local function order(code)
  local stage = code and crm.get("stage", code)
  return stage and stage.order or 0
end

--- The deal stands at that stage or behind it.
function stages.at_least(deal, code)
  return order(deal.stage) >= order(code)
end

return stages
