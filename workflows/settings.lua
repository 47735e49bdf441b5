-- settings.lua: decides the code of a setting that nobody gave one: its English name in small letters, "security_review", and for a step of a
-- chain the chain's code in front, "security.answer_the_questions". A code is given once and kept.

local latin = {}
for pair in string.gmatch("аa бb вv гg дd еe ёe жzh зz иi йy кk лl мm нn оo пp рr сs тt уu фf хh цts чch шsh щsch ыy эe юyu яya", "%S+") do
  local from, to = string.match(pair, "^([\128-\255][\128-\191]*)(%a*)$")
  if from then latin[from] = to end
end
latin["ь"], latin["ъ"] = "", ""

local function slug(text)
  local letters = {}
  for _, code in utf8.codes(crm.fold(text)) do
    local char = utf8.char(code)
    letters[#letters + 1] = string.find(char, "^[%w]$") and char or latin[char] or "_"
  end
  local word = string.gsub(string.gsub(table.concat(letters), "_+", "_"), "^_", "")
  word = string.gsub(string.sub(word, 1, 60), "_$", "")
  return string.find(word, "^%a") and word or "s" .. word
end

local function give_code(setting)
  if setting.code then return end
  local chain, name
  if setting.entity == "chain_step" then
    chain, name = setting.chain, setting.title
  else
    name = setting.name
  end
  if not name then return end -- told as missing
  local base = (chain and chain .. "." or "") .. slug(crm.text(name, "en"))
  local code, n = base, 1
  while crm.get(setting.entity, code) and n < 100 do
    n = n + 1
    code = base .. "_" .. n
  end
  setting.code = code
end

for _, entity in ipairs({
  "lifecycle_step", "stage", "chain", "chain_step", "product", "lost_reason", "status_reason", "lead_reason", "lead_source", "industry", "document_kind",
  "direction", "certification",
}) do
  on(entity, "before_create", give_code)
end
