-- tax_id.lua: decides which tax ids we accept. Russian ones have check digits: one for organisations (10 digits), two for persons (12).
-- A foreign id has a letter in it and from 4 to 20 characters.

local wrong = { en = "is not a valid tax id: the check digits do not fit", ru = ": контрольные цифры ИНН не сходятся" }
local shape = { en = "is not a tax id: 10 or 12 digits, or a foreign one with letters", ru = ": ИНН состоит из 10 или 12 цифр, иностранный — с буквами" }

local function check_digit(id, weights)
  local sum = 0
  for i, weight in ipairs(weights) do sum = sum + weight * tonumber(string.sub(id, i, i)) end
  return sum % 11 % 10
end

return function(id)
  if string.find(id, "%a") and string.find(id, "^[%w ./-]+$") and #id >= 4 and #id <= 20 then return nil end
  if not string.find(id, "^%d+$") then return shape end
  local digit = function(i) return tonumber(string.sub(id, i, i)) end
  if #id == 10 then
    return check_digit(id, { 2, 4, 10, 3, 5, 9, 4, 6, 8 }) ~= digit(10) and wrong or nil
  elseif #id == 12 then
    local first = check_digit(id, { 7, 2, 4, 10, 3, 5, 9, 4, 6, 8 }) == digit(11)
    local second = check_digit(id, { 3, 7, 2, 4, 10, 3, 5, 9, 4, 6, 8 }) == digit(12)
    return not (first and second) and wrong or nil
  end
  return shape
end
