-- lua_meta.lua: definitions for editors (LuaCATS), written by `perigee lua-meta`: the words, `crm`, and a class for each entity of the
-- catalog. Trusted. What has no signature here is written as taking and giving anything.
local core = ...

local out = {}
local function write(...) out[#out + 1] = string.format(...) end

-- Signatures of the words.
local words = {
  entity = "fun(name: string): fun(declared: perigee.entity)", extend = "fun(name: string): fun(declared: { fields: table, index?: string[][] })",
  pipeline = "fun(name: string): fun(declared: table)", stage = "fun(code: string|table): any", chain = "fun(code: string): fun(declared: table)",
  task = "fun(code: string): fun(declared: table): table", role = "fun(code: string): fun(declared: table)", allow = "fun(declared: table): table",
  except = "fun(fields: string[]): table", rule = "fun(entity: string, f: fun(now: perigee.record, before?: perigee.record))",
  states = "fun(entity: string): fun(declared: table)", way = "fun(declared: table): table",
  on = "fun(entity: string, event: perigee.event, f: fun(record: perigee.record, before?: perigee.record))",
  action = "fun(entity: string, name: string, declared: table, f: fun(record: perigee.record, args: table))",
  route = "fun(method: string, path: string, declared: { allow: string|string[] }, f: fun(request: perigee.request): any, integer?)",
  job = "fun(name: string, declared: { retry?: string, attempts?: integer, age?: string }, f: fun(args: table): any)",
  every = "fun(when: string, name: string, f: fun())", portal = "fun(code: string): fun(declared: table)",
}
for _, name in ipairs { "text", "longtext", "integer", "decimal", "money", "percent", "boolean", "date", "datetime", "email", "phone", "url", "option", "options",
  "ref", "refs", "file", "json", "formula", "computed" } do
  words[name] = "fun(declared?: perigee.field): perigee.field"
end

-- Members of crm; get, find, create and update have a line for each entity besides.
local members = {
  get = "fun(entity: string, id: string?): perigee.record?", record = "fun(id: string?): perigee.record?",
  find = "fun(entity: string, filter?: string, options?: perigee.find): perigee.record[]", create = "fun(entity: string, fields: table): perigee.record",
  update = "fun(record: perigee.record|string, fields: table|string, more?: table): perigee.record",
  move = "fun(record: perigee.record|string, stage: string, more?: string): perigee.record", remove = "fun(record: perigee.record|string, id?: string)",
  comment = "fun(record: perigee.record|string, text: string, more?: string)", enqueue = "fun(job: string, args?: table, options?: { at?: string, key?: string })",
  reject = "fun(code: string, message?: string|perigee.text, options?: { field?: string })", system = "fun(reason: string, f: fun(): any): any",
  now = "fun(): string", today = "fun(): string", log = "fun(level: \"debug\"|\"info\"|\"warn\"|\"error\", message: string, fields?: table)",
  t = "fun(key: string|perigee.text, ...: any): string", step = "fun(name: string, f: fun(): any): any", retry = "fun(after: string, why?: string)",
  has_role = "fun(...: string): boolean", trusted = "fun(): boolean", pick = "fun(entity: string, field: string, rule: table): string?",
  workday = "fun(date: string, days: integer): string", fold = "fun(text: string): string", text = "fun(value: string?, lang?: string): string",
  filter_problem = "fun(entity: string, filter?: string): string?, string?", can = "fun(user: string|perigee.record, action: perigee.right, record: perigee.record): boolean",
  notify = "fun(user: string|perigee.record, text: string|perigee.text, options?: { kind?: string, record?: perigee.record })",
  aggregate = "fun(entity: string, options: table): table[]", json = "{ encode: (fun(value: any): string), decode: (fun(text: string): any), list: (fun(t?: table): table), null: any }",
  null = "any", duplicate = "fun(message: string|perigee.text, candidates: table[])", reason = "fun(): string?",
  relink = "fun(from: perigee.record, to: perigee.record): table[]",
}

local types = {
  text = "string", longtext = "string", integer = "integer", decimal = "number", money = "number", percent = "number", boolean = "boolean", date = "string",
  datetime = "string", email = "string", phone = "string", url = "string", options = "string[]", ref = "string", refs = "string[]", stage = "string",
  file = "string", json = "any",
}

local function type_of(field)
  if field.type == "option" then
    local values = {}
    for _, option in ipairs(field.options or {}) do values[#values + 1] = "\"" .. option.value .. "\"" end
    return table.concat(values, "|")
  end
  if field.type == "formula" or field.type == "computed" then return types[field.result] or "any" end
  return types[field.type] or "any"
end

local function sorted(t)
  local names = {}
  for name in pairs(t) do names[#names + 1] = name end
  table.sort(names)
  return names
end

write("---@meta perigee")
write("-- Written by `perigee lua-meta` from the bindings and the catalog of this installation. Not to be edited.")
write("")
write("---@alias perigee.text { en?: string, ru?: string }")
write("---@alias perigee.right \"create\"|\"read\"|\"update\"|\"delete\"")
write("---@alias perigee.event \"before_create\"|\"after_create\"|\"before_change\"|\"after_change\"|\"before_delete\"|\"after_delete\"")
write("---@alias perigee.find { sort?: string, limit?: integer, params?: any[] }")
write("---@alias perigee.request { method: string, path: string, query: string, body?: table }")
write("---@alias perigee.field table")
write("")
write("---@class perigee.record")
for _, name in ipairs { "id", "created_at", "updated_at" } do write("---@field %s string", name) end
write("---@field number string?")
write("---@field created_by string?")
write("---@field updated_by string?")
write("---@field version integer")
write("---@field active boolean")
write("---@field entity string")
write("")
write("---@class perigee.entity")
write("---@field label string|perigee.text?")
write("---@field plural table?")
write("---@field fields table<string, perigee.field>")
write("---@field number string?")
write("---@field title string?")
write("---@field delete \"deactivate\"|\"allow\"|\"forbid\"?")
write("---@field unique string[][]?")
write("---@field index string[][]?")
write("---@field views table?")
write("")

local entities, order = {}, {}
for _, declared in ipairs(core.declared()) do
  if declared.kind == "entity" and not entities[declared.name] then
    entities[declared.name] = { label = declared.label.en, fields = {} }
    order[#order + 1] = declared.name
  end
end
for _, declared in ipairs(core.declared()) do
  local entity = (declared.kind == "entity" or declared.kind == "extend") and entities[declared.name]
  for _, field in ipairs(entity and declared.fields or {}) do entity.fields[#entity.fields + 1] = field end
end
table.sort(order)
for _, name in ipairs(order) do
  write("---%s", (string.gsub(entities[name].label, "\n", " ")))
  write("---@class perigee.%s: perigee.record", name)
  for _, field in ipairs(entities[name].fields) do
    write("---@field %s %s%s %s", field.name, type_of(field), field.required and "" or "?", (string.gsub(field.label.en, "\n", " ")))
  end
  write("")
end

for _, name in ipairs(sorted(core.words)) do
  write("---@type %s", words[name] or "fun(...: any): any")
  write("%s = nil", name)
  write("")
end

write("---@class perigee.crm")
write("---@field user { id: string, login: string, name: string, roles: table<string, true> }")
for _, name in ipairs(core.members()) do
  members[name] = members[name] or "fun(...: any): any"
end
for _, name in ipairs(sorted(members)) do
  if name ~= "get" and name ~= "find" and name ~= "create" then write("---@field %s %s", name, members[name]) end
end
write("crm = {}")
write("")
for _, one in ipairs { { "get", "id: string?", "%s?" }, { "find", "filter?: string, options?: perigee.find", "%s[]" }, { "create", "fields: table", "%s" } } do
  for _, name in ipairs(order) do
    write("---@overload fun(entity: \"%s\", %s): %s", name, one[2], string.format(one[3], "perigee." .. name))
  end
  write("---@param entity string")
  write("---@return any")
  write("function crm.%s(entity, ...) end", one[1])
  write("")
end
write("---@type fun(code: string, message?: string|perigee.text, options?: { field?: string })")
write("reject = nil")
write("")
for _, library in ipairs { "http", "mail", "sharepoint" } do
  write("---Works in jobs and timers only.")
  write("---@class perigee.%s", library)
  for _, name in ipairs(sorted(core[library])) do write("---@field %s fun(arguments: table): any", name) end
  write("%s = {}", library)
  write("")
end
write("---Settings of this plugin (plugin.lua, config.lua).")
write("---@type table<string, any>")
write("config = nil")
write("")
write("---In *_test.lua.")
write("---@type fun(name: string, f: fun(t: table))")
write("test = nil")
return table.concat(out, "\n") .. "\n"
