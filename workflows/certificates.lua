-- certificates.lua: decides how long a certificate holds, and how it ends or is renewed.
local days = require "lib.days"

states "certificate" {
  field = "state", first = { "issued" }, closed = { "expired", "revoked" },
  way { "issued", "expired" },
  way { "issued", "revoked", require = { "reason" } },
}

on("certificate", "before_create", function(certificate)
  local certification = certificate.certification and crm.get("certification", certificate.certification)
  local holder = certificate.holder and crm.get("contact", certificate.holder)
  if certification and certificate.issued and not certificate.expires then certificate.expires = days.add_months(certificate.issued, certification.validity or 12) end
  if holder and not certificate.partner then certificate.partner = holder.partner end
end)

action("certificate", "revoke", {
  label = { en = "Revoke", ru = "Отозвать" }, when = 'state = "issued"', fields = { reason = text { required = true, label = { en = "Reason", ru = "Причина" } } },
}, function(certificate, args)
  certificate.state, certificate.reason = "revoked", args.reason
end)

action("certificate", "renew", {
  label = { en = "Renew", ru = "Продлить" }, when = 'state in ("issued", "expired")', fields = { issued = date { label = { en = "Issued", ru = "Выдан" } } },
}, function(certificate, args)
  crm.create("certificate", {
    certification = certificate.certification, holder = certificate.holder, partner = certificate.partner, issued = args.issued or crm.today(), renews = certificate.id,
  })
end)

every("1d at 05:10", "expire_certificates", function()
  for _, certificate in ipairs(crm.find("certificate", 'state = "issued" and expires < @today', { limit = 500 })) do
    crm.system("a certificate ends by itself", function() crm.update(certificate, { state = "expired" }) end)
  end
end)
