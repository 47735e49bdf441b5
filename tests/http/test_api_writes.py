"""Concurrency, repetition, dry runs: api.md §5."""
import json
import threading
import uuid

import pytest

JSON = {"Content-Type": "application/json"}


def key(text=None):
    return {"Idempotency-Key": text or str(uuid.uuid4())}


def total(admin, name):
    return admin.get("companies", filter=f'name = "{name}"', count="exact").json["total"]


@pytest.fixture
def record(admin):
    return admin.made("companies", name="Writes", size=1)


# ---- entity tags ----

@pytest.mark.parametrize("field,status", [('"1"', 304), ('W/"1"', 304), ("*", 304), ('"9", "1"', 304), ('"2"', 200), ("1", 200), ("", 200), ('"1', 200),
                                          ('W/"2", "3"', 200)])
def test_if_none_match(admin, record, field, status):
    answer = admin("GET", "companies/" + record["id"], headers={"If-None-Match": field})
    assert answer.status == status and answer.headers["ETag"] == '"1"'
    assert (answer.body == b"") == (status == 304)


@pytest.mark.parametrize("field,status", [('"1"', 200), ("*", 200), ('"9", "1"', 200), ('"9","1","8"', 200), ('"2"', 412), ('"9", "8"', 412), ('W/"1"', 412),
                                          ("1", 412), ('"abc"', 412), ('"1', 412), ("nonsense", 412), ('"01"', 412), ('""', 412), ('"99999999999999999999"', 412)])
def test_if_match_on_a_change(admin, record, field, status):
    answer = admin.patch("companies/" + record["id"], {"size": 2}, {"If-Match": field})
    assert answer.status == status, answer.body
    if status == 412:
        assert answer.json["code"] == "stale" and answer.json["current"]["id"] == record["id"] and answer.json["current"]["version"] == 1
        assert admin.get("companies/" + record["id"]).json["size"] == 1


def test_if_match_on_deletion_and_actions(admin, company):
    industry = admin.made("industries", code=uuid.uuid4().hex[:12], name="x")
    assert admin.delete("industries/" + industry["id"], {"If-Match": '"7"'}).status == 412
    assert admin.delete("industries/" + industry["id"], {"If-Match": '"1"'}).status == 204
    deal = admin.made("opportunities", name="Match", company=company["id"], direction="cloud")
    path = f"opportunities/{deal['id']}/actions/move"
    refused = admin.post(path, {"stage": "new"}, {"If-Match": '"7"'})
    assert refused.status == 412 and refused.json["current"]["stage"] == "new"
    assert admin.post(path, {"stage": "new"}, {"If-Match": f'"{deal["version"]}"'}).status == 200


def test_a_stale_change_shows_what_the_caller_may_read_and_no_more(admin, seller, other, company):
    deal = admin.made("opportunities", name="Stale", company=company["id"], direction="cloud", competitor="Rival")
    refused = other.patch("opportunities/" + deal["id"], {"name": "x"}, {"If-Match": '"99"'})
    assert refused.status == 404 and b"current" not in refused.body


def test_if_match_on_what_is_not_there_is_404(admin):
    assert admin.patch("companies/0000000000000", {"size": 1}, {"If-Match": "*"}).status == 404


