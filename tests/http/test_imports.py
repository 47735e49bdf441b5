"""Imports (api.md §8): files become records, each row by itself, with the rights of whoever imports."""
import csv
import io
import json
import time

import pytest


def tax_id(n):
    digits = f"{n:09d}"
    return digits + str(sum(int(a) * b for a, b in zip(digits, (2, 4, 10, 3, 5, 9, 4, 6, 8))) % 11 % 10)


def table(*rows, delimiter=","):
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue().encode()


def send(client, body, kind="text/csv", headers=None, **query):
    return client("POST", "imports", body, {"Content-Type": kind, **(headers or {})}, **query)


def settled(client, answer, *states):
    assert answer.status == 202, answer.body
    assert answer.headers["Location"] == "/api/v1/imports/" + answer.json["id"]
    deadline = time.monotonic() + 60
    while True:
        got = client.get("imports/" + answer.json["id"])
        assert got.status == 200, got.body
        if got.json["state"] in (states or ("done", "failed", "undone")):
            return got.json
        assert time.monotonic() < deadline, got.json
        time.sleep(0.01)


def run(client, body, kind="text/csv", **query):
    return settled(client, send(client, body, kind, **query))


def counts(created=0, updated=0, unchanged=0, failed=0):
    return {"created": created, "updated": updated, "unchanged": unchanged, "failed": failed}


def by(client, collection, field, value):
    return client.get(collection, filter=f'{field} = "{value}"').json["items"]


@pytest.fixture(scope="session")
def ids():
    """Tax ids that no other test uses."""
    numbers = iter(range(300000000, 400000000))
    return lambda: tax_id(next(numbers))


def test_rows_of_csv_become_records(admin, ids):
    a, b = ids(), ids()
    done = run(admin, table(["name", "tax_id", "direction"], ["Alpha, \"quoted\"", a, "cloud"], ["Beta\nin two lines", b, "cloud"]),
               collection="companies")
    assert done["state"] == "done" and done["counts"] == counts(failed=1, created=1)
    assert done["progress"] == {"done": 2, "total": 2}
    assert [(e["row"], e["line"], e["pointer"], e["code"]) for e in done["errors"]] == [(2, 3, "/name", "control_character")]
    (made,) = by(admin, "companies", "tax_id", a)
    assert made["name"] == 'Alpha, "quoted"' and made["direction"] == "cloud"


def test_semicolons_labels_and_windows_1251_are_understood(admin, ids):
    a = ids()
    text = f"Название;ИНН;Направление\r\nООО «Ёлка»;{a};cloud\r\n"
    done = run(admin, text.encode("windows-1251"), collection="companies")
    assert done["counts"] == counts(created=1), done
    assert by(admin, "companies", "tax_id", a)[0]["name"] == "ООО «Ёлка»"
    b = ids()
    done = run(admin, b"\xef\xbb\xbf" + text.replace(a, b).encode(), collection="companies")
    assert done["counts"] == counts(created=1) and by(admin, "companies", "tax_id", b)[0]["name"] == "ООО «Ёлка»"


def test_ndjson_and_json_are_imported(admin, ids):
    rows = [{"name": "Gamma", "tax_id": ids(), "direction": "cloud"}, {"name": "Delta", "tax_id": ids(), "direction": "cloud"}]
    text = "\n".join(json.dumps(r) for r in rows) + "\n\n"
    assert run(admin, text.encode(), "application/x-ndjson", collection="companies")["counts"] == counts(created=2)
    again = json.dumps(rows + [{"name": "Epsilon", "tax_id": ids(), "direction": "cloud"}], indent=2)
    done = run(admin, again.encode(), "application/json", collection="companies", mode="upsert", match="tax_id")
    assert done["counts"] == counts(created=1, unchanged=2)
    one = json.dumps({"name": "Zeta", "tax_id": ids(), "direction": "cloud"})
    assert run(admin, one.encode(), "application/json", collection="companies")["counts"] == counts(created=1)


