"""Leads: who gets them, how they end, and qualifying all or nothing (domain.md §3)."""
import pytest

from crm import counter, new_company, new_deal, tax_id


@pytest.fixture(scope="module")
def marketeer(server):
    return server.user("lead_marketeer", "crm_marketeer", "--direction", "cloud")


def new_lead(who, **fields):
    n = next(counter)
    return who.made("leads", **{"subject": f"Interest {n}", "company_name": f"Prospect {n}", "contact_name": "Ivan", "direction": "cloud", **fields})


def act(who, lead, name, **args):
    return who.post(f"leads/{lead['id']}/actions/{name}", args)


def me(who):
    return who.get("me").json["id"]


def codes(answer):
    return {(e["pointer"], e["code"]) for e in answer.json["errors"]}


def test_a_lead_begins_new_and_is_assigned_with_somebody_responsible(manager, seller):
    assert new_lead(manager)["status"] == "new"
    assert new_lead(manager, responsible=me(seller))["status"] == "assigned"
    lead = new_lead(manager)
    assert manager.patch("leads/" + lead["id"], {"responsible": me(seller)}).json["status"] == "assigned"


def test_a_manager_assigns_and_reassigns_by_name(manager, seller):
    lead = new_lead(manager)
    assert act(manager, lead, "reassign", responsible=me(seller)).status == 409
    assigned = act(manager, lead, "assign", responsible=me(seller))
    assert assigned.status == 200 and (assigned.json["status"], assigned.json["responsible"]) == ("assigned", me(seller))
    assert act(manager, lead, "assign", responsible=me(seller)).status == 409
    assert act(manager, lead, "reassign", responsible=me(manager)).json["responsible"] == me(manager)


def test_a_seller_takes_an_unassigned_lead_but_assigns_nobody(manager, seller):
    lead = new_lead(manager)
    assert act(seller, lead, "assign", responsible=me(seller)).status == 403
    assert act(seller, lead, "take").json["responsible"] == me(seller)


def test_round_robin_gives_everybody_their_turn(server, admin, manager):
    team = [server.user(f"turn{i}", "crm_sales", "--direction", "services") for i in range(3)]
    ids = {me(who) for who in team}
    given = []
    for _ in range(6):
        lead = new_lead(admin, direction="services")
        given.append(act(admin, lead, "assign", pick="round_robin").json["responsible"])
    assert set(given[:3]) == ids and given[:3] == given[3:]


def test_the_least_busy_gets_the_next_lead(server, admin):
    busy, idle = (server.user(f"{name}_one", "crm_sales", "--direction", "hardware") for name in ("busy", "idle"))
    others = [u["id"] for u in admin.get("users", filter='direction = "hardware"').json["items"] if u["id"] not in (me(busy), me(idle))]
    for user in [me(busy)] + others:
        new_lead(admin, direction="hardware", responsible=user)
        new_lead(admin, direction="hardware", responsible=user)
    new_lead(admin, direction="hardware", responsible=me(idle))
    assert act(admin, new_lead(admin, direction="hardware"), "assign", pick="least_busy").json["responsible"] == me(idle)


def test_an_absent_user_is_passed_over(server, admin):
    here, away = (server.user(f"{name}_two", "crm_sales", "--direction", "software") for name in ("here", "away"))
    admin.patch("users/" + me(away), {"absent_from": "2020-01-01", "absent_to": "2099-01-01"})
    lead = new_lead(admin, direction="software", responsible=me(here))
    assert lead["status"] == "assigned"
    for _ in range(3):
        assert act(admin, new_lead(admin, direction="software"), "assign", pick="least_busy").json["responsible"] != me(away)


@pytest.mark.parametrize("action,status,reason,wrong", [("disqualify", "disqualified", "no_budget", "spam"), ("drop", "dropped", "no_answer", "no_need")])
def test_ending_a_lead_needs_a_reason_of_its_kind(manager, seller, action, status, reason, wrong):
    lead = new_lead(manager, responsible=me(seller))
    assert codes(act(seller, lead, action)) == {("/reason", "required")}
    assert codes(act(seller, lead, action, reason=wrong)) == {("/reason", "wrong_reason")}
    ended = act(seller, lead, action, reason=reason)
    assert ended.status == 200 and (ended.json["status"], ended.json["reason"]) == (status, reason)
    assert codes(manager.patch("leads/" + lead["id"], {"subject": "Other"})) == {("/status", "closed")}
    assert act(seller, lead, "reopen").status == 403
    opened = act(manager, lead, "reopen")
    assert opened.json["status"] == "assigned" and opened.json["reason"] is None