def test_of_two_changes_with_one_tag_one_wins(admin, record):
    results = []
    threads = [threading.Thread(target=lambda i=i: results.append(admin.patch("companies/" + record["id"], {"size": 10 + i}, {"If-Match": '"1"'}).status))
               for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(results) == [200] + [412] * 7
    assert admin.get("companies/" + record["id"]).json["version"] == 2


# ---- Idempotency-Key ----

def test_the_same_key_and_body_is_answered_again_as_at_first(admin):
    k, body = key(), {"name": "Once"}
    first, again = admin.post("companies", body, k), admin.post("companies", body, k)
    assert first.status == again.status == 201 and first.body == again.body
    for name in ("Location", "ETag", "Content-Type"):
        assert first.headers[name] == again.headers[name]
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    assert total(admin, "Once") == 1


def test_the_answer_is_what_it_was_though_the_record_has_changed(admin):
    k = key()
    first = admin.post("companies", {"name": "Frozen"}, k)
    admin.patch(first.headers["Location"], {"name": "Thawed"})
    assert admin.post("companies", {"name": "Frozen"}, k).json["name"] == "Frozen"


def test_another_body_path_or_query_under_the_key_is_422(admin):
    k = key()
    assert admin.post("companies", {"name": "Key"}, k).status == 201
    for path, body in (("companies", {"name": "Other"}), ("companies", {"name": "Key", "size": 1}), ("contacts", {"name": "Key"}),
                       ("companies?fields=name", {"name": "Key"})):
        refused = admin.post(path, body, k)
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "Idempotency-Key", path
    assert total(admin, "Key") == 1


def test_a_refusal_is_kept_too(admin):
    k = key()
    first = admin.post("companies", {"name": "No", "tax_id": "123"}, k)
    again = admin.post("companies", {"name": "No", "tax_id": "123"}, k)
    assert first.status == again.status == 422 and again.headers["Idempotency-Replayed"] == "true"
    assert {**first.json, "request_id": ""} == {**again.json, "request_id": ""}
    assert again.headers["Content-Type"] == "application/problem+json"


def test_a_refusal_under_a_key_leaves_nothing_behind(admin, company):
    before = len(admin.get(f"companies/{company['id']}/timeline", limit=500).json["items"])
    body = {"atomic": True, "operations": [{"method": "PATCH", "path": "/api/v1/companies/" + company["id"], "body": {"size": 12345}},
                                           {"method": "POST", "path": "/api/v1/companies", "body": {}}]}
    k = key()
    assert admin.post("batch", body, k).status == admin.post("batch", body, k).status == 200
    assert admin.get("companies/" + company["id"]).json["size"] != 12345
    assert len(admin.get(f"companies/{company['id']}/timeline", limit=500).json["items"]) == before


def test_a_key_belongs_to_its_user(admin, manager):
    k = key()
    one, two = admin.post("companies", {"name": "Shared key"}, k), manager.post("companies", {"name": "Shared key"}, k)
    assert one.status == two.status == 201 and one.json["id"] != two.json["id"] and "Idempotency-Replayed" not in two.headers


def test_both_arriving_at_once_do_it_once(admin):
    k, answers = key(), []
    threads = [threading.Thread(target=lambda: answers.append(admin.post("companies", {"name": "At once"}, k))) for _ in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert {a.status for a in answers} == {201} and len({a.body for a in answers}) == 1
    assert sum("Idempotency-Replayed" not in a.headers for a in answers) == 1
    assert total(admin, "At once") == 1


def test_at_once_with_two_bodies_one_wins(admin):
    k, answers = key(), []
    threads = [threading.Thread(target=lambda i=i: answers.append(admin.post("companies", {"name": f"Race {i}"}, k).status)) for i in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(answers) == [201] + [422] * 7


def test_any_post_takes_a_key(admin, company):
    deal = admin.made("opportunities", name="Any", company=company["id"], direction="cloud")
    for path, body in ((f"opportunities/{deal['id']}/comments", {"text": "once"}), (f"opportunities/{deal['id']}/actions/move", {"stage": "new"}),
                       ("batch", {"operations": [{"method": "POST", "path": "/api/v1/companies", "body": {"name": "In a batch once"}}]})):
        k = key()
        first, again = admin.post(path, body, k), admin.post(path, body, k)
        assert first.status == again.status and first.body == again.body and again.headers["Idempotency-Replayed"] == "true", path
    assert total(admin, "In a batch once") == 1
    kinds = [i["type"] for i in admin.get(f"opportunities/{deal['id']}/timeline").json["items"]]
    assert kinds.count("comment") == 1


def test_a_minimal_answer_is_repeated_as_one(admin):
    k = {**key(), "Prefer": "return=minimal"}
    first, again = admin.post("companies", {"name": "Min"}, k), admin.post("companies", {"name": "Min"}, k)
    assert first.status == again.status == 201 and again.body == b"" and first.headers["Location"] == again.headers["Location"]


@pytest.mark.parametrize("bad", ["", "a" * 256])
def test_a_key_has_a_sane_length(admin, bad):
    refused = admin.post("companies", {"name": "A"}, {"Idempotency-Key": bad})
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "Idempotency-Key"


def test_a_dry_run_does_not_use_the_key_up(admin):
    k = key()
    assert admin.post("companies", {"name": "Rehearsed"}, k, dry_run="true").status == 201
    assert total(admin, "Rehearsed") == 0
    assert admin.post("companies", {"name": "Rehearsed"}, k).status == 201
    assert total(admin, "Rehearsed") == 1


def test_what_is_not_well_formed_is_answered_alike_under_a_key(admin):
    k = key()
    assert admin("POST", "companies", "{", {**JSON, **k}).status == 400
    assert admin("POST", "companies", "{", {**JSON, **k}).status == 400


# ---- dry runs ----

def test_a_dry_run_answers_like_the_real_one(admin):
    dry = admin.post("companies", {"name": "Dry", "size": 4}, dry_run="true")
    real = admin.post("companies", {"name": "Dry", "size": 4})
    assert dry.status == real.status == 201 and set(dry.json) == set(real.json)
    varying = {"id", "created_at", "updated_at"}
    assert {k: v for k, v in dry.json.items() if k not in varying} == {k: v for k, v in real.json.items() if k not in varying}
    assert admin.get("companies/" + dry.json["id"]).status == 404 and total(admin, "Dry") == 1


def test_every_write_can_be_tried_dry(admin, company, record):
    path = "companies/" + record["id"]
    changed = admin.patch(path, {"size": 99}, dry_run="true")
    assert changed.status == 200 and changed.json["size"] == 99 and changed.json["version"] == 2
    assert admin.get(path).json == record
    industry = admin.made("industries", code=uuid.uuid4().hex[:12], name="x")
    assert admin.delete("industries/" + industry["id"], dry_run="true").status == 204
    assert admin.get("industries/" + industry["id"]).json == industry
    deal = admin.made("opportunities", name="Dry", company=company["id"], direction="cloud")
    assert admin.post(f"opportunities/{deal['id']}/comments", {"text": "dry"}, dry_run="true").status == 201
    refused = admin.post(f"opportunities/{deal['id']}/actions/move", {"stage": "qualification"}, dry_run="true")
    assert refused.status == 422 and refused.json["code"] == "gate_refused"
    results = admin.post("batch", {"operations": [{"method": "POST", "path": "/api/v1/companies", "body": {"name": "Dry batch"}}]}, dry_run="true")
    assert results.json["results"][0]["status"] == 201 and total(admin, "Dry batch") == 0
    items = admin.get(f"opportunities/{deal['id']}/timeline").json["items"]
    assert all(i["type"] in ("create", "task") for i in items)


def test_a_dry_run_takes_no_number_for_good(admin, company):
    body = {"name": "Numbers", "company": company["id"], "direction": "cloud"}
    tried = admin.post("opportunities", body, dry_run="true").json["number"]
    assert admin.made("opportunities", **body)["number"] == tried


def test_a_dry_run_obeys_the_rights(seller):
    assert seller.post("stages", {"code": "dry", "name": "x"}, dry_run="true").status == 403


# ---- batches ----

def operation(method, path, body=None, **rest):
    return {"method": method, "path": "/api/v1/" + path, **({"body": body} if body is not None else {}), **rest}


def run(admin, operations, atomic=None, **rest):
    return admin.post("batch", {"operations": operations, **({} if atomic is None else {"atomic": atomic})}, **rest)


def test_a_batch_answers_one_to_one(admin, record):
    got = run(admin, [operation("POST", "companies", {"name": "B1"}), operation("GET", "companies/" + record["id"]),
                      operation("PATCH", "companies/" + record["id"], {"size": 5}), operation("GET", "nothing"),
                      operation("GET", "companies?limit=1&fields=name"), operation("POST", "companies", {"nope": 1})]).json["results"]
    assert [r["status"] for r in got] == [201, 200, 200, 404, 200, 400]
    assert got[0]["headers"]["Location"] == "/api/v1/companies/" + got[0]["body"]["id"] and got[0]["headers"]["ETag"] == '"1"'
    assert got[1]["body"] == record and got[2]["body"]["size"] == 5 and len(got[4]["body"]["items"]) == 1
    assert got[5]["body"]["code"] == "unknown_field" and got[5]["body"]["errors"][0]["pointer"] == "/nope"
    assert admin.get(got[0]["headers"]["Location"]).status == 200


def test_an_operation_sees_what_those_before_it_did(admin, record):
    got = run(admin, [operation("PATCH", "companies/" + record["id"], {"size": 77}), operation("GET", "companies/" + record["id"]),
                      operation("PATCH", "companies/" + record["id"], {"size": 78}, headers={"If-Match": '"2"'})]).json["results"]
    assert got[1]["body"]["size"] == 77 and got[2]["status"] == 200 and got[2]["body"]["version"] == 3


def test_an_atomic_batch_is_all_or_nothing(admin, record):
    before = len(admin.get(f"companies/{record['id']}/timeline").json["items"])
    got = run(admin, [operation("POST", "companies", {"name": "Atom"}), operation("PATCH", "companies/" + record["id"], {"size": 50}),
                      operation("POST", "companies", {}), operation("POST", "companies", {"name": "Atom"})], True).json["results"]
    assert [r["status"] for r in got] == [424, 424, 422, 424]
    assert got[0]["body"]["code"] == "failed_dependency" and got[2]["body"]["errors"][0]["pointer"] == "/name"
    assert total(admin, "Atom") == 0 and admin.get("companies/" + record["id"]).json == record
    assert len(admin.get(f"companies/{record['id']}/timeline").json["items"]) == before
    got = run(admin, [operation("POST", "companies", {"name": "Atom"})] * 3, True).json["results"]
    assert [r["status"] for r in got] == [201] * 3 and total(admin, "Atom") == 3


def test_without_atomic_each_stands_alone(admin):
    got = run(admin, [operation("POST", "companies", {"name": "Alone"}), operation("POST", "companies", {}),
                      operation("POST", "companies", {"name": "Alone"})], False).json["results"]
    assert [r["status"] for r in got] == [201, 422, 201] and total(admin, "Alone") == 2


def test_headers_inside_a_batch_count(admin, record):
    path = "companies/" + record["id"]
    got = run(admin, [operation("PATCH", path, {"size": 2}, headers={"If-Match": '"99"'}), operation("GET", path, headers={"if-none-match": '"1"'}),
                      operation("PATCH", path, {"size": 3}, headers={"Prefer": "return=minimal"}), operation("POST", "contacts", {}, headers={"Accept-Language": "ru"})
                      ]).json["results"]
    assert [r["status"] for r in got] == [412, 304, 204, 422]
    assert got[0]["body"]["current"]["version"] == 1 and got[1]["body"] is None and got[2]["body"] is None
    assert got[3]["body"]["title"] == "Проверьте поля"


def test_the_headers_of_the_batch_itself_are_not_those_of_its_operations(admin, record):
    got = admin.post("batch", {"operations": [operation("PATCH", "companies/" + record["id"], {"size": 2})]}, {"If-Match": '"99"', "Prefer": "return=minimal"})
    assert got.status == 200 and got.json["results"][0]["status"] == 200


def test_rights_hold_inside_a_batch(admin, seller, other, company):
    deal = admin.made("opportunities", name="Batch rights", company=company["id"], direction="cloud")
    got = run(other, [operation("GET", "opportunities/" + deal["id"]), operation("PATCH", "opportunities/" + deal["id"], {"name": "x"}),
                      operation("POST", "stages", {"code": "x", "name": "x"})]).json["results"]
    assert [r["status"] for r in got] == [404, 404, 403]


@pytest.mark.parametrize("path", ["batch", "events", "tokens", "sessions", "reload", "sessions/current"])
def test_what_makes_no_sense_in_a_batch_is_refused_there(admin, path):
    got = run(admin, [operation("GET" if path in ("events", "sessions/current") else "POST", path, {} if path not in ("events", "sessions/current") else None)])
    assert got.status == 200 and got.json["results"][0]["status"] == 400 and got.json["results"][0]["body"]["code"] == "bad_request"


@pytest.mark.parametrize("operations", [None, {}, "x", 5, [5], ["GET"], [{}], [{"method": "GET"}], [{"path": "/api/v1/me"}], [{"method": "get", "path": "/api/v1/me"}],
                                        [{"method": "BREW", "path": "/api/v1/me"}], [{"method": 5, "path": "/api/v1/me"}], [{"method": "GET", "path": "me"}],
                                        [{"method": "GET", "path": "http://elsewhere/api/v1/me"}], [{"method": "GET", "path": "/healthz"}], [{"method": "GET", "path": "/api/v1/%zz"}],
                                        [{"method": "GET", "path": "/api/v1/me", "headers": 5}], [{"method": "GET", "path": "/api/v1/me", "headers": {"If-Match": 5}}],
                                        [{"method": "GET", "path": "/api/v1/me", "colour": "red"}]])
def test_a_batch_that_is_not_well_formed_is_400_and_does_nothing(admin, operations):
    good = operation("POST", "companies", {"name": "Malformed batch"})
    body = {"operations": [good] + operations if isinstance(operations, list) else operations}
    refused = admin.post("batch", body)
    assert refused.status == 400 and refused.json["errors"][0]["pointer"].startswith("/operations"), refused.body
    assert total(admin, "Malformed batch") == 0


def test_other_members_of_a_batch_are_unknown(admin):
    refused = admin.post("batch", {"operations": [], "atomc": True})
    assert refused.status == 400 and refused.json["errors"][0]["suggestion"] == "atomic"
    assert admin.post("batch", {"operations": [], "atomic": "yes"}).status == 400


def test_an_empty_batch_does_nothing(admin):
    assert run(admin, []).json == {"results": []}


def test_a_batch_is_bounded(admin):
    assert run(admin, [operation("GET", "me")] * 500).status == 200
    refused = run(admin, [operation("GET", "me")] * 501)
    assert refused.status == 413 and "500" in refused.json["detail"]


def test_an_operation_with_dry_run_is_undone_alone(admin):
    got = run(admin, [operation("POST", "companies?dry_run=true", {"name": "Dry inside"}), operation("POST", "companies", {"name": "Wet inside"})]).json["results"]
    assert [r["status"] for r in got] == [201, 201]
    assert total(admin, "Dry inside") == 0 and total(admin, "Wet inside") == 1


def test_head_and_options_inside_a_batch(admin, record):
    got = run(admin, [operation("HEAD", "companies/" + record["id"]), operation("PUT", "companies/" + record["id"], {})]).json["results"]
    assert got[0]["status"] == 200 and got[0]["body"] is None and got[0]["headers"]["ETag"] == '"1"'
    assert got[1]["status"] == 405 and "PATCH" in got[1]["headers"]["Allow"]


def test_a_batch_of_moves_and_comments(admin, company):
    deal = admin.made("opportunities", name="Actions", company=company["id"], direction="cloud")
    base = f"opportunities/{deal['id']}"
    got = run(admin, [operation("POST", base + "/comments", {"text": "a"}), operation("POST", base + "/actions/move", {"stage": "new"}),
                      operation("GET", base + "/timeline?limit=1"), operation("GET", base + "/actions"), operation("GET", "schema"),
                      operation("GET", "opportunities/board?group_by=stage&limit=1")]).json["results"]
    assert [r["status"] for r in got] == [201, 200, 200, 200, 200, 200]
    assert got[2]["body"]["items"][0]["type"] == "comment"


def test_a_batch_of_large_answers_is_bounded_not_broken(admin):
    """The answer of a batch has a bound; past it the batch is refused in words and nothing is done."""
    for i in range(3):
        admin.made("companies", name="Large", description="x" * 50000)
    body = {"operations": [operation("POST", "companies", {"name": "Before large"})] + [operation("GET", "companies?limit=500")] * 499}
    answer = admin.post("batch", body)
    assert answer.status in (200, 422), (answer.status, answer.body[:300])
    assert total(admin, "Before large") == (1 if answer.status == 200 else 0)
    assert json.loads(answer.body)


def test_a_full_batch_of_large_operations_goes_through(admin, company):
    """What one operation needs does not add up to what one request may have."""
    body = {"name": "Full", "company": company["id"], "direction": "cloud", "amount": 5, "description": "x" * 1000}
    results = run(admin, [operation("POST", "opportunities", body)] * 500).json["results"]
    assert [r["status"] for r in results] == [201] * 500, next(r["body"] for r in results if r["status"] != 201)
    schemas = run(admin, [operation("GET", "schema")] * 300).json["results"]
    assert {r["status"] for r in schemas} == {200}


def test_the_last_of_a_large_atomic_batch_undoes_all(admin, company):
    body = {"name": "Atomic full", "company": company["id"], "direction": "cloud"}
    results = run(admin, [operation("POST", "opportunities", body)] * 400 + [operation("POST", "opportunities", {"nope": 1})], True).json["results"]
    assert [r["status"] for r in results] == [424] * 400 + [400]
    assert results[-1]["body"]["errors"][0]["pointer"] == "/nope" and results[0]["body"]["detail"] == "undone, because operation 400 was refused"
    assert admin.get("opportunities", filter="name = 'Atomic full'", count="exact").json["total"] == 0