def test_a_row_of_ndjson_that_is_no_json_fails_alone(admin, ids):
    text = '{"name":"Eta","direction":"cloud"}\n{"name":\n[]\n{"name":"Theta","direction":"cloud","nmae":1}\n'
    done = run(admin, text.encode(), "application/x-ndjson", collection="companies")
    assert done["counts"] == counts(created=1, failed=3)
    assert done["errors"][-1]["code"] == "unknown_field" and done["errors"][-1]["row"] == 4


def test_json_that_breaks_off_says_where(admin):
    done = run(admin, b'[{"name":"Iota","direction":"cloud"}, ', "application/json", collection="companies")
    assert done["state"] == "failed" and "line 1" in done["detail"] and done["counts"]["created"] == 1


def test_update_and_upsert_find_records_by_a_unique_field(admin, ids):
    a, b = ids(), ids()
    run(admin, table(["name", "tax_id", "direction"], ["Kappa", a, "cloud"]), collection="companies")
    head = ["tax_id", "site", "name", "direction"]
    done = run(admin, table(head, [a, "https://kappa.example.com", "Kappa", "cloud"], [b, "", "Lambda", "cloud"]), collection="companies",
               mode="update", match="tax_id")
    assert done["counts"] == counts(updated=1, failed=1) and done["errors"][0]["code"] == "no_such_record"
    done = run(admin, table(head, [a, "https://kappa.example.com", "Kappa", "cloud"], [b, "", "Lambda", "cloud"]), collection="companies",
               mode="upsert", match="tax_id")
    assert done["counts"] == counts(created=1, unchanged=1)
    done = run(admin, table(["tax_id", "site"], [a, ""]), collection="companies", mode="update", match="tax_id")
    assert done["counts"] == counts(updated=1) and by(admin, "companies", "tax_id", a)[0]["site"] is None


def test_a_key_that_stands_twice_in_the_file_is_a_mistake_of_the_second_row(admin, ids):
    a = ids()
    done = run(admin, table(["name", "tax_id", "direction"], ["Mu", a, "cloud"], ["Nu", a, "cloud"]), collection="companies", mode="upsert",
               match="tax_id")
    assert done["counts"] == counts(created=1, failed=1)
    assert done["errors"][0]["row"] == 2 and done["errors"][0]["code"] == "repeated_key"
    assert by(admin, "companies", "tax_id", a)[0]["name"] == "Mu"


def test_references_are_found_by_code_login_number_and_unique_field(admin, seller, ids):
    a = ids()
    done = run(admin, table(["name", "tax_id", "direction", "responsible"], ["Xi", a, "cloud", "seller"], ["Omicron", ids(), "cloud", "nobody"]),
               collection="companies")
    assert done["counts"] == counts(created=1, failed=1), done
    assert done["errors"][0]["pointer"] == "/responsible" and done["errors"][0]["code"] == "no_such_record"
    (xi,) = by(admin, "companies", "tax_id", a)
    assert xi["responsible"] == seller.get("me").json["id"]
    done = run(admin, table(["name", "company", "direction", "responsible", "amount"], ["Deal of Xi", a, "cloud", "seller", "1 234,50"]),
               collection="opportunities")
    assert done["counts"] == counts(created=1), done
    (deal,) = by(admin, "opportunities", "name", "Deal of Xi")
    assert deal["company"] == xi["id"] and deal["amount"] == 1234.5
    done = run(admin, table(["title", "record", "assignee", "due"], ["By number", deal["number"], "seller", "24.12.2026"]), collection="tasks")
    assert done["counts"] == counts(created=1), done
    (task,) = by(admin, "tasks", "title", "By number")
    assert task["record"] == deal["id"]


