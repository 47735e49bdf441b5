-- tax_id.lua: decides which tax ids we accept. Russian ones have check digits: one for organisations (10 digits), two for persons (12).
-- A foreign id has a letter in it and from 4 to 20 characters.

local wrong = { en = "is not a valid tax id: the check digits do not fit", ru = ": контрольные цифры ИНН не сходятся" }
local shape = { en = "is not a tax id: 10 or 12 digits, or a foreign one with letters", ru = ": ИНН состоит из 10 или 12 цифр, иностранный — с буквами" }

-- What the digits before a check digit count.
local organisation = { 2, 4, 10, 3, 5, 9, 4, 6, 8 }
local person_first = { 7, 2, 4, 10, 3, 5, 9, 4, 6, 8 }
local person_second = { 3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8 }

local zero = string.byte("0")

-- The digit behind those that count fits them.
local function fits(digits, weights)
  local sum, n = 0, #weights
  for i = 1, n do sum = sum + weights[i] * (digits[i] - zero) end
  return sum % 11 % 10 == digits[n + 1] - zero
end

return function(id)
  if string.find(id, "^%d+$") then
    local digits = #id <= 12 and { string.byte(id, 1, -1) } or {}
    if #digits == 10 then return not fits(digits, organisation) and wrong or nil end
    if #digits == 12 then return not (fits(digits, person_first) and fits(digits, person_second)) and wrong or nil end
    return shape
  end
  if string.find(id, "%a") and string.find(id, "^[%w ./-]+$") and #id >= 4 and #id <= 20 then return nil end
  return shape
end
