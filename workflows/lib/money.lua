-- money.lua: what an amount is worth in the main currency, by the rates in Settings.
local money = {}

--- The rate of a currency to the main one on a day (today unless said): the latest not after it; 1 for the main currency and where
--- nobody has set a rate.
function money.rate(currency, day)
  local setting = currency and crm.get("currency", currency)
  if not setting or setting.main then return 1 end
  local known = crm.system("a rate is applied whoever may see the table of rates", function()
    return crm.find("currency_rate", "currency = $1 and date <= $2", { params = { currency, day or crm.today() }, sort = "-date", limit = 1 })
  end)
  return known[1] and known[1].rate or 1
end

--- The list price of a product in a currency today, or nil.
function money.price(product, currency)
  local known = crm.system("the price list is applied whoever may see it", function()
    return crm.find("price", "product = $1 and currency = $2 and date <= @today", { params = { product, currency }, sort = "-date", limit = 1 })
  end)
  return known[1] and known[1].price or nil
end

return money