def test_unknown_columns_are_refused_before_anything_is_written(admin, ids):
    a = ids()
    answer = send(admin, table(["name", "tax_id", "nonsense", "diretcion"], ["Pi", a, "x", "cloud"]), collection="companies")
    assert answer.status == 400 and answer.json["code"] == "unknown_field"
    assert [e["pointer"] for e in answer.json["errors"]] == ["column 3 (nonsense)", "column 4 (diretcion)"]
    assert answer.json["errors"][1]["suggestion"] == "direction"
    assert by(admin, "companies", "tax_id", a) == []
    russian = send(admin, table(["name", "nonsense"], ["Pi", "x"]), headers={"Accept-Language": "ru"}, collection="companies")
    assert "нет поля" in russian.json["errors"][0]["message"]


@pytest.mark.parametrize("query,pointer", [
    ({"collection": "companies", "mode": "replace"}, "mode"),
    ({"collection": "companies", "mode": "upsert"}, "match"),
    ({"collection": "companies", "mode": "upsert", "match": "name"}, "match"),
    ({"collection": "companies", "automation": "maybe"}, "automation"),
    ({}, "collection"),
])
def test_wrong_options_are_400_with_their_name(admin, query, pointer):
    answer = send(admin, table(["name"], ["x"]), **query)
    assert answer.status == 400 and answer.json["errors"][0]["pointer"] == pointer, answer.body


def test_other_refusals(admin):
    assert send(admin, b"", collection="companies").status == 400
    assert send(admin, b"name\nx\n", "application/xml", collection="companies").status == 415
    assert send(admin, "name\nx\n".encode("utf-16"), collection="companies").status == 415
    assert send(admin, b"name\nx\n", collection="nothing").status == 404
    assert send(admin, table(["name", "name"], ["a", "b"]), collection="companies").status == 400
    assert admin.raw("POST", "/api/v1/imports?collection=companies", b"name\nx\n", {"Content-Type": "text/csv", "Authorization": ""}).status == 401


def test_a_dry_run_reports_what_the_real_run_does_and_leaves_nothing(admin, ids):
    a, b, c = ids(), ids(), ids()
    run(admin, table(["name", "tax_id", "direction"], ["Rho", a, "cloud"]), collection="companies")
    rows = table(["name", "tax_id", "direction"], ["Rho again", a, "cloud"], ["Sigma", b, "cloud"], ["Sigma too", b, "cloud"], ["Tau", c, "nowhere"],
                 ["", ids(), "cloud"])
    dry = run(admin, rows, collection="companies", dry_run="true")
    assert dry["dry_run"] is True and dry["state"] == "done"
    assert by(admin, "companies", "tax_id", b) == []
    real = run(admin, rows, collection="companies")
    for member in ("counts", "errors", "progress"):
        assert dry[member] == real[member], member
    assert real["counts"] == counts(created=1, failed=4)
    assert admin.post(f"imports/{dry['id']}/undo").status == 409


def test_errors_as_csv(admin, ids):
    done = run(admin, table(["name", "tax_id", "direction"], ["", "=1", "cloud"]), collection="companies")
    answer = admin.raw("GET", f"/api/v1/imports/{done['id']}/errors")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.body.decode())))
    assert rows[0] == ["row", "line", "field", "code", "message"]
    assert {(r[0], r[1], r[2]) for r in rows[1:]} == {("1", "2", "name"), ("1", "2", "tax_id")}


def test_an_import_has_the_rights_of_whoever_runs_it(admin, manager, seller, ids):
    a, b = ids(), ids()
    rows = table(["name", "tax_id", "direction"], ["Mine", a, "cloud"], ["Theirs", b, "hardware"])
    assert send(seller, rows, collection="companies").status == 403
    done = run(manager, rows, collection="companies")
    assert done["counts"] == counts(created=1, failed=1) and done["errors"][0]["row"] == 2
    assert by(admin, "companies", "tax_id", b) == []
    assert send(manager, rows, collection="companies", automation="off").status == 403
    assert send(manager, rows, collection="companies", mode="restore").status == 403
    assert send(manager, table(["code"], ["x"]), collection="stages").status == 403
    assert seller.get("imports/" + done["id"]).status == 404
    assert seller.post(f"imports/{done['id']}/undo").status == 404
    assert admin.get("imports/" + done["id"]).status == 200
    assert done["id"] in [i["id"] for i in manager.get("imports").json["items"]]
    assert done["id"] not in [i["id"] for i in seller.get("imports").json["items"]]


