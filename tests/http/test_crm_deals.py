"""Deals: stages, gates, statuses, the frozen amount, what follows a handover (domain.md §2, §3)."""
import datetime

import pytest

from crm import MINIMUM, ORDER, move, new_company, new_deal, ready, tasks_of, walk

STEPS = {"new": "awareness", "qualification": "awareness", "discovery": "research", "presentation": "research", "pilot": "evaluation",
         "proposal": "evaluation", "negotiation": "decision", "contract": "purchase", "payment": "purchase", "handover": "adoption"}


def codes(answer):
    return {(e["pointer"], e["code"]) for e in answer.json["errors"]}


def test_there_are_ten_stages_and_seven_steps_as_the_domain_says(manager):
    stages = manager.get("stages", sort="order", filter='pipeline = "sales"').json["items"]
    assert [s["code"] for s in stages] == ORDER
    assert {s["code"]: s["probability"] for s in stages} == MINIMUM
    assert {s["code"]: s["lifecycle_step"] for s in stages} == STEPS
    steps = manager.get("lifecycle_steps", sort="order").json["items"]
    assert [s["code"] for s in steps][:7] == ["awareness", "research", "evaluation", "decision", "purchase", "adoption", "growth"]


def test_a_new_deal_begins_at_the_first_stage_with_its_step_and_tasks(manager):
    deal = new_deal(manager)
    assert (deal["stage"], deal["lifecycle_step"], deal["status"]) == ("new", "awareness", "open")
    assert deal["number"].startswith("OPP") and deal["responsible"] == manager.get("me").json["id"] and deal["currency"] == "RUB"
    assert set(tasks_of(manager, deal)) == {"new.contact", "new.card"}


def test_the_whole_way_moves_the_lifecycle_step_along(manager):
    deal = new_deal(manager)
    for stage in ORDER:
        deal = walk(manager, deal, stage)
        assert (deal["stage"], deal["lifecycle_step"]) == (stage, STEPS[stage])
    history = manager.get("stage_changes", filter=f'opportunity = "{deal["id"]}"', sort="at,id").json["items"]
    assert [h["to"] for h in history] == ORDER and all(h["seconds"] is not None for h in history[1:])


def test_a_refused_move_lists_every_missing_thing(manager):
    deal = new_deal(manager)
    refused = move(manager, deal, "qualification")
    assert refused.status == 422 and refused.json["code"] == "gate_refused"
    assert codes(refused) == {("/contact", "required"), ("/probability", "too_low"), ("/products", "product")}
    deal = walk(manager, deal, "discovery")
    assert codes(move(manager, deal, "presentation")) == {("/presale", "required"), ("/documents", "document_required"), ("/probability", "too_low")}


def test_the_contract_asks_for_the_companys_legal_name_and_tax_id(manager):
    company = manager.made("companies", name="Bare", direction="cloud")
    deal = walk(manager, new_deal(manager, company=company["id"]), "negotiation")
    manager.patch("opportunities/" + deal["id"], {"probability": 80})
    assert codes(move(manager, deal, "contract")) == {("/company.legal_name", "required"), ("/company.tax_id", "required")}


def test_a_proposal_needs_lines_that_add_up_to_the_amount(manager):
    deal = walk(manager, new_deal(manager), "pilot")
    manager.patch("opportunities/" + deal["id"], {"probability": 55})
    assert codes(move(manager, deal, "proposal")) == {("/lines", "lines")}
    manager.made("lines", opportunity=deal["id"], product="cloud_server", quantity=1, price=900)
    assert codes(move(manager, deal, "proposal")) == {("/amount", "total")}
    assert manager.post(f"opportunities/{deal['id']}/actions/take_total").json["amount"] == 900
    assert move(manager, deal, "proposal").status == 200


def test_stages_are_not_skipped_but_the_pilot_by_a_manager(seller, manager):
    deal = walk(seller, new_deal(seller), "presentation")
    for stage in ("pilot", "proposal"):
        ready(seller, deal, stage)
    refused = move(seller, deal, "proposal")
    assert refused.status == 422 and ("/stage", "skipped") in codes(refused)
    assert ("/stage", "skipped") in codes(move(manager, deal, "negotiation"))
    assert move(manager, deal, "proposal").status == 200


