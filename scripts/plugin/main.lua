-- main.lua: what NAME declares. Fields begin with the plugin's name.

extend "company" {
  fields = {
    NAME_note = text { label = { en = "Note", ru = "Заметка" }, max = 200 },
  },
}

on("company", "before_change", function(new, old)
  if new.NAME_note ~= old.NAME_note and #(new.NAME_note or "") > config.longest then
    reject("NAME_too_long", crm.t("too_long", config.longest), { field = "NAME_note" })
  end
end)
