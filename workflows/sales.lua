-- sales.lua: decides how a deal goes through the stages. Names, order, probabilities, required fields, documents and chains are records
-- in Settings (masterdata/crm.json to begin with); here stands what data cannot say.

local limits = require "lib.limits"

local function lines_of(deal)
  return crm.find("line", "opportunity = $1", { params = { deal.id }, limit = 500 })
end

-- A discount over the limit needs the manager's word (the task "proposal.approve").
local function discount_approved(deal)
  if (deal.discount or 0) > limits.discount and (deal.approved_discount or 0) < deal.discount then
    reject("discount_not_approved", { en = "The discount of " .. deal.discount .. " % is not approved by the manager",
      ru = "Скидка " .. deal.discount .. " % не согласована руководителем" }, { field = "discount" })
  end
end

pipeline "sales" {
  entity = "opportunity",
  move = "responsible = @me or responsible in @my.absent or responsible in @my.reports or @role.crm_manager or @role.crm_admin",
  skip = false,
  skip_by = "@role.crm_manager or @role.crm_admin", -- and only stages that say so: the pilot
  back = true,
  back_by = "@role.crm_manager or @role.crm_admin", -- others give a reason

  stage "qualification" {
    gate = function(deal)
      if #(deal.products or {}) == 0 and #lines_of(deal) == 0 then
        reject("product", { en = "A product is needed", ru = "Не выбран продукт" }, { field = "products" })
      end
    end,
  },

  stage "proposal" {
    gate = function(deal)
      local total, lines = 0, lines_of(deal)
      for _, line in ipairs(lines) do total = total + line.total end
      if #lines == 0 then
        reject("lines", { en = "At least one product line is needed", ru = "Нужна хотя бы одна позиция" }, { field = "lines" })
      end
      if math.abs(total - (deal.amount or 0)) > 0.004 then
        reject("total", { en = "The lines do not add up to the amount", ru = "Сумма позиций не равна сумме сделки" }, { field = "amount" })
      end
    end,
  },

  stage "negotiation" { gate = discount_approved },
  stage "contract" { gate = discount_approved },
}
