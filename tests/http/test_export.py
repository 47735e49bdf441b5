"""Exports: api.md §2: the whole result as CSV or NDJSON under the same rules."""
import csv
import io
import json
import threading
import urllib.parse

import pytest

NASTY = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "'=1+1", "''", "'", 'say "no", please; now', "Ёлка и ёж", "-5", "+79161234567",
         "=HYPERLINK(\"http://x\",\"y\")", " lead", "trail ", "a|b"]


def export(client, path, kind, **query):
    answer = client("GET", path + "?" + urllib.parse.urlencode(query), headers={"Accept": kind})
    assert answer.status == 200, answer.body
    return answer


def rows(client, path, **query):
    text = export(client, path, "text/csv", **query).body.decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def lines(client, path, **query):
    return [json.loads(line) for line in export(client, path, "application/x-ndjson", **query).body.decode().split("\n")[:-1]]


def all_pages(client, path, **query):
    items, cursor = [], None
    while True:
        page = client.get(path, **query, **({"cursor": cursor} if cursor else {})).json
        items += page["items"]
        cursor = page.get("next")
        if not cursor:
            return items


@pytest.fixture(scope="module")
def contacts(admin):
    for i, text in enumerate(NASTY):
        admin.made("contacts", name=f"Export {i:02}", position=text, consent=None if i % 3 == 0 else i % 3 == 1)
    admin.made("contacts", name="Export 99", phone="+7 916 123-45-67", email="a@example.com")
    return len(NASTY) + 1


@pytest.mark.parametrize("sort", ["", "name", "-name", "position", "-position,name", "consent,-name", "id"])
def test_lines_are_what_the_pages_are_in_the_same_order(admin, contacts, sort):
    query = {"filter": 'name starts "Export "', **({"sort": sort} if sort else {})}
    got = lines(admin, "contacts", **query)
    assert len(got) == contacts
    assert got == all_pages(admin, "contacts", limit=4, **query)


def test_a_cell_is_never_a_formula_and_comes_back_unchanged(admin, contacts):
    got = rows(admin, "contacts", filter='name starts "Export "', sort="name", fields="name,position")
    assert list(got[0]) == ["id", "name", "position"]
    for text, row in zip(NASTY, got):
        cell = row["position"]
        number = text in ("-5", "+79161234567")
        assert number or cell[:1] not in ("=", "+", "-", "@", "\t", "\r"), cell
        tail = cell.lstrip("'")
        guarded = cell.startswith("'") and tail[:1] in ("=", "+", "-", "@", "\t", "\r") and tail != ""
        assert (cell[1:] if guarded else cell) == text


def test_long_texts_keep_tabs_and_line_ends(admin, company):
    for text in ("\t=1", "two\nlines", "=1\n+2", "a\r\nb"):
        deal = admin.made("opportunities", name="Long text", company=company["id"], direction="cloud", description=text)
        cell = rows(admin, "opportunities", filter=f'id = "{deal["id"]}"', fields="description")[0]["description"]
        assert cell == ("'" + deal["description"] if deal["description"][0] in "\t=" else deal["description"])


def test_csv_writes_every_type(admin, company):
    deal = admin.made("opportunities", name="Export deal", company=company["id"], direction="cloud", amount=1234.5, probability=12.5, close_date="2027-03-01",
                      products=["platform", "support"] if admin.get("products/support").status == 200 else ["platform"])
    row = rows(admin, "opportunities", filter='name = "Export deal"')[0]
    assert row["id"] == deal["id"] and row["amount"] == "1234.5" and row["probability"] == "12.5" and row["close_date"] == "2027-03-01"
    assert row["created_at"] == deal["created_at"] and row["active"] == "true" and row["stage"] == "new" and row["company"] == company["id"]
    assert row["products"] == "|".join(deal["products"]) and row["contact"] == "" and row["weighted"] == str(deal["weighted"])
    assert row["version"] == "1" and row["number"] == deal["number"]
    named = rows(admin, "opportunities", filter='name = "Export deal"', expand="company,stage", fields="company,stage")[0]
    assert named == {"id": deal["id"], "company": company["name"], "stage": "New"}


