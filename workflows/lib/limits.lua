-- limits.lua: the figures of our sales policy that several scripts ask for.
return {
  discount = 15, -- per cent; over it the manager approves
  protection_days = 90, -- of an approved deal registration
  growth_days = 90, -- after the handover
}