def test_gates_hold_and_automation_may_be_off(admin, ids):
    a = ids()
    run(admin, table(["name", "tax_id", "direction"], ["Upsilon", a, "cloud"]), collection="companies")
    head = ["name", "company", "direction", "responsible", "stage"]
    done = run(admin, table(head, ["Too far", a, "cloud", "admin", "contract"]), collection="opportunities", automation="off")
    assert done["counts"] == counts(failed=1) and any(e["pointer"] == "/stage" or e["code"] for e in done["errors"])
    on = run(admin, table(head, ["With chain", a, "cloud", "admin", "new"]), collection="opportunities")
    off = run(admin, table(head, ["Without chain", a, "cloud", "admin", "new"]), collection="opportunities", automation="off")
    assert on["counts"] == off["counts"] == counts(created=1), (on, off)
    (deal,) = by(admin, "opportunities", "name", "With chain")
    (bare,) = by(admin, "opportunities", "name", "Without chain")
    assert admin.get("tasks", filter=f'record = "{deal["id"]}"').json["items"]
    assert admin.get("tasks", filter=f'record = "{bare["id"]}"').json["items"] == []


def test_undo_takes_back_what_nobody_has_changed_since(admin, ids):
    old, a, b = ids(), ids(), ids()
    run(admin, table(["name", "tax_id", "direction"], ["Phi", old, "cloud"]), collection="companies")
    done = run(admin, table(["name", "tax_id", "direction"], ["Phi changed", old, "cloud"], ["Chi", a, "cloud"], ["Psi", b, "cloud"]),
               collection="companies", mode="upsert", match="tax_id")
    assert done["counts"] == counts(created=2, updated=1)
    (psi,) = by(admin, "companies", "tax_id", b)
    assert admin.patch("companies/" + psi["id"], {"name": "Psi, by hand"}).status == 200
    undone = settled(admin, admin.post(f"imports/{done['id']}/undo"), "undone")
    assert undone["undo"]["removed"] == 1 and undone["undo"]["restored"] == 1 and undone["undo"]["kept"] == 1
    assert [(r["record"], r["code"]) for r in undone["undo"]["records"]] == [(psi["id"], "changed_since")]
    assert by(admin, "companies", "tax_id", old)[0]["name"] == "Phi"
    assert by(admin, "companies", "tax_id", a) == []
    assert by(admin, "companies", "tax_id", b)[0]["name"] == "Psi, by hand"
    assert admin.post(f"imports/{done['id']}/undo").status == 409
    again = run(admin, table(["name", "tax_id", "direction"], ["Chi", a, "cloud"]), collection="companies")
    assert again["counts"] == counts(created=1)


def test_undo_takes_chains_back_too_but_not_what_others_use(admin, ids):
    a = ids()
    companies = run(admin, table(["name", "tax_id", "direction"], ["Omega", a, "cloud"]), collection="companies")
    deals = run(admin, table(["name", "company", "direction", "responsible"], ["Omega deal", a, "cloud", "admin"]), collection="opportunities")
    (deal,) = by(admin, "opportunities", "name", "Omega deal")
    kept = settled(admin, admin.post(f"imports/{companies['id']}/undo"), "undone")
    assert kept["undo"]["kept"] == 1 and kept["undo"]["records"][0]["code"] == "referenced"
    assert by(admin, "companies", "tax_id", a)
    gone = settled(admin, admin.post(f"imports/{deals['id']}/undo"), "undone")
    assert gone["undo"]["kept"] == 0, gone
    assert admin.get("opportunities/" + deal["id"]).status == 404
    assert admin.get("tasks", filter=f'record = "{deal["id"]}"').json["items"] == []