def test_an_export_takes_filter_search_and_fields_like_a_list(admin, contacts):
    assert len(rows(admin, "contacts", filter='name starts "Export "', q="ёжик")) == 0
    assert [set(r) for r in lines(admin, "contacts", filter='name = "Export 03"', fields="name")] == [{"id", "name"}]
    assert export(admin, "contacts", "text/csv", filter='name = "nobody at all"', fields="name").body == b"id,name\r\n"
    assert export(admin, "contacts", "application/x-ndjson", filter='name = "nobody at all"').body == b""


def test_mistakes_are_answered_before_anything_is_sent(admin):
    for query, code in (({"filter": "nmae = 1"}, "bad_filter"), ({"sort": "nmae"}, "unknown_field"), ({"fields": "nmae"}, "unknown_field")):
        answer = admin("GET", "contacts?" + urllib.parse.urlencode(query), headers={"Accept": "text/csv"})
        assert answer.status == 400 and answer.json["code"] == code


def test_headers_say_what_it_is(admin, contacts):
    answer = export(admin, "contacts", "text/csv", filter='name starts "Export "')
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="contacts.csv"'
    assert "Accept" in answer.headers["Vary"]
    head = admin("HEAD", "contacts", headers={"Accept": "text/csv"})
    assert head.status == 200 and head.body == b"" and head.headers["Content-Type"].startswith("text/csv")


def test_columns_stand_as_they_were_named(admin, contacts):
    for fields, header in (("position,name", "id,position,name"), ("name,id,position", "name,id,position"), (" version , name", "id,version,name"), ("id", "id")):
        answer = export(admin, "contacts", "text/csv", filter='name = "Export 03"', fields=fields)
        assert answer.body.decode().split("\r\n")[0] == header
    row = rows(admin, "contacts", filter='name = "Export 03"', fields="position,name")[0]
    assert row["name"] == "Export 03" and row["position"] == "'" + NASTY[3]


def test_rights_are_those_of_the_list(admin, seller, other, company):
    admin.made("opportunities", name="Export for cloud", company=company["id"], direction="cloud")
    wanted = 'name = "Export for cloud"'
    assert len(rows(seller, "opportunities", filter=wanted)) == 1
    assert rows(other, "opportunities", filter=wanted) == []
    assert lines(seller, "opportunities", filter=wanted) == seller.get("opportunities", filter=wanted).json["items"]


def test_a_field_hidden_on_some_rows_is_an_empty_cell(admin, seller):
    """A salesperson reads every user's name, but the time zone only of their own record."""
    got = rows(seller, "users", fields="login,time_zone,language", sort="login")
    assert len(got) >= 2 and all(set(r) == {"id", "login", "time_zone", "language"} for r in got)
    pages = {r["id"]: r for r in all_pages(seller, "users", fields="login,time_zone,language")}
    for row in got:
        page = pages[row["id"]]
        assert row["login"] == page["login"] and row["time_zone"] == (page.get("time_zone") or "")
    assert all("time_zone" in page or row_id != seller.get("me").json["id"] for row_id, page in pages.items())


def test_a_long_export_is_one_state_while_others_write(admin):
    """Everything moves from A to B in one batch during the export: it sees all before or all after."""
    ids = []
    for start in range(0, 2000, 100):
        operations = [{"method": "POST", "path": "/api/v1/contacts", "body": {"name": f"Snap {i:04}", "position": "A" * 200}} for i in range(start, start + 100)]
        results = admin.post("batch", {"atomic": True, "operations": operations}).json["results"]
        ids += [r["body"]["id"] for r in results]
    done = threading.Event()

    def write():
        while not done.is_set():
            for i in ids[::250]:
                admin.patch("contacts/" + i, {"position": "B"})
                admin.patch("contacts/" + i, {"position": "A" * 200})
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            got = lines(admin, "contacts", filter='name starts "Snap "', sort="name", fields="name")
            assert [r["name"] for r in got] == [f"Snap {i:04}" for i in range(2000)]
    finally:
        done.set()
        writer.join()
    for i in ids[::20]:
        admin.delete("contacts/" + i)


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(admin):
    import socket
    for _ in range(20):
        s = socket.create_connection(("127.0.0.1", admin.port))
        s.sendall(f"GET /api/v1/contacts HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\nAuthorization: Bearer {admin.token}\r\n\r\n".encode())
        s.recv(100)
        s.close()
    assert len(rows(admin, "contacts", filter='name starts "Snap "', fields="name")) > 0
