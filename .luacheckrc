-- The words of Perigee are globals of scripts; `core` is given to the words as an argument.
std = "lua54"
max_line_length = false
read_globals = {
  "entity", "extend", "except", "pipeline", "stage", "chain", "task", "role", "allow", "on", "action", "route", "every", "job", "portal", "reject", "crm", "http", "mail", "sharepoint", "rule", "states", "way",
  "text", "longtext", "integer", "decimal", "money", "percent", "boolean", "date", "datetime", "email", "phone", "url", "option", "options", "ref", "refs",
  "file", "json", "formula", "computed",
}

files["**/*_test.lua"] = { read_globals = { "test" } }
files["**/plugin/**"] = { read_globals = { "config", "test" } }
files["plugins/**"] = { read_globals = { "config", "test" } }
