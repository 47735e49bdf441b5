"""Records over HTTP: api.md §1, §2, §5."""
import json
import threading


def test_a_created_record_is_answered_with_place_and_version(admin):
    answer = admin.post("companies", {"name": "Alpha", "tax_id": "7707083893"})
    assert answer.status == 201 and answer.headers["ETag"] == '"1"'
    assert answer.headers["Location"] == "/api/v1/companies/" + answer.json["id"]
    assert admin.get("companies/" + answer.json["id"]).json == answer.json


def test_money_is_exact(admin, company):
    body = '{"name":"Exact","company":"%s","direction":"cloud","amount":90071992547409.93}' % company["id"]
    deal = admin("POST", "opportunities", body, {"Content-Type": "application/json"}).json
    assert b'"amount":90071992547409.93' in admin.get("opportunities/" + deal["id"]).body
    refused = admin.post("opportunities", {"name": "X", "company": company["id"], "direction": "cloud", "amount": 1.005})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/amount"


def test_every_wrong_field_is_named_at_once(admin):
    refused = admin.post("contacts", {"name": 5, "email": "nobody", "phone": "abc", "consent": "yes"})
    assert refused.status == 422
    assert {e["pointer"] for e in refused.json["errors"]} >= {"/name", "/consent"}
    refused = admin.post("contacts", {"email": "nobody", "phone": "abc"})
    assert {e["pointer"] for e in refused.json["errors"]} == {"/name", "/email", "/phone"}


def test_an_unknown_field_is_400_with_the_nearest_name(admin):
    refused = admin.post("companies", {"name": "A", "adress": "x"})
    assert refused.status == 400 and refused.json["code"] == "unknown_field"
    assert refused.json["errors"][0]["pointer"] == "/adress" and refused.json["errors"][0]["suggestion"] == "address"


def test_what_nobody_writes_is_403_with_its_pointer(admin, company):
    for field, value in (("created_at", "2020-01-01T00:00:00Z"), ("version", 7), ("updated_by", None)):
        refused = admin.patch("companies/" + company["id"], {field: value})
        assert refused.status == 403 and refused.json["errors"][0]["pointer"] == "/" + field


def test_a_merge_patch_changes_one_thing_and_the_same_again_nothing(admin):
    record = admin.made("companies", name="Patch me", size=5)
    changed = admin.patch("companies/" + record["id"], {"size": 6, "site": None})
    assert changed.status == 200 and changed.json["version"] == 2 and changed.json["size"] == 6
    again = admin.patch("companies/" + record["id"], {"size": 6})
    assert again.json["version"] == 2 and again.json["updated_at"] == changed.json["updated_at"]


def test_if_match_refuses_a_stale_change_and_shows_the_record(admin):
    record = admin.made("companies", name="Stale")
    admin.patch("companies/" + record["id"], {"size": 1})
    refused = admin.patch("companies/" + record["id"], {"size": 2}, {"If-Match": '"1"'})
    assert refused.status == 412 and refused.json["current"]["size"] == 1
    assert admin.patch("companies/" + record["id"], {"size": 2}, {"If-Match": '"2"'}).status == 200


def test_if_none_match_is_304(admin, company):
    tag = admin.get("companies/" + company["id"]).headers["ETag"]
    answer = admin("GET", "companies/" + company["id"], headers={"If-None-Match": tag})
    assert answer.status == 304 and answer.body == b""


def test_delete_deactivates_and_the_default_filter_hides(admin):
    record = admin.made("companies", name="Gone soon")
    assert admin.delete("companies/" + record["id"]).status == 204
    assert admin.get("companies", filter='name = "Gone soon"').json["items"] == []
    assert len(admin.get("companies", filter='name = "Gone soon" and active = false').json["items"]) == 1
    assert admin.get("companies/" + record["id"]).json["active"] is False


def test_minimal_answers_have_no_body(admin):
    answer = admin.post("companies", {"name": "Minimal"}, {"Prefer": "return=minimal"})
    assert answer.status == 201 and answer.body == b"" and "Location" in answer.headers


