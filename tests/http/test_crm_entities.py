"""The entities of the sales domain over HTTP: each can be made with its main fields, in both languages."""
import pytest

TAX_ID = "7707083893"


@pytest.fixture(scope="module")
def base(admin):
    """One of each of those that others refer to."""
    partner = admin.made("partners", name="Base partner", direction="cloud")
    company = admin.made("companies", name="Base client", direction="cloud")
    contact = admin.made("contacts", name="Base person", company=company["id"])
    deal = admin.made("opportunities", name="Base deal", company=company["id"], direction="cloud")
    me = admin.get("me").json["id"]
    return {"partner": partner["id"], "company": company["id"], "contact": contact["id"], "deal": deal["id"], "me": me}


CASES = {
    "companies": {"name": "Nova", "legal_name": "Nova LLC", "tax_id": TAX_ID, "industry": "finance", "size": 10, "site": "https://nova.example",
                  "address": "Moscow", "direction": "cloud", "partner": "@partner", "lifecycle_step": "research", "status": "prospect"},
    "partners": {"name": "Integrator", "level": "gold", "directions": ["cloud", "software"], "agreement_from": "2026-01-01", "agreement_to": "2026-12-31"},
    "contacts": {"name": "Anna", "position": "CIO", "email": "anna@nova.example", "phone": "+7 495 000-00-00", "company": "@company",
                 "decision_role": "decides", "consent": True, "language": "ru"},
    "leads": {"subject": "Asks for a cloud", "company_name": "Nova", "contact_name": "Anna", "email": "anna@nova.example", "source": "web",
              "products": ["cloud_server"], "direction": "cloud"},
    "opportunities": {"name": "Cloud for Nova", "company": "@company", "contact": "@contact", "partner": "@partner", "direction": "cloud", "presale": "@me",
                      "products": ["cloud_server"], "amount": 1000.5, "currency": "USD", "probability": 5, "close_date": "2027-01-31"},
    "lines": {"opportunity": "@deal", "product": "cloud_server", "quantity": 2, "price": 10, "discount": 5},
    "tasks": {"title": "Call", "record": "@deal", "due": "2026-12-01T10:00:00Z"},
    "activities": {"kind": "call", "record": "@deal", "when": "2026-11-01T10:00:00Z", "duration": 15, "people": ["@contact"], "text": "Agreed"},
    "comments": {"record": "@deal", "text": "Hello"},
    "documents": {"name": "Brief", "kind": "requirements_brief", "record": "@deal", "place": "https://files.example.com/brief"},
    "folders": {"record": "@deal", "wanted_path": "cloud/2026/Nova/OPP1"},
    "notifications": {"user": "@me", "text": "Look", "record": "@deal"},
    "views": {"name": "Mine", "entity": "opportunity", "filter": "responsible = @me", "columns": ["name"], "pinned": True},
    "followers": {"record": "@deal", "user": "@me"},
    "stages": {"code": "test_stage", "name": {"en": "Test", "ru": "Проба"}, "pipeline": "another", "order": 99, "require": ["amount"], "documents": ["contract"]},
    "lifecycle_steps": {"code": "test_step", "name": "Test", "order": 99},
    "chains": {"code": "test_chain", "name": "Test"},
    "chain_steps": {"code": "test_chain.one", "chain": "test_chain", "title": "One", "order": 1, "due": "1d", "assignee": {"role": "crm_sales"}, "blocking": True},
    "products": {"code": "test_product", "name": "Test", "kind": "service", "unit": "day", "direction": "cloud"},
    "prices": {"product": "cloud_server", "currency": "RUB", "price": 99.5, "date": "2026-02-01"},
    "currencies": {"code": "GBP", "name": "Pound"},
    "currency_rates": {"currency": "USD", "date": "2025-12-01", "rate": 81.25},
    "holidays": {"date": "2031-01-01", "name": {"en": "New year", "ru": "Новый год"}},
    "lost_reasons": {"code": "test_lost", "name": "Test", "asks_competitor": True},
    "status_reasons": {"code": "test_reason", "name": "Test", "status": "on_hold"},
    "lead_reasons": {"code": "test_lead_reason", "name": "Test", "status": "dropped"},
    "lead_sources": {"code": "test_source", "name": "Test"},
    "document_kinds": {"code": "test_kind", "name": "Test"},
    "industries": {"code": "test_industry", "name": "Test"},
    "directions": {"code": "test_direction", "name": "Test", "head": "@me"},
    "groups": {"name": "Test group", "direction": "cloud", "lead": "@me", "members": ["@me"]},
    "registrations": {"partner": "@partner", "direction": "cloud", "client_name": "Nova", "client_tax_id": TAX_ID, "products": ["cloud_server"],
                      "amount": 10, "close_date": "2027-01-01"},
    "portals": {"code": "test_portal", "path": "test-portal", "direction": "services", "name": "Portal", "texts": {"hello": "Welcome"}},
    "certifications": {"code": "test_certification", "name": "Test", "validity": 12, "direction": "cloud", "product": "cloud_server"},
    "certificates": {"certification": "cloud_sales", "holder": "@contact", "partner": "@partner", "issued": "2026-01-01", "expires": "2027-01-01"},
    "campaigns": {"name": "Spring", "kind": "event", "start_date": "2026-03-01", "end_date": "2026-05-31", "budget": 1000, "state": "planned"},
    "marketing_lists": {"name": "Everybody", "kind": "static"},
    "offerings": {"name": "Cloud at half the price", "product": "cloud_server", "direction": "cloud", "text": "Only now"},
    "achievements": {"name": "Nova runs in the cloud", "product": "cloud_server", "direction": "cloud", "text": "A story"},
    "contents": {"title": "Brochure", "kind": "brochure", "direction": "cloud", "partner_level": "silver", "language": "ru"},
}


