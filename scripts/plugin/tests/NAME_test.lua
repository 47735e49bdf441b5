-- NAME_test.lua: what NAME promises: `perigee test plugins/NAME`.

test("a note is kept, and a long one refused", function(t)
  local company = t.company()
  t.update(company, { NAME_note = "likes tea" })
  t.equal(t.get(company).NAME_note, "likes tea")
  t.rejects("NAME_too_long", function() t.update(company, { NAME_note = string.rep("x", 41) }) end)
end)
