-- stages.lua: decides what an administrator may write into a stage: what it asks for are lists of names.

local function is_list(value)
  if type(value) ~= "table" then return false end
  local n = 0
  for key, name in pairs(value) do
    if math.type(key) ~= "integer" or type(name) ~= "string" then return false end
    n = n + 1
  end
  return n == #value
end

rule("stage", function(stage)
  for _, field in ipairs({ "require", "documents" }) do
    if stage[field] ~= nil and not is_list(stage[field]) then
      reject("not_a_list", { en = "This is a list of names, such as [\"amount\", \"close_date\"]", ru = "Это список имён, например [\"amount\", \"close_date\"]" }, { field = field })
    end
  end
end)