def test_a_deal_goes_back_with_a_reason_or_by_a_manager(seller, manager):
    deal = walk(seller, new_deal(seller), "discovery")
    assert ("/stage", "reason_required") in codes(move(seller, deal, "qualification"))
    assert move(seller, deal, "qualification", reason="The need was not understood").status == 200
    assert move(seller, deal, "discovery").status == 200
    assert move(manager, deal, "new").status == 200


def test_a_patch_may_say_its_reason_too(seller):
    deal = walk(seller, new_deal(seller), "qualification")
    path = "opportunities/" + deal["id"]
    assert ("/stage", "reason_required") in codes(seller.patch(path, {"stage": "new"}))
    assert seller.patch(path, {"stage": "new"}, reason="Begun too early").status == 200
    assert any("Begun too early" in str(item) for item in seller.get(path + "/timeline").json["items"])


def test_entering_a_stage_again_makes_no_tasks_again(manager):
    deal = walk(manager, new_deal(manager), "discovery")
    before = manager.get("tasks", filter=f'record = "{deal["id"]}"', count="exact").json["total"]
    assert move(manager, deal, "qualification").status == 200 and move(manager, deal, "discovery").status == 200
    assert manager.get("tasks", filter=f'record = "{deal["id"]}"', count="exact").json["total"] == before


def test_only_the_responsible_their_manager_or_a_manager_moves(server, manager, seller):
    colleague = server.user("colleague", "crm_sales", "--direction", "cloud")
    deal = new_deal(seller)
    ready(seller, deal, "qualification")
    assert move(colleague, deal, "qualification").status in (403, 422)
    assert manager.get("opportunities/" + deal["id"]).json["stage"] == "new"
    assert move(manager, deal, "qualification").status == 200


def test_a_probability_below_the_stages_minimum_is_refused_with_the_field(manager):
    deal = walk(manager, new_deal(manager), "qualification")
    refused = manager.patch("opportunities/" + deal["id"], {"probability": 9.99})
    assert refused.status == 422 and codes(refused) == {("/probability", "too_low")}
    assert manager.patch("opportunities/" + deal["id"], {"probability": 10}).status == 200


def act(who, deal, name, **args):
    return who.post(f"opportunities/{deal['id']}/actions/{name}", args)


def test_statuses_follow_their_machine(manager):
    deal = new_deal(manager)
    path = "opportunities/" + deal["id"]
    assert act(manager, deal, "resume").status == 409
    assert act(manager, deal, "start").json["status"] == "in_progress"
    assert codes(manager.patch(path, {"status": "open"})) == {("/status", "no_way")}
    assert act(manager, deal, "hold", status_reason="client_paused").json["status_reason"] == "client_paused"
    assert codes(manager.patch(path, {"status": "won"})) == {("/status", "no_way")}
    assert act(manager, deal, "resume").json["status"] == "in_progress"
    refused = manager.patch(path, {"status_reason": "client_paused"})
    assert refused.status == 422 and codes(refused) == {("/status_reason", "wrong_reason")}


def test_refusals_speak_the_readers_language_and_its_words(server, manager):
    deal = new_deal(manager)
    russian = type(manager)(manager.port, manager.token, "ru")
    said = russian.patch("opportunities/" + deal["id"], {"status": "lost"}).json["errors"][0]["message"]
    assert said == "Для «Проиграна» нужно заполнить «Причина проигрыша»"
    said = manager.patch("opportunities/" + deal["id"], {"status": "lost"}).json["errors"][0]["message"]
    assert said == 'Why lost is required for "Lost"'
    act(manager, deal, "hold")
    said = russian.patch("opportunities/" + deal["id"], {"status": "won"}).json["errors"][0]["message"]
    assert said == "Из «Отложена» нельзя перейти в «Выиграна»; можно: В работе, Проиграна"


def test_a_deal_is_won_only_from_the_contract_on(manager):
    deal = walk(manager, new_deal(manager), "negotiation")
    assert codes(act(manager, deal, "win")) == {("/stage", "too_early")}
    assert codes(manager.patch("opportunities/" + deal["id"], {"status": "won"})) == {("/stage", "too_early")}
    deal = walk(manager, deal, "contract")
    won = act(manager, deal, "win", status_reason="best_price")
    assert won.status == 200 and won.json["status"] == "won" and won.json["probability"] == 100
    company = manager.get("companies/" + deal["company"]).json
    assert (company["lifecycle_step"], company["status"]) == ("adoption", "client")