def resolve(value, base):
    if isinstance(value, str) and value.startswith("@"):
        return base[value[1:]]
    if isinstance(value, list):
        return [resolve(v, base) for v in value]
    return value


@pytest.mark.parametrize("collection", list(CASES))
def test_a_record_of_each_kind_is_made_and_read_back(admin, base, collection):
    body = {name: resolve(value, base) for name, value in CASES[collection].items()}
    made = admin.post(collection, body)
    assert made.status == 201, made.body
    read = admin.get(f"{collection}/{made.json['id']}").json
    for name, value in body.items():
        if name in ("name", "title", "phone", "when", "due") or isinstance(value, dict):
            assert read[name]
        elif isinstance(value, list):
            assert sorted(read[name]) == sorted(value), name
        else:
            assert read[name] == value, name


def test_every_label_is_said_in_both_languages(server, admin):
    english = server.user("admin", "crm_admin")
    russian = server.user("admin", "crm_admin")
    english.language, russian.language = "en", "ru"
    one, two = english.get("schema").json["entities"], russian.get("schema").json["entities"]

    def has_russian(text):
        return any("а" <= ch.lower() <= "я" for ch in text)

    for name, entity in one.items():
        assert not has_russian(entity["label"]) and has_russian(two[name]["label"]), name
        for field, about in entity["fields"].items():
            assert not has_russian(about["label"]), (name, field)
            assert has_russian(two[name]["fields"][field]["label"]), (name, field)
            for option, shown in zip(about.get("options", []), two[name]["fields"][field].get("options", [])):
                assert has_russian(shown["label"]), (name, field, option)


def test_every_kind_of_record_has_views_of_fields_that_exist(admin):
    for name, entity in admin.get("schema").json["entities"].items():
        views, fields = entity["views"], entity["fields"]
        assert views.get("list"), name
        shown = views["list"] + views.get("card", []) + views.get("board", {}).get("card", [])
        for section in views.get("form", []):
            shown += section["fields"]
        assert not set(shown) - set(fields), (name, set(shown) - set(fields))


@pytest.mark.parametrize("collection,prefix", [("opportunities", "OPP"), ("leads", "LED"), ("tasks", "TSK"), ("registrations", "REG"), ("certificates", "CRT")])
def test_numbers_are_given_and_never_taken(admin, base, collection, prefix):
    body = {name: resolve(value, base) for name, value in CASES[collection].items()}
    one, two = admin.made(collection, **body), admin.made(collection, **body)
    assert one["number"].startswith(prefix) and one["number"] < two["number"]
    refused = admin.patch(f"{collection}/{one['id']}", {"number": prefix + "0"})
    assert refused.status == 403 and refused.json["errors"][0]["pointer"] == "/number"


@pytest.mark.parametrize("tax_id", ["7707083894", "500100732258", "12345", "7" * 11])
def test_a_tax_id_with_wrong_digits_is_refused(admin, tax_id):
    for collection, field, more in (("companies", "tax_id", {"name": "X"}), ("partners", "tax_id", {"name": "X"}), ("leads", "tax_id", {"subject": "X"})):
        refused = admin.post(collection, {field: tax_id, **more})
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/" + field


def test_good_tax_ids_of_each_kind_are_taken_once(admin):
    for tax_id in ("500100732259", "GB-99999", "7736050003"):
        assert admin.post("companies", {"name": tax_id, "tax_id": tax_id}).status == 201
        again = admin.post("companies", {"name": tax_id + " again", "tax_id": tax_id})
        assert again.status == 409 and again.json["code"] == "duplicate" and again.json["errors"][0]["pointer"] == "/tax_id"
        assert admin.post("partners", {"name": tax_id, "tax_id": tax_id}).status == 201, "unique within each"


def test_a_setting_is_deleted_only_while_nothing_refers_to_it(admin, base):
    source = admin.made("lead_sources", code="unused_source", name="Unused")
    assert admin.delete("lead_sources/" + source["id"]).status == 204
    used = admin.made("lead_sources", code="used_source", name="Used")
    admin.made("leads", subject="From it", source="used_source")
    refused = admin.delete("lead_sources/" + used["id"])
    assert refused.status == 409 and refused.json["code"] == "conflict"
    assert admin.patch("lead_sources/" + used["id"], {"active": False}).status == 200
