"""Actions, moves, timelines, comments and the schema: api.md §7."""
import threading

import pytest


@pytest.fixture
def deal(admin, company):
    return admin.made("opportunities", name="Actions", company=company["id"], direction="cloud")


@pytest.fixture(scope="module")
def partner(server, admin):
    firm = admin.made("partners", name="Resellers")
    client = server.user("reseller", "crm_partner_supervisor")
    assert admin.patch("users/" + client.get("me").json["id"], {"partner": firm["id"]}).status == 200
    client.firm = firm["id"]
    return client


def ready(admin, company, **more):
    """A deal that may enter qualification."""
    product = admin.get("products", limit=1).json["items"]
    product = product[0] if product else admin.made("products", code="p1", name="P1")
    contact = admin.made("contacts", name="Ready", company=company["id"])
    return admin.made("opportunities", name="Ready", company=company["id"], direction="cloud", contact=contact["id"],
                      products=[product.get("code") or product["id"]], probability=10, **more)


def timeline(client, deal, **query):
    return client.get(f"opportunities/{deal['id']}/timeline", **query).json


# ---- what may be done ----

def test_actions_say_what_may_be_done_now_and_why_not(admin, deal):
    actions = {a["name"]: a for a in admin.get(f"opportunities/{deal['id']}/actions").json}
    assert actions["move"]["enabled"] and actions["move"]["reason"] is None
    assert actions["move"]["fields"][0]["name"] == "stage" and actions["move"]["fields"][0]["required"] is True
    disabled = [a for a in actions.values() if not a["enabled"]]
    assert disabled and all(a["reason"] for a in disabled)
    russian = {a["name"]: a for a in admin("GET", f"opportunities/{deal['id']}/actions", headers={"Accept-Language": "ru"}).json}
    assert russian["move"]["label"] == "Перевести на этап" and all(a["reason"].startswith(("нужно", "у вас")) for a in russian.values() if not a["enabled"])


def test_who_may_only_read_is_told_so(admin, seller, deal):
    assert seller.get("opportunities/" + deal["id"]).status == 200
    move = next(a for a in seller.get(f"opportunities/{deal['id']}/actions").json if a["name"] == "move")
    assert move["enabled"] is False and "rights" in move["reason"]
    assert seller.post(f"opportunities/{deal['id']}/actions/move", {"stage": "new"}).status == 403


def test_what_is_offered_as_enabled_is_not_forbidden_and_the_rest_refused(admin, manager, seller, company):
    for client in (admin, manager, seller):
        mine = ready(client if client is not seller else admin, company)
        for action in client.get(f"opportunities/{mine['id']}/actions").json:
            tried = client.post(f"opportunities/{mine['id']}/actions/{action['name']}", {}, dry_run="true")
            assert (tried.status == 403) <= (not action["enabled"]), (action, tried.body)
            if not action["enabled"]:
                assert tried.status in (403, 409, 422), (action, tried.body)


def test_an_unknown_action_is_404_with_the_nearest_name(admin, deal):
    refused = admin.post(f"opportunities/{deal['id']}/actions/losse")
    assert refused.status == 404 and "lose" in refused.json["detail"]
    assert admin.post(f"companies/{deal['company']}/actions/move", {"stage": "new"}).status == 404


def test_the_fields_of_an_action_are_checked(admin, deal):
    path = f"opportunities/{deal['id']}/actions/"
    unknown = admin.post(path + "move", {"stage": "new", "stge": 1})
    assert unknown.status == 400 and unknown.json["errors"][0]["pointer"] == "/stge"
    for wrong in (None, 5, "", ["new"]):
        refused = admin.post(path + "move", {"stage": wrong})
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/stage", wrong
    nowhere = admin.post(path + "move", {"stage": "nowhere"})
    assert nowhere.status == 422 and nowhere.json["errors"][0]["pointer"] == "/stage"
    refused = admin.post(path + "lose", {"lost_reason": 5})
    assert refused.status in (400, 422) and refused.json["errors"][0]["pointer"] == "/lost_reason"
    assert admin.post(path + "move", {}).status == 422