def test_bodies_that_are_not_json_are_415_and_broken_ones_400(admin):
    assert admin("POST", "companies", "x=1", {"Content-Type": "text/plain"}).status == 415
    broken = admin("POST", "companies", '{"name":', {"Content-Type": "application/json"})
    assert broken.status == 400 and "line 1" in broken.json["detail"]
    assert admin("POST", "companies", '{"name":"a","name":"b"}', {"Content-Type": "application/json"}).status == 400


def test_unknown_paths_and_methods(admin):
    assert admin.get("compamies").status == 404
    answer = admin("PUT", "companies", {})
    assert answer.status == 405 and "POST" in answer.headers["Allow"]
    assert admin("OPTIONS", "companies").status == 204
    head = admin("HEAD", "companies")
    assert head.status == 200 and head.body == b""


def test_unknown_query_parameters_are_refused(admin):
    refused = admin.get("companies", fliter="x")
    assert refused.status == 400 and refused.json["errors"][0]["suggestion"] == "filter"


def test_limits_of_a_page(admin):
    for bad in (0, 501, "x", -1):
        assert admin.get("companies", limit=bad).status == 400


def test_a_unique_value_twice_is_409_with_its_field(admin):
    admin.made("companies", name="First", tax_id="7736050003")
    refused = admin.post("companies", {"name": "Second", "tax_id": "7736050003"})
    assert refused.status == 409 and refused.json["code"] == "duplicate" and refused.json["errors"][0]["pointer"] == "/tax_id"


def test_tax_ids_have_check_digits(admin):
    assert admin.post("companies", {"name": "Bad", "tax_id": "7736050004"}).status == 422
    assert admin.post("companies", {"name": "Person", "tax_id": "500100732259"}).status == 201


def test_references_must_lead_somewhere(admin):
    refused = admin.post("opportunities", {"name": "X", "company": "05abhrd8hnz0n"})
    assert refused.status == 422 and refused.json["errors"][0]["code"] == "no_such_record"
    assert admin.post("companies", {"name": "X", "direction": "nowhere"}).json["errors"][0]["pointer"] == "/direction"


def test_pages_neither_lose_nor_repeat(admin):
    for i in range(37):
        admin.made("contacts", name=f"Page {i:02}", position=None if i % 5 == 0 else f"P{i % 3}")
    for sort in ("name", "-name", "position", "-position", "position,-name", "-created_at", ""):
        seen, cursor = [], None
        while True:
            query = {"filter": 'name starts "Page "', "limit": 7}
            if sort:
                query["sort"] = sort
            if cursor:
                query["cursor"] = cursor
            page = admin.get("contacts", **query).json
            seen += [r["name"] for r in page["items"]]
            cursor = page.get("next")
            if not cursor:
                break
        assert len(seen) == 37 and len(set(seen)) == 37, sort
        if sort == "name":
            assert seen == sorted(seen)


def test_a_missing_value_sorts_as_the_greatest(admin):
    items = admin.get("contacts", filter='name starts "Page "', sort="position", limit=100).json["items"]
    assert [r["position"] is None for r in items].index(True) == 37 - 8
    items = admin.get("contacts", filter='name starts "Page "', sort="-position", limit=100).json["items"]
    assert items[0]["position"] is None and items[-1]["position"] is not None


def test_a_cursor_of_another_query_or_a_changed_one_is_refused(admin):
    cursor = admin.get("contacts", sort="name", limit=2).json["next"]
    assert admin.get("contacts", sort="-name", limit=2, cursor=cursor).status == 400
    assert admin.get("contacts", sort="name", limit=2, cursor=cursor[:-2] + "AA").status == 400
    assert admin.get("contacts", sort="name", limit=2, cursor="%%%").status == 400
    assert admin.get("contacts", sort="name", limit=2, cursor=cursor).status == 200


def test_search_knows_prefixes_both_languages_and_yo(admin):
    admin.made("companies", name="Берёзовая роща")
    admin.made("companies", name="Northern Lights Ltd")
    for q, found in (("березов", 1), ("БЕРЁЗ", 1), ("be", None), ("north li", 1), ("nort xyz", 0), ("ро", 1), ('"((', 0)):
        items = admin.get("companies", q=q).json["items"]
        if found is not None:
            assert len(items) == found, q