def test_nothing_ends_before_it_is_assigned(manager):
    lead = new_lead(manager)
    for action in ("qualify", "disqualify", "drop"):
        assert act(manager, lead, action, **({"reason": "no_need"} if action == "disqualify" else {"reason": "spam"} if action == "drop" else {})).status == 409


def test_only_the_responsible_their_manager_or_a_manager_ends_a_lead(server, manager, seller, marketeer):
    lead = new_lead(manager, responsible=me(seller))
    assert act(marketeer, lead, "disqualify", reason="no_need").status == 403
    other = server.user("lead_colleague", "crm_sales", "--direction", "cloud")
    assert act(other, lead, "disqualify", reason="no_need").status == 403


def test_statuses_are_not_written_past_the_actions(manager, seller):
    lead = new_lead(manager, responsible=me(seller))
    assert manager.patch("leads/" + lead["id"], {"status": "qualified"}).status in (403, 422)
    assert manager.get("leads/" + lead["id"]).json["status"] == "assigned"


def test_qualifying_makes_company_contact_and_deal(manager, seller):
    lead = new_lead(manager, responsible=me(seller), products=["cloud_server"], email="ivan@prospect.example", tax_id=tax_id())
    done = act(seller, lead, "qualify", amount=500, close_date="2027-05-01")
    assert done.status == 200, done.body
    assert done.json["status"] == "qualified"
    made = {c["entity"]: c["id"] for c in done.json["created"]}
    assert {"company", "contact", "opportunity"} <= set(made)
    company = seller.get("companies/" + made["company"]).json
    contact = seller.get("contacts/" + made["contact"]).json
    deal = seller.get("opportunities/" + made["opportunity"]).json
    assert (company["name"], company["tax_id"]) == (lead["company_name"], lead["tax_id"])
    assert (contact["name"], contact["email"], contact["company"]) == ("Ivan", "ivan@prospect.example", company["id"])
    assert (deal["company"], deal["contact"], deal["source_lead"], deal["products"], deal["amount"]) == (company["id"], contact["id"], lead["id"], ["cloud_server"], 500)
    assert done.json["converted_to"] == deal["id"] and done.json["company"] == company["id"]


def test_qualifying_links_what_exists(manager, seller):
    company = new_company(seller)
    contact = seller.made("contacts", name="Known", company=company["id"], direction="cloud")
    deal = new_deal(seller, company=company["id"])
    lead = new_lead(manager, responsible=me(seller))
    done = act(seller, lead, "qualify", company=company["id"], contact=contact["id"], deal="existing", opportunity=deal["id"])
    assert done.status == 200 and done.json["converted_to"] == deal["id"] and not done.json.get("created")


def test_qualifying_without_a_deal(manager, seller):
    lead = new_lead(manager, responsible=me(seller))
    done = act(seller, lead, "qualify", deal="none")
    assert done.status == 200 and done.json["converted_to"] is None
    assert {c["entity"] for c in done.json["created"]} == {"company", "contact"}


def test_qualifying_is_all_or_nothing(manager, seller):
    taken = new_company(seller)
    lead = new_lead(manager, responsible=me(seller), email="all@nothing.example")
    before = seller.get("companies", count="exact", limit=1).json["total"]
    contact = seller.made("contacts", name="Somebody", direction="cloud")
    refused = act(seller, lead, "qualify", tax_id=taken["tax_id"])
    assert refused.status == 409 and refused.json["code"] == "duplicate"
    refused = act(seller, lead, "qualify", contact=contact["id"], currency="XXX")
    assert refused.status == 422
    assert seller.get("companies", count="exact", limit=1).json["total"] == before
    assert seller.get("leads/" + lead["id"]).json["status"] == "assigned"


def test_a_dry_run_of_qualifying_leaves_nothing(manager, seller):
    lead = new_lead(manager, responsible=me(seller))
    done = seller.post(f"leads/{lead['id']}/actions/qualify", {}, dry_run="true")
    assert done.status == 200 and done.json["status"] == "qualified"
    assert seller.get("leads/" + lead["id"]).json["status"] == "assigned"


def test_the_list_of_actions_says_what_is_possible_and_why_not(manager, seller):
    lead = new_lead(manager, responsible=me(seller))
    offered = {a["name"]: a for a in seller.get(f"leads/{lead['id']}/actions").json}
    assert offered["qualify"]["enabled"] and offered["disqualify"]["enabled"]
    assert not offered["assign"]["enabled"] and not offered["reopen"]["enabled"] and offered["reopen"]["reason"]
    assert {f["name"] for f in offered["qualify"]["fields"]} >= {"company", "contact", "opportunity", "deal"}
