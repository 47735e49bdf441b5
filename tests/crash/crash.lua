-- crash.lua: copied beside the shipped workflows by crash.py: one outbox row for each deal, in the deal's own transaction, due so late
-- that no courier takes it.

job("crash_probe", {}, function(args)
  error("not due before the test is over: " .. tostring(args.deal))
end)

on("opportunity", "after_create", function(deal)
  crm.enqueue("crash_probe", { deal = deal.id }, { at = "2199-01-01T00:00:00.000Z", key = deal.id })
end)
