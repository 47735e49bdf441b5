-- names.lua: decides that companies, contacts and registrations keep a comparable form of their names and addresses, by which duplicates are found.
local names = require "lib.names"

local function keep(entity, f)
  on(entity, "before_create", f)
  on(entity, "before_change", f)
end

keep("company", function(company) company.name_key, company.domain = names.key(company.name), names.domain(company.site) end)
keep("contact", function(contact) contact.domain = names.domain(contact.email) end)
keep("registration", function(registration)
  registration.client_key, registration.client_domain = names.key(registration.client_name), names.domain(registration.client_email)
end)
