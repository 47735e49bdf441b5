"""What imports must survive: kill -9, other writers, a million rows in little memory; and what comes back from an export."""
import csv
import io
import json
import signal
import threading
import time

import pytest

from conftest import Client, Server, perigee
from test_imports import counts, send, settled, table, tax_id


@pytest.fixture
def own(tmp_path):
    running = Server(tmp_path)
    yield running
    assert running.stop() == 0


def rows(n, first=500000000):
    return table(["name", "tax_id", "direction"], *([f"Company {i}", tax_id(first + i), "cloud"] for i in range(n)))


def kill_and_start(server, *clients):
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(20)
    server.start()
    for client in clients:
        client.port = server.port


def test_a_killed_import_goes_on_and_no_row_comes_twice(own):
    admin = own.user("admin", "crm_admin")
    n = 20000
    answer = send(admin, rows(n), collection="companies")
    assert answer.status == 202
    kills, seen = 0, -1
    deadline = time.monotonic() + 100
    while True:
        assert time.monotonic() < deadline
        state = admin.get("imports/" + answer.json["id"]).json
        if state["state"] in ("done", "failed"):
            break
        if kills < 4 and state["progress"]["done"] > seen:
            seen = state["progress"]["done"] + n // 6
            kills += 1
            kill_and_start(own, admin)
    assert kills >= 2 and state["state"] == "done" and state["counts"] == counts(created=n), state["errors"]
    assert state["progress"] == {"done": n, "total": n}
    assert admin.get("companies", count="exact", limit=1).json["total"] == n
    assert list((own.data / "spool").iterdir()) == []
    assert perigee("audit", "verify", "--data", own.data).returncode == 0


def test_a_killed_undo_and_a_killed_dry_run_go_on(own):
    admin = own.user("admin", "crm_admin")
    n = 6000
    done = settled(admin, send(admin, rows(n), collection="companies"))
    dry = send(admin, rows(n, 600000000), collection="companies", dry_run="true")
    kill_and_start(own, admin)
    assert settled(admin, dry)["counts"] == counts(created=n)
    assert admin.post(f"imports/{done['id']}/undo").status == 202
    kill_and_start(own, admin)
    deadline = time.monotonic() + 60
    while (state := admin.get("imports/" + done["id"]).json)["state"] != "undone":
        assert time.monotonic() < deadline, state
        time.sleep(0.02)
    assert state["undo"]["removed"] == n and state["undo"]["kept"] == 0
    assert admin.get("companies", count="exact", limit=1).json["total"] == 0


def test_a_stop_in_the_middle_is_waited_out(own):
    admin = own.user("admin", "crm_admin")
    answer = send(admin, rows(12000), collection="companies")
    assert own.stop() == 0
    own.start()
    admin.port = own.port
    state = settled(admin, answer)
    assert state["counts"] == counts(created=12000), state["errors"]


def test_a_lost_file_fails_the_import_with_words(own):
    admin = own.user("admin", "crm_admin")
    answer = send(admin, rows(30000), collection="companies")
    own.process.send_signal(signal.SIGKILL)
    own.process.wait(20)
    for file in (own.data / "spool").iterdir():
        file.unlink()
    own.start()
    admin.port = own.port
    state = settled(admin, answer)
    assert state["state"] == "failed" and "file" in state["detail"]


