"""Registrations, portals, certificates, marketing lists (domain.md §3, §5)."""
import datetime

import pytest

from crm import counter, new_company, tax_id, walk


def me(who):
    return who.get("me").json["id"]


def codes(answer):
    return {(e["pointer"], e["code"]) for e in answer.json["errors"]}


@pytest.fixture(scope="module")
def manager_of_partners(server):
    return server.user("reg_pam", "crm_pam", "--direction", "cloud")


@pytest.fixture(scope="module")
def partner(admin, manager_of_partners):
    return admin.made("partners", name="Registering partner", direction="cloud", directions=["cloud"], responsible=me(manager_of_partners))


@pytest.fixture(scope="module")
def staff(server, admin, partner):
    who = server.user("reg_staff", "crm_partner", "--direction", "cloud")
    answer = admin.patch("users/" + me(who), {"partner": partner["id"]})
    assert answer.status == 200, answer.body
    return who


@pytest.fixture(scope="module")
def supervisor(server, admin, partner):
    who = server.user("reg_boss", "crm_partner_supervisor", "--direction", "cloud")
    assert admin.patch("users/" + me(who), {"partner": partner["id"]}).status == 200
    admin.patch("partners/" + partner["id"], {"supervisor": me(who)})
    return who


def new_registration(who, **fields):
    n = next(counter)
    return who.made("registrations", **{"client_name": f"ООО «Клиент {n}»", "client_tax_id": tax_id(), "client_contact": "Olga", "direction": "cloud",
                                        "products": ["cloud_server"], "amount": 100, "close_date": "2027-01-01", **fields})


def act(who, registration, name, **args):
    return who.post(f"registrations/{registration['id']}/actions/{name}", args)


def test_a_registration_goes_from_draft_to_a_protected_deal(admin, staff, supervisor, manager_of_partners, partner):
    draft = new_registration(staff)
    assert draft["state"] == "draft" and draft["number"].startswith("REG") and draft["partner"] == partner["id"]
    sent = act(staff, draft, "submit")
    assert sent.status == 200 and sent.json["state"] == "submitted"
    assert [n["record"] for n in manager_of_partners.get("notifications").json["items"]] == [draft["id"]]
    assert act(manager_of_partners, draft, "approve").status == 409
    assert act(manager_of_partners, draft, "review").json["state"] == "in_review"
    approved = act(manager_of_partners, draft, "approve")
    assert approved.status == 200, approved.body
    today = datetime.datetime.now(datetime.timezone.utc).date()
    assert approved.json["state"] == "approved"
    assert abs((datetime.date.fromisoformat(approved.json["protected_until"]) - today).days - 90) <= 1
    deal = manager_of_partners.get("opportunities/" + approved.json["opportunity"]).json
    assert (deal["partner"], deal["registration"], deal["amount"], deal["stage"]) == (partner["id"], draft["id"], 100, "new")
    assert any("approved" in n["text"] for n in staff.get("notifications").json["items"])
    extended = act(manager_of_partners, draft, "extend")
    assert abs((datetime.date.fromisoformat(extended.json["protected_until"]) - today).days - 180) <= 1
    assert act(manager_of_partners, draft, "extend").status == 409


def test_information_is_asked_for_and_given(staff, manager_of_partners):
    draft = new_registration(staff)
    act(staff, draft, "submit")
    act(manager_of_partners, draft, "review")
    assert codes(act(manager_of_partners, draft, "ask")) == {("/reason", "required")}
    assert act(manager_of_partners, draft, "ask", reason="Which product?").json["state"] == "needs_info"
    assert staff.patch("registrations/" + draft["id"], {"description": "The server"}).status == 200
    assert act(staff, draft, "submit").json["state"] == "in_review"
    assert staff.patch("registrations/" + draft["id"], {"description": "Too late"}).status == 403
    assert act(manager_of_partners, draft, "reject", reason="Ours already").json["state"] == "rejected"


def test_a_duplicate_is_found_by_tax_id_domain_or_name_and_never_told_to_the_partner(admin, staff, manager_of_partners):
    company = new_company(admin, name="Рога и Копыта", site="https://www.horns.example/about")
    for given in ({"client_tax_id": company["tax_id"]}, {"client_tax_id": None, "client_email": "who@horns.example"}, {"client_name": "ООО «рога и копыта»"}):
        draft = new_registration(staff, **given)
        sent = act(staff, draft, "submit")
        assert sent.status == 200 and sent.json["state"] == "submitted"
        assert not sent.json.get("conflicts") and company["id"].encode() not in sent.body
        assert company["id"].encode() not in staff.get("registrations/" + draft["id"]).body
        seen = manager_of_partners.get("registrations/" + draft["id"]).json["conflicts"]
        assert seen[0]["id"] == company["id"]