def test_master_data_comes_in_whole_or_not_at_all(admin, manager):
    data = {"format": "perigee.masterdata/1", "version": "1", "collections": {"industries": [
        {"code": "imported_one", "name": {"en": "One", "ru": "Один"}}, {"code": "imported_two", "name": {"en": "Two", "ru": "Два"}}]}}
    dry = send(admin, json.dumps(data).encode(), "application/json", dry_run="true")
    assert dry.status == 202 and dry.json["collections"]["industries"] == {"created": 2, "updated": 0, "unchanged": 0}
    assert admin.get("industries/imported_one").status == 404
    first = run(admin, json.dumps(data).encode(), "application/json")
    assert first["state"] == "done" and first["collections"]["industries"]["created"] == 2
    assert run(admin, json.dumps(data).encode(), "application/json")["collections"]["industries"] == {"created": 0, "updated": 0, "unchanged": 2}
    data["collections"]["industries"].append({"code": "imported_three", "name": {"en": "Three", "ru": "Три"}, "nonsense": 1})
    refused = send(admin, json.dumps(data).encode(), "application/json")
    assert refused.status == 422 and "industries[2]" in refused.json["errors"][0]["pointer"]
    assert admin.get("industries/imported_three").status == 404
    assert send(manager, json.dumps(data).encode(), "application/json").status == 403


def test_the_same_idempotency_key_imports_once(admin, ids):
    rows = table(["name", "tax_id", "direction"], ["Once", ids(), "cloud"])
    key = {"Idempotency-Key": "import-once"}
    first, second = send(admin, rows, headers=key, collection="companies"), send(admin, rows, headers=key, collection="companies")
    assert first.status == second.status == 202 and first.json["id"] == second.json["id"]
    assert send(admin, rows + b"x", headers=key, collection="companies").status == 422
    settled(admin, first)


def test_master_data_is_taken_back_too(admin):
    data = {"format": "perigee.masterdata/1", "version": "1", "collections": {"industries": [{"code": "undone_one", "name": {"en": "One", "ru": "Один"}}]}}
    made = run(admin, json.dumps(data).encode(), "application/json")
    data["collections"]["industries"][0]["name"] = {"en": "Uno", "ru": "Уно"}
    changed = run(admin, json.dumps(data).encode(), "application/json")
    assert changed["collections"]["industries"]["updated"] == 1
    undone = settled(admin, admin.post(f"imports/{changed['id']}/undo"), "undone")
    assert undone["undo"]["restored"] == 1 and admin.get("industries/undone_one").json["name"] == "One"
    removed = settled(admin, admin.post(f"imports/{made['id']}/undo"), "undone")
    assert removed["undo"]["removed"] == 1 and admin.get("industries/undone_one").status == 404, removed


def test_imports_are_undone_in_any_order_but_not_from_under_a_later_one(admin, ids):
    a = ids()
    first = run(admin, table(["name", "tax_id", "direction"], ["First", a, "cloud"]), collection="companies")
    second = run(admin, table(["name", "tax_id"], ["Second", a]), collection="companies", mode="update", match="tax_id")
    kept = settled(admin, admin.post(f"imports/{first['id']}/undo"), "undone")
    assert kept["undo"]["kept"] == 1, "the second import has changed it since"
    settled(admin, admin.post(f"imports/{second['id']}/undo"), "undone")
    assert by(admin, "companies", "tax_id", a)[0]["name"] == "First"


def test_no_request_id_passes_a_change_off_as_the_imports(admin, ids):
    a = ids()
    done = run(admin, table(["name", "tax_id", "direction"], ["Honest", a, "cloud"]), collection="companies")
    (company,) = by(admin, "companies", "tax_id", a)
    for forged in ("import:" + done["id"], "import-" + done["id"], "undo:import:" + done["id"]):
        assert admin.patch("companies/" + company["id"], {"name": "Changed as " + forged}, headers={"X-Request-Id": forged}).status == 200
    kept = settled(admin, admin.post(f"imports/{done['id']}/undo"), "undone")
    assert kept["undo"]["kept"] == 1 and kept["undo"]["removed"] == 0
    assert admin.get("companies/" + company["id"]).json["name"].startswith("Changed as undo:")