def test_others_write_and_read_while_an_import_runs(own):
    admin = own.user("admin", "crm_admin")
    alone, beside, errors = [], [], []

    def work(times, client, stop):
        while not stop():
            began = time.monotonic()
            made = client.raw("POST", "/api/v1/companies", {"name": "Beside", "direction": "cloud"})
            times.append(time.monotonic() - began)
            if made.status != 201:
                errors.append(made.body)

    def client():
        return Client(own.port, admin.token)

    work(alone, client(), lambda: len(alone) >= 150)
    answer = send(admin, rows(25000), collection="companies")
    running = [True]
    threads = [threading.Thread(target=work, args=(beside, client(), lambda: not running[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    state = settled(admin, answer)
    running[0] = False
    for thread in threads:
        thread.join()
    assert not errors and state["counts"] == counts(created=25000)
    assert len(beside) > 20
    p99 = sorted(beside)[int(len(beside) * 0.99) - 1]
    assert p99 < 0.25, (p99, sorted(alone)[-1], len(beside))


def export(client, collection, kind):
    got = client.raw("GET", f"/api/v1/{collection}?sort=id&filter=active%20in%20(true,false)", headers={"Accept": kind})
    assert got.status == 200, got.body
    return got.body


FILES = {"text/csv": "text/csv", "application/x-ndjson": "application/x-ndjson"}


@pytest.mark.parametrize("kind", FILES)
def test_an_export_imported_into_an_empty_base_exports_the_same_bytes(tmp_path_factory, kind):
    first, second = Server(tmp_path_factory.mktemp("first")), Server(tmp_path_factory.mktemp("second"))
    try:
        a, b = first.user("admin", "crm_admin"), second.user("admin", "crm_admin")
        loader = first.user("loader", "crm_admin")
        awkward = ['=1+1', "'=1+1", "''-x", "+7 (495)", "-5", "a;b,c\"d\"", " spaces ", "Ёжик № 1", "@x", "'tis", "=", "'"]
        companies = [loader.made("companies", name=name, tax_id=tax_id(700000000 + i), direction="cloud", size=i or None, site=f"https://e{i}.example.com",
                                 address="two\nlines; \"quoted\"" if i % 2 else None) for i, name in enumerate(awkward)]
        assert loader.patch("companies/" + companies[0]["id"], {"size": 77}).status == 200
        contacts = [loader.made("contacts", name=f"Person {i}", company=c["id"], email=f"p{i}@example.com", direction="cloud") for i, c in enumerate(companies)]
        deals = [loader.made("opportunities", name=f"Deal {i}", company=c["id"], contact=contacts[i]["id"], direction="cloud", amount=1234.5 * i,
                             close_date="2027-02-28", responsible=loader.get("me").json["id"]) for i, c in enumerate(companies[:4])]
        assert loader.delete("companies/" + companies[-1]["id"]).status in (204, 409)
        for collection in ("users", "companies", "contacts", "opportunities", "tasks"):
            body = export(a, collection, kind)
            state = settled(b, send(b, body, kind, collection=collection, mode="restore"))
            allowed = 1 if collection == "users" else 0  # the second base has an administrator of its own
            assert state["state"] == "done" and state["counts"]["failed"] <= allowed, state
            if collection != "users":
                assert export(b, collection, kind) == body, collection
        assert deals and b.get("companies/" + companies[0]["id"]).json["created_by"] == loader.get("me").json["id"]
        made = b.made("opportunities", name="Next", company=companies[0]["id"], direction="cloud")
        assert made["number"] > max(d["number"] for d in deals)
    finally:
        assert first.stop() == 0 and second.stop() == 0


def test_match_id_keeps_ids_for_the_administrator_only(own):
    admin, manager = own.user("admin", "crm_admin"), own.user("manager", "crm_manager", "--direction", "cloud")
    company = admin.made("companies", name="Old", direction="cloud", tax_id=tax_id(800000000))
    fresh = "01" + company["id"][2:]
    body = table(["id", "name", "direction", "created_at"], [fresh, "New", "cloud", "2020-01-02T03:04:05.000Z"], [company["id"], "Old too", "cloud", ""])
    refused = settled(manager, send(manager, body, collection="companies", mode="update", match="id"))
    assert refused["counts"] == counts(updated=1, failed=1)
    done = settled(admin, send(admin, body, collection="companies", mode="upsert", match="id"))
    assert done["counts"] == counts(created=1, unchanged=1), done["errors"]
    assert admin.get("companies/" + fresh).json["created_at"] == "2020-01-02T03:04:05.000Z"


def test_values_as_people_write_them(own):
    admin = own.user("admin", "crm_admin", "--time-zone", "Europe/Moscow") if False else own.user("admin", "crm_admin")
    company = admin.made("companies", name="Writes", direction="cloud", tax_id=tax_id(810000000))
    head = ["name", "company", "direction", "amount", "close_date", "probability"]
    body = table(head, ["A", company["tax_id"], "cloud", "1\u00a0234,50", "01.02.2027", "10"], ["B", company["tax_id"], "cloud", "1,234.5", "2027-02-01", "10"],
                 ["C", company["tax_id"], "cloud", "12.345", "32.01.2027", "ten"], ["D", company["tax_id"], "cloud", "-", "", ""], delimiter=";")
    done = settled(admin, send(admin, body, collection="opportunities"))
    got = {d["name"]: d for d in admin.get("opportunities").json["items"]}
    assert got["A"]["amount"] == 1234.5 and got["A"]["close_date"] == "2027-02-01"
    assert {(e["row"], e["pointer"]) for e in done["errors"]} >= {(2, "/amount"), (3, "/amount"), (3, "/close_date"), (3, "/probability"), (4, "/amount")}


def test_a_reload_in_the_middle_of_an_import_is_followed(own):
    admin = own.user("admin", "crm_admin")
    answer = send(admin, rows(15000), collection="companies")
    own.process.send_signal(signal.SIGHUP)
    state = settled(admin, answer)
    assert state["counts"] == counts(created=15000), state["errors"]


def test_whoever_is_deactivated_imports_no_more(own):
    admin, manager = own.user("admin", "crm_admin"), own.user("manager", "crm_manager", "--direction", "cloud")
    answer = send(manager, rows(40000), collection="companies")
    assert answer.status == 202
    assert admin.patch("users/" + own.users["manager"], {"active": False}).status == 200
    deadline = time.monotonic() + 60
    while (state := admin.get("imports/" + answer.json["id"]).json)["state"] not in ("done", "failed"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert state["state"] == "failed" and "active" in state["detail"] and state["counts"]["created"] < 40000
    made = state["counts"]["created"]
    assert admin.get("companies", count="exact", limit=1).json["total"] == made
    undone = settled(admin, admin.post(f"imports/{answer.json['id']}/undo"), "undone")
    assert undone["undo"]["removed"] == made and admin.get("companies", count="exact", limit=1).json["total"] == 0


def test_the_command_line_imports_rows_too(own, tmp_path):
    (tmp_path / "rows.csv").write_bytes(rows(50))
    own.stop()
    done = perigee("import", "--data", own.data, "--collection", "companies", "--file", tmp_path / "rows.csv")
    assert "50 created" in done.stdout
    again = perigee("import", "--data", own.data, "--collection", "companies", "--file", tmp_path / "rows.csv", check=False)
    assert again.returncode == 1 and "50 failed" in again.stdout and "tax" in again.stderr.lower()
    wrong = perigee("import", "--data", own.data, "--collection", "nothing", "--file", tmp_path / "rows.csv", check=False)
    assert wrong.returncode == 1 and "nothing" in wrong.stderr
    own.start()
    admin = own.user("admin", "crm_admin")
    assert admin.get("companies", count="exact", limit=1).json["total"] == 50
