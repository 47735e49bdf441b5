"""Aggregates: api.md §2: groups, dates by unit, exact sums, averages, least and greatest, under the caller's rights."""
import json
from collections import defaultdict
from decimal import Decimal

import pytest


def groups(client, path="opportunities", **query):
    answer = client.get(path + "/aggregate", **query)
    assert answer.status == 200, answer.body
    return json.loads(answer.body, parse_float=Decimal, parse_int=Decimal)["groups"]


@pytest.fixture(scope="module")
def deals(admin, company):
    made = []
    for i in range(24):
        made.append(admin.made("opportunities", name=f"Sum {i:02}", company=company["id"], direction=("cloud", "hardware")[i % 2], probability=i,
                               amount=None if i % 8 == 7 else round(i * 333.33, 2), close_date=None if i == 5 else f"2026-{i % 12 + 1:02}-{i % 28 + 1:02}"))
    return made


def test_counts_and_sums_by_several_keys(admin, deals):
    expected = defaultdict(lambda: [0, Decimal(0)])
    for d in deals:
        cell = expected[d["direction"], d["stage"]]
        cell[0] += 1
        cell[1] += Decimal(str(d["amount"] or 0))
    got = groups(admin, group_by="direction,stage", sum="amount", count="1")
    assert {(g["key"]["direction"], g["key"]["stage"]): [g["count"], g["sum"]["amount"]] for g in got} == dict(expected)
    assert all(list(g["key"]) == ["direction", "stage"] for g in got)


def test_without_keys_there_is_one_group(admin, deals):
    assert groups(admin, count="1") == [{"key": {}, "count": 24}]
    assert groups(admin, count="1", filter="name = 'nobody'") == [{"key": {}, "count": 0}]
    assert groups(admin, sum="amount", filter="name = 'nobody'")[0]["sum"]["amount"] == 0


def test_measures_are_exact_and_leave_missing_values_out(admin, deals):
    amounts = [Decimal(str(d["amount"])) for d in deals if d["amount"] is not None]
    got = groups(admin, sum="amount,probability", avg="amount", min="amount,name,close_date", max="amount,name,close_date")[0]
    assert got["sum"] == {"amount": sum(amounts), "probability": sum(range(24))}
    assert got["avg"]["amount"] == (sum(amounts) / len(amounts)).quantize(Decimal("0.0001")).normalize()
    assert got["min"] == {"amount": min(amounts), "name": "Sum 00", "close_date": min(d["close_date"] for d in deals if d["close_date"])}
    assert got["max"] == {"amount": max(amounts), "name": "Sum 23", "close_date": max(d["close_date"] for d in deals if d["close_date"])}
    missing = groups(admin, avg="amount", min="amount", filter="amount is null")[0]
    assert missing["avg"]["amount"] is None and missing["min"]["amount"] is None
    assert "count" not in got and "count" in groups(admin, sum="amount", count="true")[0]


def test_large_sums_keep_every_digit(admin, company):
    for i in range(3):
        body = '{"name":"Large %d","company":"%s","direction":"services","amount":30000000000000000.0%d}' % (i, company["id"], i + 1)
        assert admin("POST", "opportunities", body, {"Content-Type": "application/json"}).status == 201
    got = groups(admin, sum="amount", filter="direction = 'services'")[0]
    assert got["sum"]["amount"] == Decimal("90000000000000000.06")