# ---- moving ----

def test_a_move_answers_the_record_and_what_it_created(admin, company):
    mine = ready(admin, company)
    moved = admin.post(f"opportunities/{mine['id']}/actions/move", {"stage": "qualification"})
    assert moved.status == 200 and moved.json["stage"] == "qualification" and moved.headers["ETag"] == f'"{moved.json["version"]}"'
    tasks = [c for c in moved.json["created"] if c["entity"] == "task"]
    assert tasks and all(admin.get("tasks/" + t["id"]).json["record"] == mine["id"] for t in tasks)
    assert "created" not in admin.get("opportunities/" + mine["id"]).json


def test_a_patch_of_the_stage_is_the_same_as_a_move(admin, company):
    mine = ready(admin, company)
    before = timeline(admin, mine)["items"]
    moved = admin.patch("opportunities/" + mine["id"], {"stage": "qualification"})
    assert moved.status == 200 and moved.json["stage"] == "qualification"
    new = [i for i in timeline(admin, mine)["items"] if i not in before]
    assert {i["type"] for i in new} >= {"move", "task"}
    bare = admin.made("opportunities", name="Bare", company=company["id"], direction="cloud")
    by_patch = admin.patch("opportunities/" + bare["id"], {"stage": "qualification"})
    by_move = admin.post(f"opportunities/{bare['id']}/actions/move", {"stage": "qualification"})
    assert by_patch.status == by_move.status == 422 and by_patch.json["errors"] == by_move.json["errors"]


def test_a_move_to_where_it_is_changes_nothing(admin, deal):
    before = timeline(admin, deal)
    same = admin.post(f"opportunities/{deal['id']}/actions/move", {"stage": "new"})
    assert same.status == 200 and {k: v for k, v in same.json.items() if k != "created"} == admin.get("opportunities/" + deal["id"]).json
    assert same.json["version"] == deal["version"] and not same.json.get("created") and timeline(admin, deal) == before
    assert admin.patch("opportunities/" + deal["id"], {"stage": "new"}).json["version"] == deal["version"]


def test_a_stage_may_be_named_by_its_id(admin, deal):
    stage = admin.get("stages/new").json["id"]
    assert admin.post(f"opportunities/{deal['id']}/actions/move", {"stage": stage}).json["stage"] == "new"