def test_a_loss_needs_its_reason_and_the_competitor_when_asked(manager):
    deal = new_deal(manager)
    path = "opportunities/" + deal["id"]
    assert codes(manager.patch(path, {"status": "lost"})) == {("/lost_reason", "required")}
    assert codes(act(manager, deal, "lose")) == {("/lost_reason", "required")}
    assert codes(act(manager, deal, "lose", lost_reason="competitor")) == {("/competitor", "required")}
    lost = act(manager, deal, "lose", lost_reason="competitor", competitor="Zenith")
    assert lost.status == 200 and lost.json["status"] == "lost" and lost.json["closed_at"]
    assert {t["status"] for t in tasks_of(manager, deal).values()} == {"cancelled"}


def test_a_closed_deal_is_read_only_but_for_comments_and_reopening(seller, manager):
    deal = new_deal(seller)
    path = "opportunities/" + deal["id"]
    line = seller.made("lines", opportunity=deal["id"], product="cloud_server", price=5)
    assert act(seller, deal, "lose", lost_reason="price").status == 200
    for who in (seller, manager):
        assert codes(who.patch(path, {"name": "Other"})) == {("/status", "closed")}
        assert who.patch(path, {"stage": "qualification"}).status == 422
        assert who.post("lines", {"opportunity": deal["id"], "product": "cloud_server", "price": 1}).status == 422
        assert who.patch("lines/" + line["id"], {"price": 6}).status == 422
        assert who.delete("lines/" + line["id"]).status == 422
        assert who.post("documents", {"record": deal["id"], "kind": "act", "name": "Act"}).status == 422
        assert who.post(path + "/comments", {"text": "A pity"}).status == 201
    assert act(seller, deal, "reopen").status == 403
    assert seller.patch(path, {"status": "in_progress"}).status == 422
    opened = act(manager, deal, "reopen")
    assert opened.status == 200 and opened.json["status"] == "in_progress" and opened.json["lost_reason"] is None
    assert seller.patch(path, {"name": "Other"}).status == 200


def test_the_amount_is_frozen_from_the_contract_on_but_for_a_manager(seller, manager):
    deal = walk(seller, new_deal(seller), "contract")
    path = "opportunities/" + deal["id"]
    for change in ({"amount": 999}, {"currency": "USD"}):
        assert codes(seller.patch(path, change)) == {("/amount", "amount_frozen")}
    assert seller.post("lines", {"opportunity": deal["id"], "product": "cloud_server", "price": 1}).status == 422
    assert manager.patch(path, {"amount": 999}).status == 200


def test_entering_the_handover_makes_the_company_a_client(manager):
    deal = walk(manager, new_deal(manager), "payment")
    assert manager.get("companies/" + deal["company"]).json["lifecycle_step"] != "adoption"
    walk(manager, deal, "handover")
    assert manager.get("companies/" + deal["company"]).json["lifecycle_step"] == "adoption"


def every_door(who, deal, change):
    """The same change by each way in."""
    path = "opportunities/" + deal["id"]
    stage = change.get("stage")
    yield "patch", lambda: who.patch(path, change)
    if stage:
        yield "move", lambda: move(who, deal, stage)
    batch = {"atomic": True, "operations": [{"method": "PATCH", "path": "/api/v1/" + path, "body": change}]}

    def in_batch():
        answer = who.post("batch", batch)
        result = answer.json["results"][0]

        class One:
            status, json = result["status"], result["body"]
        return One
    yield "batch", in_batch
    yield "dry run", lambda: who.patch(path, change, dry_run="true")


@pytest.mark.parametrize("change,code,entry", [
    ({"stage": "discovery"}, "gate_refused", ("/stage", "skipped")),
    ({"stage": "qualification"}, "gate_refused", ("/contact", "required")),
    ({"status": "won"}, "rejected", ("/stage", "too_early")),
    ({"status": "lost"}, "rejected", ("/lost_reason", "required")),
])
def test_every_door_meets_the_same_rule(manager, change, code, entry):
    deal = new_deal(manager)
    for door, go in every_door(manager, deal, change):
        answer = go()
        assert answer.status == 422 and answer.json["code"] == code, door
        assert entry in {(e["pointer"], e["code"]) for e in answer.json["errors"]}, door
    assert manager.get("opportunities/" + deal["id"]).json["version"] == deal["version"]


