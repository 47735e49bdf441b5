-- sales.lua: how a deal goes through the stages. Names, order, probabilities, required fields, documents and chains are records in
-- Settings; here stands what data cannot say.

local function lines_of(deal)
  return crm.find("line", "opportunity = $1", { params = { deal.id }, limit = 500 })
end

pipeline "sales" {
  entity = "opportunity",
  move = "responsible = @me or responsible in @my.reports or @role.crm_manager or @role.crm_admin",
  skip = false,
  skip_by = "@role.crm_manager or @role.crm_admin",
  back = true,
  back_by = "@role.crm_manager or @role.crm_admin",

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

  stage "contract" {
    gate = function(deal)
      local company = crm.get("company", deal.company)
      if company and not (company.legal_name and company.tax_id) then
        reject("company", { en = "The company needs a legal name and a tax id", ru = "У компании нет юридического названия или ИНН" }, { field = "company" })
      end
    end,
  },
}

-- The client's step follows the deal's when the deal is handed over.
on("opportunity", "after_change", function(deal, before)
  if deal.stage == "handover" and before.stage ~= "handover" then
    crm.system("a handed-over deal makes its company a client", function()
      crm.update("company", deal.company, { lifecycle_step = "adoption", status = "client" })
    end)
  end
end)

-- From the contract on the amount is agreed: only a manager changes it.
local frozen = { contract = true, payment = true, handover = true }

on("opportunity", "before_change", function(deal, before)
  local roles = crm.user.roles
  if frozen[before.stage] and deal.amount ~= before.amount and not (roles.crm_manager or roles.crm_admin) then
    reject("amount_frozen", { en = "The amount is fixed from the contract on", ru = "С этапа договора сумма не меняется" }, { field = "amount" })
  end
end)

action("opportunity", "win", { label = { en = "Won", ru = "Выиграна" }, when = "status in (\"open\", \"in_progress\") and stage in (\"contract\", \"payment\", \"handover\")" },
  function(deal)
    deal.status, deal.probability = "won", 100
  end)

action("opportunity", "lose", {
  label = { en = "Lost", ru = "Проиграна" },
  when = "status in (\"open\", \"in_progress\", \"on_hold\")",
  fields = { lost_reason = ref { to = "lost_reason", required = true, label = { en = "Why", ru = "Почему" } }, competitor = text { label = { en = "Competitor", ru = "Конкурент" } } },
}, function(deal, args)
  local reason = crm.get("lost_reason", args.lost_reason)
  if not reason then reject("no_such_record", { en = "There is no such reason", ru = "Нет такой причины" }, { field = "lost_reason" }) end
  if reason.asks_competitor and not args.competitor then
    reject("required", { en = "Name the competitor", ru = "Укажите конкурента" }, { field = "competitor" })
  end
  deal.status, deal.lost_reason, deal.competitor = "lost", args.lost_reason, args.competitor
end)

action("opportunity", "reopen", { label = { en = "Reopen", ru = "Открыть снова" }, when = "status in (\"won\", \"lost\")", roles = { "crm_manager", "crm_admin" } },
  function(deal)
    deal.status, deal.lost_reason, deal.competitor = "in_progress", nil, nil
  end)