def test_board_and_aggregate_agree(admin, company):
    for amount in (100.10, 200.20, 300.30):
        admin.made("opportunities", name="Board", company=company["id"], direction="services", amount=amount, probability=10)
    board = admin.get("opportunities/board", group_by="stage", filter='direction = "services"', limit=2).json
    assert [c["key"] for c in board["columns"]][:2] == ["new", "qualification"]
    new = board["columns"][0]
    assert new["count"] == 3 and new["sum"]["amount"] == 600.6 and len(new["items"]) == 2
    more = admin.get("opportunities/board", group_by="stage", filter='direction = "services"', limit=2, column="new", cursor=new["next"]).json
    assert len(more["columns"]) == 1 and len(more["columns"][0]["items"]) == 1
    groups = admin.get("opportunities/aggregate", group_by="stage,created_at:year", sum="amount", avg="amount", count="1",
                       filter='direction = "services"').json["groups"]
    assert groups[0]["count"] == 3 and groups[0]["sum"]["amount"] == 600.6 and groups[0]["avg"]["amount"] == 200.2
    assert groups[0]["key"]["created_at:year"].endswith("-01-01")


def test_expand_gives_id_and_name(admin, company):
    deal = admin.made("opportunities", name="Expand", company=company["id"], direction="cloud", products=["platform"])
    got = admin.get("opportunities/" + deal["id"], expand="company,products,stage").json
    assert got["company"] == {"id": company["id"], "name": "Roga i Kopyta"}
    assert got["products"][0]["code"] == "platform" and got["stage"]["name"] == "New"
    assert admin.get("opportunities", expand="name").status == 400


def test_settings_answer_to_code_and_id(admin):
    stage = admin.get("stages/new").json
    assert admin.get("stages/" + stage["id"]).json == stage
    by_id = admin.get("opportunities", filter=f'stage = "{stage["id"]}"', count="exact").json["total"]
    assert by_id == admin.get("opportunities", filter='stage = "new"', count="exact").json["total"] > 0


def test_export_as_csv_and_lines(admin):
    csv = admin("GET", "contacts?filter=name%20starts%20%22Page%20%22&sort=name&fields=name", headers={"Accept": "text/csv"})
    assert csv.status == 200 and csv.body.count(b"\r\n") == 38 and csv.body.startswith(b"id,name")
    lines = admin("GET", "contacts?filter=name%20starts%20%22Page%20%22", headers={"Accept": "application/x-ndjson"})
    assert len([json.loads(line) for line in lines.body.splitlines()]) == 37


def test_a_repeated_post_under_one_key_is_done_once(admin):
    headers = {"Idempotency-Key": "k-1"}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(admin.post("companies", {"name": "Once"}, headers))) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {a.status for a in answers} == {201} and len({a.json["id"] for a in answers}) == 1
    assert admin.post("companies", {"name": "Twice"}, headers).status == 422
    assert len(admin.get("companies", filter='name = "Once"').json["items"]) == 1


def test_a_dry_run_changes_nothing(admin):
    answer = admin.post("companies", {"name": "Dry"}, dry_run="true")
    assert answer.status == 201 and answer.json["name"] == "Dry"
    assert admin.get("companies", filter='name = "Dry"').json["items"] == []


def test_an_atomic_batch_is_all_or_nothing(admin):
    operations = [{"method": "POST", "path": "/api/v1/companies", "body": {"name": "Batch"}}, {"method": "POST", "path": "/api/v1/companies", "body": {}}]
    results = admin.post("batch", {"atomic": True, "operations": operations}).json["results"]
    assert [r["status"] for r in results] == [424, 422]
    assert admin.get("companies", filter='name = "Batch"').json["items"] == []
    results = admin.post("batch", {"atomic": False, "operations": operations}).json["results"]
    assert [r["status"] for r in results] == [201, 422]
    assert len(admin.get("companies", filter='name = "Batch"').json["items"]) == 1


def test_messages_follow_the_language(admin):
    russian = admin("POST", "contacts", {}, {"Accept-Language": "ru"}).json
    assert russian["title"] == "Проверьте поля" and russian["errors"][0]["message"].startswith("Не заполнено")
    assert admin("GET", "stages/new", headers={"Accept-Language": "ru"}).json["name"] == "Новая"