def test_a_deal_cannot_be_born_past_the_gates(manager):
    company = new_company(manager)["id"]
    refused = manager.post("opportunities", {"name": "Too far", "company": company, "stage": "contract", "probability": 80})
    assert refused.status == 422 and refused.json["code"] == "gate_refused" and ("/stage", "skipped") in codes(refused)
    for status in ("won", "lost", "on_hold"):
        refused = manager.post("opportunities", {"name": "Born closed", "company": company, "status": status})
        assert refused.status == 422 and codes(refused) == {("/status", "no_way")}


def test_figures_of_a_deal(admin, manager):
    currency = admin.made("currencies", code="GEL", name={"en": "Lari", "ru": "Лари"})["code"]
    for date, rate in (("2025-01-01", 25), ("2025-06-01", 30.5), ("2099-01-01", 99)):
        admin.made("currency_rates", currency=currency, date=date, rate=rate)
    deal = new_deal(manager, amount=1000, probability=30, currency=currency)
    assert (deal["weighted"], deal["rate"], deal["amount_base"], deal["forecast"]) == (300, 30.5, 30500, 9150)
    assert deal["days_in_stage"] == 0 and deal["stale_days"] == 0
    assert [d["id"] for d in manager.get("opportunities", filter=f'forecast > 9000 and id = "{deal["id"]}"').json["items"]] == [deal["id"]]


def test_a_line_takes_its_price_from_the_list_of_today(admin, manager):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    product = admin.made("products", code="priced", name="Priced", direction="cloud")["code"]
    for days, price in ((-400, 10), (-1, 20), (30, 99)):
        admin.made("prices", product=product, currency="RUB", price=price, date=str(today + datetime.timedelta(days)))
    deal = new_deal(manager)
    line = manager.post("lines", {"opportunity": deal["id"], "product": product, "quantity": 3, "discount": 10})
    assert line.status == 201 and line.json["price"] == 20 and line.json["total"] == 54


def test_a_discount_over_the_limit_asks_the_manager(seller, manager):
    deal = walk(seller, new_deal(seller), "pilot")
    seller.made("lines", opportunity=deal["id"], product="cloud_server", quantity=10, price=125, discount=20)
    ready(seller, deal, "proposal")
    assert move(seller, deal, "proposal").status == 200
    tasks = tasks_of(seller, deal)
    assert tasks["proposal.approve"]["status"] == "waiting" and tasks["proposal.approve"]["assignee"] == manager.get("me").json["id"]
    seller.patch("tasks/" + tasks["proposal.calculate"]["id"], {"status": "done"})
    seller.made("documents", record=deal["id"], kind="proposal", name="Offer")
    seller.patch("opportunities/" + deal["id"], {"probability": 65})
    refused = move(seller, deal, "negotiation")
    assert codes(refused) == {("/tasks", "blocking_task"), ("/discount", "discount_not_approved")}
    assert seller.patch("tasks/" + tasks["proposal.approve"]["id"], {"status": "done"}).status in (403, 422)
    assert seller.patch("tasks/" + tasks["proposal.approve"]["id"], {"status": "cancelled"}).status in (403, 422)
    assert manager.patch("tasks/" + tasks["proposal.approve"]["id"], {"status": "done"}).status == 200
    assert move(seller, deal, "negotiation").status == 200


def test_a_small_discount_asks_nobody(seller):
    deal = walk(seller, new_deal(seller), "proposal")
    tasks = tasks_of(seller, deal)
    assert "proposal.approve" not in tasks and tasks["proposal.send"]["status"] == "waiting"
    seller.patch("tasks/" + tasks["proposal.calculate"]["id"], {"status": "done"})
    assert tasks_of(seller, deal)["proposal.send"]["status"] == "open"


def test_a_discount_raised_later_is_asked_for_again(seller, manager):
    deal = walk(seller, new_deal(seller), "proposal")
    line = seller.get("lines", filter=f'opportunity = "{deal["id"]}"').json["items"][0]
    assert seller.patch("lines/" + line["id"], {"discount": 50}).status == 200
    task = tasks_of(seller, deal)["proposal.approve"]
    assert task["status"] == "open" and task["blocking"]
    assert manager.patch("tasks/" + task["id"], {"status": "done"}).status == 200
    assert seller.patch("lines/" + line["id"], {"discount": 60}).status == 200
    assert tasks_of(seller, deal)["proposal.approve"]["status"] == "open"
