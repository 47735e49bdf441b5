-- days.lua: arithmetic with dates such as "2026-11-23".
local days = {}

local function noon(date)
  local year, month, day = string.match(date, "^(%d+)-(%d+)-(%d+)")
  return os.time({ year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = 12 })
end

function days.add(date, n)
  return os.date("%Y-%m-%d", noon(date) + n * 86400)
end

--- The same day some months later, or the last of that month.
function days.add_months(date, n)
  local year, month, day = string.match(date, "^(%d+)-(%d+)-(%d+)")
  local months = tonumber(year) * 12 + tonumber(month) - 1 + n
  local first = string.format("%04d-%02d-01", months // 12, months % 12 + 1)
  local last = tonumber(os.date("%d", noon(string.format("%04d-%02d-01", (months + 1) // 12, (months + 1) % 12 + 1)) - 86400))
  return string.sub(first, 1, 8) .. string.format("%02d", math.min(tonumber(day), last))
end

return days
