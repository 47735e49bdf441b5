"""Boards: api.md §2: columns with labels, counts, exact sums, cards, and how a column goes on."""
import threading
from decimal import Decimal
import json

import pytest

STAGES = ["new", "qualification", "discovery", "presentation", "pilot", "proposal", "negotiation", "contract", "payment", "handover"]


def board(client, path="opportunities", **query):
    answer = client.get(path + "/board", **query)
    assert answer.status == 200, answer.body
    return answer.json["columns"]


def by_key(columns):
    return {c["key"]: c for c in columns}


@pytest.fixture(scope="module")
def deals(admin, company):
    made = []
    for i in range(30):
        made.append(admin.made("opportunities", name=f"Card {i:02}", company=company["id"], direction=("cloud", "hardware", "services")[i % 3],
                               amount=None if i % 10 == 9 else round(i * 1000.1, 2), probability=i))
    return made


def test_every_stage_has_a_column_in_its_order_even_when_empty(admin, deals):
    columns = board(admin, group_by="stage")
    assert [c["key"] for c in columns] == STAGES
    assert columns[0]["count"] == 30 and len(columns[0]["items"]) == 20 and "next" in columns[0]
    for empty in columns[1:]:
        assert empty["count"] == 0 and empty["items"] == [] and empty["sum"] == {"amount": 0} and "next" not in empty


def test_sums_are_exact(admin, deals):
    raw = admin.get("opportunities/board", group_by="stage", limit=1).body
    new = json.loads(raw, parse_float=Decimal, parse_int=Decimal)["columns"][0]
    assert new["sum"]["amount"] == sum(Decimal(str(d["amount"])) for d in deals if d["amount"] is not None)
    chosen = json.loads(admin.get("opportunities/board", group_by="stage", sum="weighted", limit=1).body, parse_float=Decimal, parse_int=Decimal)["columns"][0]
    assert chosen["sum"] == {"weighted": sum(Decimal(str(d["weighted"])) for d in deals if d["weighted"] is not None)}


def test_labels_follow_the_language(admin, deals):
    assert board(admin, group_by="stage")[0]["label"] == "New"
    russian = admin("GET", "opportunities/board", headers={"Accept-Language": "ru"}, group_by="stage").json["columns"]
    assert russian[0]["label"] == "Новая" and russian[0]["key"] == "new"
    assert admin("GET", "opportunities/board", headers={"Accept-Language": "ru"}, group_by="status").json["columns"][0]["label"] == "Открыта"


def test_options_references_and_booleans_are_columns_too(admin, deals, server, company):
    statuses = board(admin, group_by="status")
    assert [c["key"] for c in statuses] == ["open", "in_progress", "on_hold", "won", "lost"] and statuses[0]["count"] == 30
    assert statuses[0]["label"] == "Open"
    directions = by_key(board(admin, group_by="direction"))
    assert directions["cloud"]["count"] == 10 and directions["cloud"]["label"] != "cloud"
    people = board(admin, group_by="responsible")
    assert [c["count"] for c in people if c["key"] == server.users["admin"]] == [30]
    assert [c["label"] for c in people if c["key"] == server.users["admin"]] == ["Admin"]
    partners = board(admin, group_by="partner")
    assert len(partners) == 1 and partners[0]["key"] is None and partners[0]["count"] == 30
    active = board(admin, group_by="active", filter="active in (true, false) and name starts 'Card'")
    assert [c["key"] for c in active] == [True] and active[0]["count"] == 30


@pytest.mark.parametrize("sort", ["", "name", "-name", "-amount", "amount,-name"])
def test_a_column_goes_on_where_it_stopped(admin, deals, sort):
    query = {"group_by": "stage", "limit": 7, **({"sort": sort} if sort else {})}
    whole = [r["id"] for r in admin.get("opportunities", limit=500, **({"sort": sort} if sort else {})).json["items"]]
    column = by_key(board(admin, **query))["new"]
    seen = [r["id"] for r in column["items"]]
    while "next" in column:
        more = board(admin, column="new", cursor=column["next"], **query)
        assert len(more) == 1 and more[0]["key"] == "new" and more[0]["count"] == 30
        column = more[0]
        seen += [r["id"] for r in column["items"]]
    assert seen == whole


def test_a_cursor_belongs_to_its_column_and_its_board(admin, deals):
    columns = by_key(board(admin, group_by="direction", limit=2))
    cursor = columns["cloud"]["next"]
    good = {"group_by": "direction", "limit": 2, "column": "cloud", "cursor": cursor}
    assert admin.get("opportunities/board", **good).status == 200
    for other in ({"column": "hardware"}, {"filter": "amount > 1"}, {"sort": "name"}, {"group_by": "stage", "column": "new"}):
        assert admin.get("opportunities/board", **{**good, **other}).status == 400, other
    assert admin.get("opportunities", limit=2, cursor=cursor).status == 400
    assert admin.get("opportunities/board", group_by="direction", limit=2, cursor=cursor).status == 400


