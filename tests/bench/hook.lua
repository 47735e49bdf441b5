-- hook.lua: the hook of twenty lines whose cost the benchmark measures, in the server and in a bare loop alike.
local limit = { open = 1000000000, in_progress = 500000000 }

return function(deal)
  local amount = deal.amount or 0
  local most = limit[deal.status] or 0
  local words, longest = 0, 0
  for word in string.gmatch(deal.name, "%S+") do
    words = words + 1
    if #word > longest then longest = #word end
  end
  local level = "small"
  if amount > 1000000 then
    level = "large"
  elseif amount > 100000 then
    level = "middle"
  end
  if amount > most then error("the amount is over the limit") end
  if words == 0 then error("a name is needed") end
  if deal.probability and deal.probability > 100 then error("more than certain") end
  deal.competitor = level
end