@pytest.mark.parametrize("unit, start", [("day", lambda d: d), ("month", lambda d: d[:7] + "-01"), ("year", lambda d: d[:4] + "-01-01"),
                                         ("quarter", lambda d: "%s-%02d-01" % (d[:4], (int(d[5:7]) - 1) // 3 * 3 + 1))])
def test_dates_by_unit(admin, deals, unit, start):
    expected = defaultdict(int)
    for d in deals:
        expected[d["close_date"] and start(d["close_date"])] += 1
    key = "close_date:" + unit
    got = groups(admin, group_by=key, count="1", filter="name starts 'Sum '")
    assert {g["key"][key]: g["count"] for g in got} == dict(expected)


def test_weeks_begin_on_monday(admin, company):
    for day in ("2027-01-03", "2027-01-04", "2027-01-10", "2027-01-11"):
        admin.made("opportunities", name="Week", company=company["id"], direction="cloud", close_date=day)
    got = groups(admin, group_by="close_date:week", count="1", filter="name = 'Week'")
    assert {g["key"]["close_date:week"]: g["count"] for g in got} == {"2026-12-28": 1, "2027-01-04": 2, "2027-01-11": 1}


def test_instants_fall_on_the_days_of_the_asker(admin, server):
    admin.made("activities", kind="note", subject="Edge", when="2026-12-31T22:30:00.000Z")
    moscow, london = server.user("msk", "crm_admin"), server.user("lon", "crm_admin")
    moscow.patch("users/" + server.users["msk"], {"time_zone": "Europe/Moscow"})
    london.patch("users/" + server.users["lon"], {"time_zone": "Europe/London"})
    ask = {"path": "activities", "group_by": "when:year", "count": "1", "filter": "subject = 'Edge'"}
    assert groups(moscow, **ask)[0]["key"]["when:year"] == "2027-01-01"
    assert groups(london, **ask)[0]["key"]["when:year"] == "2026-01-01"


def test_keys_of_every_type(admin, deals, server):
    assert groups(admin, group_by="responsible", count="1", filter="name starts 'Sum '") == [{"key": {"responsible": server.users["admin"]}, "count": 24}]
    assert groups(admin, group_by="active,partner", count="1", filter="name starts 'Sum '") == [{"key": {"active": True, "partner": None}, "count": 24}]
    assert len(groups(admin, group_by="probability", count="1", filter="name starts 'Sum '")) == 24
    assert len(groups(admin, group_by="weighted", count="1", filter="name starts 'Sum '")) > 5
    assert len(groups(admin, group_by="close_date", count="1", filter="name starts 'Sum '")) == len({d["close_date"] for d in deals})


def test_only_what_the_caller_reads_is_counted(admin, deals, seller, other):
    mine = groups(seller, group_by="direction", count="1", filter="name starts 'Sum '")
    assert mine == [{"key": {"direction": "cloud"}, "count": 12}]
    assert groups(other, group_by="direction", count="1", filter="name starts 'Sum '") == [{"key": {"direction": "hardware"}, "count": 12}]


def test_kept_figures_follow_changes(admin, company):
    ask = {"group_by": "status", "sum": "amount", "count": "1", "filter": "name = 'Figure'"}
    assert groups(admin, **ask) == []
    deal = admin.made("opportunities", name="Figure", company=company["id"], direction="cloud", amount=1)
    for amount in (2, 3.5, None, 7):
        admin.patch("opportunities/" + deal["id"], {"amount": amount})
        for _ in range(3):
            assert groups(admin, **ask) == [{"key": {"status": "open"}, "count": 1, "sum": {"amount": Decimal(str(amount or 0))}}]


def test_mistakes_are_400_with_their_parameter(admin):
    for query, pointer in (({"group_by": "nope"}, "group_by"), ({"group_by": "name:month"}, "group_by"), ({"group_by": "close_date:decade"}, "group_by"), ({"group_by": "products"}, "group_by"),
                           ({"sum": "name"}, "sum"), ({"avg": "close_date"}, "avg"), ({"sum": "nope"}, "sum"), ({"min": "products"}, "min"), ({"max": "nope"}, "max"),
                           ({"group_by": "stage,status,direction,partner,company"}, "group_by"), ({"count": "x"}, "count"), ({"filter": "nope = 1"}, "filter"),
                           ({"group_by": "stage,"}, "group_by"), ({"sum": "amount,"}, "sum")):
        answer = admin.get("opportunities/aggregate", **query)
        assert answer.status == 400 and answer.json["errors"][0]["pointer"] == pointer, (query, answer.body)