def test_a_filter_search_and_rights_hold_for_every_column(admin, deals, seller, other):
    filtered = by_key(board(admin, group_by="direction", filter="amount >= 20000", sort="name"))
    wanted = [d for d in deals if (d["amount"] or 0) >= 20000]
    assert sum(c["count"] for c in filtered.values()) == len(wanted)
    assert all(r["amount"] >= 20000 for c in filtered.values() for r in c["items"])
    assert by_key(board(admin, group_by="stage", q="card 07"))["new"]["count"] == 1
    assert {k for k, c in by_key(board(seller, group_by="direction")).items() if c["count"]} == {"cloud"}
    assert {k for k, c in by_key(board(other, group_by="direction")).items() if c["count"]} == {"hardware"}
    assert by_key(board(seller, group_by="stage"))["new"]["count"] == 10


def test_fields_and_expand_shape_the_cards(admin, deals, company):
    card = board(admin, group_by="stage", fields="name,company", expand="company", limit=1)[0]["items"][0]
    assert set(card) == {"id", "name", "company"} and card["company"]["name"] == company["name"]


def test_counts_follow_every_change_at_once(admin, company, seller, server):
    """They are kept, but never longer than they are true: for everybody, whoever changes what."""
    def new_of(client):
        column = by_key(board(client, group_by="stage", filter="name starts 'Kept '", limit=1))["new"]
        return column["count"], column["sum"]["amount"]
    assert new_of(admin) == new_of(seller) == (0, 0)
    deal = admin.made("opportunities", name="Kept 1", company=company["id"], direction="cloud", amount=10)
    assert new_of(admin) == new_of(seller) == (1, 10)
    admin.patch("opportunities/" + deal["id"], {"amount": 25.5})
    assert new_of(admin) == new_of(seller) == (1, 25.5)
    admin.patch("opportunities/" + deal["id"], {"direction": "hardware"})
    assert new_of(admin) == (1, 25.5) and new_of(seller) == (0, 0)
    admin.patch("opportunities/" + deal["id"], {"responsible": server.users["seller"]})
    assert new_of(seller) == (1, 25.5)
    admin.patch("opportunities/" + deal["id"], {"active": False})
    assert new_of(admin) == new_of(seller) == (0, 0)
    assert admin.get("opportunities", filter="name starts 'Kept ' and active = false", count="exact").json["total"] == 1
    assert admin.get("opportunities", filter="name starts 'Kept '", count="exact").json["total"] == 0


def test_kept_counts_follow_records_that_the_filter_goes_through(admin, company):
    owner = admin.made("companies", name="Counted owner", industry=None)
    admin.made("opportunities", name="Through 1", company=owner["id"], direction="cloud")
    asked = {"filter": "name starts 'Through ' and company.name = 'Counted owner'", "count": "exact", "limit": 1}
    assert admin.get("opportunities", **asked).json["total"] == 1
    admin.patch("companies/" + owner["id"], {"name": "Renamed owner"})
    assert admin.get("opportunities", **asked).json["total"] == 0
    admin.patch("companies/" + owner["id"], {"name": "Counted owner"})
    assert admin.get("opportunities", **asked).json["total"] == 1
    labelled = by_key(board(admin, group_by="company", filter="name starts 'Through '"))
    assert labelled[owner["id"]]["label"] == "Counted owner"


def test_kept_counts_are_right_under_writers(admin, company):
    """Every count that is seen lies between what was there before and after it was asked."""
    stop, made, failures = threading.Event(), [0], []

    def read():
        while not stop.is_set():
            before = made[0]
            count = admin.get("contacts", filter="name starts 'Race '", count="exact", limit=1).json["total"]
            after = made[0] + 1
            if not before <= count <= after:
                failures.append((before, count, after))
    readers = [threading.Thread(target=read) for _ in range(4)]
    for r in readers:
        r.start()
    for i in range(120):
        admin.made("contacts", name=f"Race {i}")
        made[0] = i + 1
    stop.set()
    for r in readers:
        r.join()
    assert failures == []


def test_what_cannot_be_a_column_is_400(admin):
    for query, pointer in (({"group_by": "products"}, "group_by"), ({"group_by": "nope"}, "group_by"), ({}, "group_by"), ({"group_by": "description"}, "group_by"),
                           ({"group_by": "stage", "sum": "name"}, "sum"), ({"group_by": "stage", "sum": "nope"}, "sum"), ({"group_by": "stage", "limit": 0}, "limit"),
                           ({"group_by": "stage", "column": "nowhere"}, "column"), ({"group_by": "status", "column": "nope"}, "column"), ({"group_by": "stage", "filter": "nope = 1"}, "filter"),
                           ({"group_by": "stage", "cursor": "AAAA", "column": "new"}, "cursor")):
        answer = admin.get("opportunities/board", **query)
        assert answer.status == 400 and answer.json["errors"][0]["pointer"] == pointer, (query, answer.body)
