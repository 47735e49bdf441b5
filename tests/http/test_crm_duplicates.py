"""The same thing twice: refused with candidates, found by the scan, merged, and apart again."""
from crm import counter, new_company, new_deal


def codes(answer):
    return {(e["pointer"], e["code"]) for e in answer.json["errors"]}


def site():
    return f"https://client{next(counter)}.example"


def test_a_duplicate_is_refused_with_the_candidates_and_made_with_a_reason(manager):
    one = new_company(manager, site=site())
    body = {"name": "Another name", "site": one["site"] + "/contacts", "direction": "cloud"}
    refused = manager.post("companies", body)
    assert refused.status == 409 and refused.json["code"] == "duplicate"
    assert refused.json["candidates"] == [{"id": one["id"], "entity": "company", "name": one["name"]}]
    made = manager.post("companies", body, reason="A branch with books of its own")
    assert made.status == 201
    timeline = manager.get(f"companies/{made.json['id']}/timeline").json["items"]
    assert any("books of its own" in str(item) for item in timeline)


def test_candidates_are_only_those_that_one_may_see(admin, other):
    hidden = new_company(admin, site=site(), direction="software")
    assert other.get("companies/" + hidden["id"]).status == 404
    refused = other.post("companies", {"name": "Mine", "site": hidden["site"], "direction": "hardware"})
    assert refused.status == 409 and refused.json["candidates"] == []
    assert hidden["id"].encode() not in refused.body and hidden["name"].encode() not in refused.body


def test_one_person_is_one_contact_of_a_company(manager):
    company = new_company(manager)["id"]
    body = {"name": "Olga", "email": "olga@client.example", "company": company, "direction": "cloud"}
    assert manager.post("contacts", body).status == 201
    assert manager.post("contacts", {**body, "name": "Olga P."}).status == 409
    assert manager.post("contacts", {**body, "company": new_company(manager)["id"]}).status == 201


def test_the_scan_finds_names_that_differ_by_form_only(manager):
    n = next(counter)
    ids = {new_company(manager, name=name)["id"] for name in (f"ООО «Север {n}»", f"север {n}, АО", f"Север-{n}")}
    new_company(manager, name=f"Север {n} плюс")
    groups = manager.get("x/duplicates", entity="company").json["groups"]
    assert [set(r["id"] for r in g["records"]) for g in groups if ids & {r["id"] for r in g["records"]}] == [ids]
    assert manager.get("x/duplicates", entity="task").status == 422


def two_of_one(who):
    kept = new_company(who, tax_id=None, legal_name=None, size=5)
    other = new_company(who, size=50)
    contact = who.made("contacts", name="Buyer", company=other["id"], direction="cloud")
    deal = new_deal(who, company=other["id"])
    task = who.made("tasks", title="Call", record=other["id"])
    comment = who.post(f"companies/{other['id']}/comments", {"text": "Known for years"})
    assert comment.status == 201
    return kept, other, contact, deal, task


def merge(who, kept, other, **args):
    return who.post(f"companies/{kept['id']}/actions/merge", {"other": other["id"], **args})


def undo(who, kept):
    record = who.get("merges", filter=f'kept = "{kept["id"]}"').json["items"][0]
    return who.post(f"merges/{record['id']}/actions/undo", {})


def test_merging_leads_every_reference_over_and_fills_what_was_missing(manager):
    kept, other, contact, deal, task = two_of_one(manager)
    done = merge(manager, kept, other, reason="One client")
    assert done.status == 200, done.body
    assert (done.json["tax_id"], done.json["legal_name"], done.json["size"]) == (other["tax_id"], other["legal_name"], 5)
    assert manager.get("contacts/" + contact["id"]).json["company"] == kept["id"]
    assert manager.get("opportunities/" + deal["id"]).json["company"] == kept["id"]
    assert manager.get("tasks/" + task["id"]).json["record"] == kept["id"]
    assert [c["text"] for c in manager.get("comments", filter=f'record = "{kept["id"]}"').json["items"]] == ["Known for years"]
    gone = manager.get("companies/" + other["id"]).json
    assert gone["active"] is False and gone["tax_id"] is None


def test_a_merge_is_undone_but_for_what_was_changed_since(manager):
    kept, other, contact, deal, task = two_of_one(manager)
    third = new_company(manager)
    assert merge(manager, kept, other, take=["size"]).json["size"] == 50
    manager.patch("contacts/" + contact["id"], {"company": third["id"]})
    manager.patch("companies/" + kept["id"], {"legal_name": "Chosen since"})
    done = undo(manager, kept)
    assert done.status == 200 and done.json["undone_at"], done.body
    back, again = manager.get("companies/" + kept["id"]).json, manager.get("companies/" + other["id"]).json
    assert (back["tax_id"], back["size"], back["legal_name"]) == (None, 5, "Chosen since")
    assert again["active"] is True and again["tax_id"] == other["tax_id"]
    assert manager.get("opportunities/" + deal["id"]).json["company"] == other["id"]
    assert manager.get("tasks/" + task["id"]).json["record"] == other["id"]
    assert manager.get("contacts/" + contact["id"]).json["company"] == third["id"]
    assert undo(manager, kept).status == 409


def test_deals_that_are_closed_follow_their_company_too(manager):
    kept, other = new_company(manager), new_company(manager)
    deal = new_deal(manager, company=other["id"])
    assert manager.post(f"opportunities/{deal['id']}/actions/lose", {"lost_reason": "price"}).status == 200
    assert merge(manager, kept, other).status == 200
    assert manager.get("opportunities/" + deal["id"]).json["company"] == kept["id"]


def test_only_a_manager_merges_and_only_what_they_may_change(manager, seller, admin):
    kept, other = new_company(seller), new_company(seller)
    assert merge(seller, kept, other).status == 403
    foreign = new_company(admin, direction="software")
    assert merge(manager, kept, foreign).status == 422
    assert merge(manager, kept, kept).status == 422
    assert codes(merge(manager, kept, other, take=["version"])) == {("/take", "not_mergeable")}
    assert manager.post("merges", {"kept": kept["id"], "merged": other["id"]}).status == 403


def test_followers_of_both_stay_one(manager, seller):
    one = new_deal(seller)
    contacts = [manager.made("contacts", name="Twice", direction="cloud", email=f"twice{i}@x.example") for i in range(2)]
    for contact in contacts:
        manager.made("activities", kind="call", record=one["id"], people=[c["id"] for c in contacts])
        manager.made("followers", record=contact["id"])
    done = manager.post(f"contacts/{contacts[0]['id']}/actions/merge", {"other": contacts[1]["id"]})
    assert done.status == 200, done.body
    people = [a["people"] for a in manager.get("activities", filter=f'record = "{one["id"]}"').json["items"]]
    assert people == [[contacts[0]["id"]]] * 2
    assert len(manager.get("followers", filter=f'record = "{contacts[0]["id"]}"').json["items"]) == 1