def test_of_two_moves_at_once_only_one_makes_the_tasks(admin, company):
    mine = ready(admin, company)
    results = []
    threads = [threading.Thread(target=lambda: results.append(admin.post(f"opportunities/{mine['id']}/actions/move", {"stage": "qualification"}))) for _ in range(6)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert [r.status for r in results] == [200] * 6
    assert sum(bool(r.json.get("created")) for r in results) == 1


# ---- the timeline ----

def test_the_timeline_is_newest_first_in_pages_that_neither_lose_nor_repeat(admin, deal):
    for i in range(7):
        admin.patch("opportunities/" + deal["id"], {"amount": i + 1})
        admin.post(f"opportunities/{deal['id']}/comments", {"text": f"c{i}"})
    whole = timeline(admin, deal, limit=500)
    assert "next" not in whole
    positions = [i["position"] for i in whole["items"]]
    assert positions == sorted(positions, reverse=True) and len(positions) >= 15
    paged, cursor = [], None
    while True:
        page = timeline(admin, deal, limit=4, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) <= 4
        paged += page["items"]
        cursor = page.get("next")
        if not cursor:
            break
    assert paged == whole["items"]


def test_the_timeline_tells_of_changes_comments_tasks_and_moves(admin, company):
    mine = ready(admin, company)
    admin.patch("opportunities/" + mine["id"], {"amount": 5})
    admin.post(f"opportunities/{mine['id']}/comments", {"text": "said"})
    admin.post(f"opportunities/{mine['id']}/actions/move", {"stage": "qualification"})
    items = timeline(admin, mine)["items"]
    kinds = {i["type"] for i in items}
    assert {"create", "update", "comment", "task", "move"} <= kinds
    update = next(i for i in items if i["type"] == "update")
    assert {"field": "amount", "label": "Amount", "old": None, "new": 5} in update["changes"]
    assert update["by"]["name"] == "Admin" and update["entity"] == "opportunity" and update["record"] == mine["id"]
    said = next(i for i in items if i["type"] == "comment")
    assert any(c["field"] == "text" and c["new"] == "said" for c in said["changes"])
    moved = next(i for i in items if i["type"] == "move")
    assert any(c["field"] == "stage" and (c["old"], c["new"]) == ("new", "qualification") for c in moved["changes"])


def test_the_timeline_speaks_the_readers_language(admin, deal):
    for language, word in (("en", "First contact"), ("ru", "Первый контакт")):
        items = admin("GET", f"opportunities/{deal['id']}/timeline", headers={"Accept-Language": language}).json["items"]
        titles = [c["new"] for i in items if i["type"] == "task" for c in i["changes"] if c["field"] == "title"]
        assert word in titles, titles
    labels = {c["label"] for i in items for c in i["changes"]}
    assert "Название" in labels


def test_a_reason_given_with_a_move_is_in_the_timeline(admin, company):
    mine = ready(admin, company)
    admin.post(f"opportunities/{mine['id']}/actions/move", {"stage": "qualification", "reason": "they asked"})
    assert next(i for i in timeline(admin, mine)["items"] if i["type"] == "move")["reason"] == "they asked"


def test_the_timeline_shows_only_what_the_reader_may_read(admin, partner, company):
    mine = admin.made("opportunities", name="For partner", company=company["id"], direction="cloud", partner=partner.firm)
    seen = partner.get("opportunities/" + mine["id"])
    admin.patch("opportunities/" + mine["id"], {"competitor": "Rival Ltd"})
    admin.post(f"opportunities/{mine['id']}/comments", {"text": "internal words"})
    answer = partner.get(f"opportunities/{mine['id']}/timeline")
    assert answer.status == seen.status == 200
    text = answer.body.decode()
    assert "Rival" not in text and "competitor" not in text and "internal words" not in text and '"task"' not in text
    assert "Rival" in admin("GET", f"opportunities/{mine['id']}/timeline").body.decode()


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "cursor=x", "cursor=-1", "cursor=99999999999999999999", "filter=x", "cursor=1.5"])
def test_a_wrong_parameter_of_the_timeline_is_400(admin, deal, query):
    assert admin.raw("GET", f"/api/v1/opportunities/{deal['id']}/timeline?{query}").status == 400


# ---- comments ----

def test_a_comment_answers_as_a_new_record(admin, deal):
    made = admin.post(f"opportunities/{deal['id']}/comments", {"text": "Слово"})
    assert made.status == 201 and made.json["text"] == "Слово" and made.json["record"] == deal["id"]
    assert made.headers["Location"] == "/api/v1/comments/" + made.json["id"] and admin.get(made.headers["Location"]).json == made.json
    assert admin.post(f"opportunities/{deal['id']}/comments", {"text": "x"}, {"Prefer": "return=minimal"}).body == b""


@pytest.mark.parametrize("body", [{}, {"text": ""}, {"text": None}, {"text": 5}, {"text": "x", "record": "y"}, {"text": "a" * 20001}, {"text": "  "}])
def test_a_comment_needs_a_text_and_takes_nothing_else(admin, deal, body):
    refused = admin.post(f"opportunities/{deal['id']}/comments", body)
    assert refused.status in (400, 422) and refused.json["errors"], refused.body