def test_two_partners_after_one_client_meet(admin, staff, manager_of_partners):
    one = new_registration(staff)
    act(staff, one, "submit")
    two = new_registration(staff, client_tax_id=one["client_tax_id"])
    act(staff, two, "submit")
    seen = manager_of_partners.get("registrations/" + two["id"]).json["conflicts"]
    assert [c["id"] for c in seen if c["entity"] == "registration"] == [one["id"]]


def test_only_a_draft_is_deleted(staff, admin):
    draft = new_registration(staff)
    act(staff, draft, "submit")
    assert codes(admin.delete("registrations/" + draft["id"])) == {("/state", "not_draft")}
    assert admin.delete("registrations/" + new_registration(staff)["id"]).status == 204


def test_a_won_deal_completes_its_registration(admin, staff, manager_of_partners):
    draft = new_registration(staff)
    act(staff, draft, "submit")
    act(manager_of_partners, draft, "review")
    deal = {"id": act(manager_of_partners, draft, "approve").json["opportunity"]}
    deal = admin.get("opportunities/" + deal["id"]).json
    admin.patch("companies/" + deal["company"], {"legal_name": "Client LLC"})
    walk(admin, deal, "contract")
    assert admin.post(f"opportunities/{deal['id']}/actions/win", {}).status == 200
    assert admin.get("registrations/" + draft["id"]).json["state"] == "converted"


def test_an_approval_may_make_a_lead_instead(admin, staff, manager_of_partners):
    draft = new_registration(staff)
    act(staff, draft, "submit")
    act(manager_of_partners, draft, "review")
    approved = act(manager_of_partners, draft, "approve", **{"as": "lead"})
    lead = admin.get("leads/" + approved.json["lead"]).json
    assert (lead["source"], lead["status"], lead["partner"]) == ("partner", "assigned", draft["partner"])
    done = admin.post(f"leads/{lead['id']}/actions/qualify", {})
    assert done.status == 200, done.body
    registration = admin.get("registrations/" + draft["id"]).json
    assert registration["state"] == "converted" and registration["opportunity"] == done.json["converted_to"]


def test_a_portal_is_made_from_its_direction_once(admin, seller):
    direction = admin.made("directions", code="portal_test", name={"en": "Portal test", "ru": "Проба портала"})
    path = f"directions/{direction['id']}/actions/make_portal"
    made = admin.post(path, {})
    assert made.status == 200 and made.json["portal"] == "portal_test"
    portal = admin.get("portals/" + made.json["created"][0]["id"]).json
    assert (portal["path"], portal["direction"], portal["code"]) == ("portal-test", "portal_test", "portal_test")
    assert admin.post(path, {}).status == 409
    assert admin.post("portals", {"path": "other", "direction": "portal_test", "name": "Second"}).status == 409
    assert codes(admin.post("portals", {"path": "Bad Path", "direction": "hardware", "name": "X"})) == {("/path", "invalid")}
    assert admin.delete("portals/" + portal["id"]).status == 204
    assert admin.get("directions/" + direction["id"]).json["portal"] is None


def test_a_certificate_gets_its_term_and_partner_and_is_renewed_by_a_new_one(admin, partner):
    holder = admin.made("contacts", name="Engineer", partner=partner["id"], direction="cloud")
    made = admin.made("certificates", certification="cloud_sales", holder=holder["id"], issued="2024-02-29")
    assert (made["expires"], made["partner"], made["state"]) == ("2025-02-28", partner["id"], "issued")
    path = "certificates/" + made["id"]
    renewed = admin.post(path + "/actions/renew", {"issued": "2025-02-28"})
    assert admin.get("certificates/" + renewed.json["created"][0]["id"]).json["renews"] == made["id"]
    assert codes(admin.patch(path, {"state": "revoked"})) == {("/reason", "required")}
    assert admin.post(path + "/actions/revoke", {"reason": "Cheated"}).json["state"] == "revoked"
    assert codes(admin.patch(path, {"state": "issued"})) == {("/state", "no_way")}


def test_a_dynamic_list_follows_its_filter_and_consent(admin):
    n = next(counter)
    yes, no = (admin.made("contacts", name=f"List {n}", consent=consent, position=f"p{n}", direction="cloud") for consent in (True, False))
    made = admin.made("marketing_lists", name="By filter", kind="dynamic", entity="contact", filter=f'position = "p{n}"')
    assert admin.post(f"marketing_lists/{made['id']}/actions/refresh", {}).status == 200
    members = admin.get("members", filter=f'list = "{made["id"]}"').json["items"]
    assert [m["person"] for m in members] == [yes["id"]]
    assert codes(admin.post("members", {"list": made["id"], "person": no["id"]})) == {("/person", "no_consent")}
    assert admin.patch("members/" + members[0]["id"], {"response": "interested"}).json["responded_at"]
    assert codes(admin.post("marketing_lists", {"name": "Bad", "kind": "dynamic", "filter": "nam = 1"})) == {("/filter", "bad_filter")}
    assert codes(admin.post("marketing_lists", {"name": "Bad", "kind": "dynamic"})) >= {("/filter", "required")}
