-- dates.lua: decides which dates must stand in order.

local function in_order(entity, from, to)
  rule(entity, function(record)
    if record[from] and record[to] and record[to] < record[from] then
      reject("dates_out_of_order", { en = "It would end before it begins", ru = "Окончание раньше начала" }, { field = to })
    end
  end)
end

in_order("user", "absent_from", "absent_to")
in_order("partner", "agreement_from", "agreement_to")
in_order("campaign", "start_date", "end_date")
in_order("certificate", "issued", "expires")