def test_who_only_reads_everything_writes_no_comment(server, deal):
    reader = server.user("reader", "crm_read_admin")
    assert reader.get("opportunities/" + deal["id"]).status == 200
    assert reader.post(f"opportunities/{deal['id']}/comments", {"text": "x"}).status == 403


# ---- the schema ----

def test_the_schema_is_what_a_desk_is_built_from(admin):
    schema = admin.get("schema").json
    deal = schema["entities"]["opportunity"]
    assert deal["collection"] == "opportunities" and deal["title"] == "name" and "move" in deal["actions"]
    amount = deal["fields"]["amount"]
    assert amount["type"] == "money" and amount["label"] == "Amount" and amount["read"] and amount["write"] and not amount["required"]
    assert deal["fields"]["company"]["to"] == "company" and deal["fields"]["company"]["required"]
    assert {"value": "won", "label": "Won"} in deal["fields"]["status"]["options"]
    assert not deal["fields"]["created_at"]["write"] and not deal["fields"]["number"]["write"]
    assert {"list", "board", "form"} <= set(deal["views"])
    stages = schema["pipelines"]["sales"]["stages"]
    assert schema["pipelines"]["sales"]["entity"] == "opportunity" and len(stages) == 10
    assert [s["code"] for s in stages][:3] == ["new", "qualification", "discovery"] and stages[2]["require"] == ["amount", "close_date"]
    assert stages[1]["probability"] == 10 and stages[3]["documents"] == ["requirements_brief"] and stages[0]["lifecycle_step"] == "awareness"


def test_the_schema_speaks_the_language(admin):
    schema = admin("GET", "schema", headers={"Accept-Language": "ru"}).json
    deal = schema["entities"]["opportunity"]
    assert deal["label"] == "Возможная сделка" and deal["fields"]["amount"]["label"] == "Сумма"
    assert {"value": "won", "label": "Выиграна"} in deal["fields"]["status"]["options"]
    assert schema["pipelines"]["sales"]["stages"][0]["label"] == "Новая"
    assert all(isinstance(section["label"], str) for section in deal["views"]["form"])


def test_the_schema_names_no_field_that_the_reader_may_not_read(admin, partner):
    everything, mine = admin.get("schema").json["entities"], partner.get("schema").json["entities"]
    for name, entity in mine.items():
        hidden = set(everything[name]["fields"]) - set(entity["fields"])

        def walk(value):
            if isinstance(value, dict):
                for key, inner in value.items():
                    if key != "label":
                        yield from walk(inner)
            elif isinstance(value, list):
                for inner in value:
                    yield from walk(inner)
            elif isinstance(value, str):
                yield value
        assert not hidden & set(walk(entity["views"])), name
        assert entity["title"] == "id" or entity["title"] in entity["fields"]
    assert "lead" not in mine and "opportunity" in mine
    assert "competitor" in str(everything["opportunity"]["views"]) and "competitor" not in str(mine["opportunity"])


def test_every_stage_of_the_schema_can_be_read_as_a_record(admin):
    for stage in admin.get("schema").json["pipelines"]["sales"]["stages"]:
        record = admin.get("stages/" + stage["code"]).json
        assert record["name"] == stage["label"] and record["probability"] == stage["probability"]


def test_a_new_stage_is_in_the_schema_at_once(admin):
    admin.made("stages", code="warranty", name="Warranty", order=110, pipeline="sales", probability=0)
    assert "warranty" in [s["code"] for s in admin.get("schema").json["pipelines"]["sales"]["stages"]]


@pytest.mark.parametrize("value", ["amount", {"amount": True}, ["amount", 5], [["amount"]], 7, True])
def test_what_a_stage_asks_for_is_a_list_of_names(admin, value):
    for field in ("require", "documents"):
        refused = admin.patch("stages/pilot", {field: value})
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/" + field, refused.body
    assert admin.patch("stages/pilot", {"require": ["amount"], "documents": []}, dry_run="true").status in (200, 403)
