"""Reports: the figures of the demonstration company, counted again from its lists, under the rights of whoever asks."""
from collections import Counter, defaultdict

import pytest

from conftest import Server, perigee
from crm import ORDER
from test_crm_demo import generate


@pytest.fixture(scope="module")
def sold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    server = Server(folder)
    server.stop()
    (folder / "demo.json").write_text(generate())
    perigee("import", "--data", server.data, "--masterdata", folder / "demo.json", "--automation", "off")
    server.start()

    def sign_in(login):
        server.tokens[login] = perigee("token", "create", "--data", server.data, "--user", login).stdout.strip()
        return server.user(login, "")

    yield sign_in("admin_demo"), sign_in("anna"), sign_in("agent1")
    server.stop()


def everything(who, collection, **query):
    items, cursor = [], {}
    while True:
        page = who.get(collection, limit=500, **query, **cursor).json
        items += page["items"]
        if "next" not in page:
            return items
        cursor = {"cursor": page["next"]}


def report(who, name, **query):
    answer = who.get("x/reports/" + name, **query)
    assert answer.status == 200, answer.body
    return answer.json


def test_the_funnel_counts_a_deal_for_every_stage_it_reached(sold):
    for who in sold[:2]:
        deals = everything(who, "opportunities")
        funnel = report(who, "funnel")
        assert funnel["deals"] == len(deals) and [s["stage"] for s in funnel["stages"]] == ORDER
        for i, stage in enumerate(funnel["stages"]):
            reached = sum(ORDER.index(d["stage"]) >= i for d in deals)
            further = sum(ORDER.index(d["stage"]) > i for d in deals)
            assert stage["reached"] == reached and stage["here"] == reached - further
            assert stage["conversion"] is None if i == 9 else abs(stage["conversion"] - 100 * further / reached) < 0.01
    assert report(sold[0], "funnel", filter='direction = "cloud"')["deals"] == sum(d["direction"] == "cloud" for d in everything(sold[0], "opportunities"))


@pytest.mark.parametrize("by", ["month", "direction", "responsible", "partner"])
def test_the_forecast_adds_up_by_month_and_by_what_is_asked(sold, by):
    for who in sold[:2]:
        wanted = defaultdict(float)
        for deal in everything(who, "opportunities", filter='status != "lost"'):
            month = (deal["close_date"] or "")[:7]
            wanted[(month, "" if by == "month" else deal[by] or "")] += deal["forecast"] or 0
        got = {((row["month"] or "")[:7], "" if by == "month" else row[by] or ""): row["forecast"] or 0 for row in report(who, "forecast", by=by)["rows"]}
        assert set(got) == set(wanted) and all(abs(got[key] - wanted[key]) < 0.01 for key in wanted)


def test_outcomes_by_reason(sold):
    deals = everything(sold[0], "opportunities", filter='status in ("won", "lost")')
    outcomes = report(sold[0], "outcomes")
    counted = Counter((d["status"], d["lost_reason"] if d["status"] == "lost" else d["status_reason"]) for d in deals)
    assert {(r["status"], r["reason"]): r["count"] for r in outcomes["rows"]} == dict(counted)
    assert abs(outcomes["win_rate"] - 100 * outcomes["won"] / len(deals)) < 0.01


def test_activity_by_person(sold):
    counted = Counter((a["created_by"], a["kind"]) for a in everything(sold[0], "activities"))
    done = Counter(t["assignee"] for t in everything(sold[0], "tasks", filter='status = "done"'))
    for row in report(sold[0], "activity")["people"]:
        assert all(row[kind] == counted[(row["user"], kind)] for kind in ("call", "meeting", "letter", "note"))
        assert row["tasks_done"] == done[row["user"]] and row["name"]


def test_partner_performance(sold):
    deals = everything(sold[0], "opportunities", filter="partner is not null")
    for row in report(sold[0], "partners")["partners"]:
        mine = [d for d in deals if d["partner"] == row["partner"]]
        assert row["won"] == sum(d["status"] == "won" for d in mine) and row["lost"] == sum(d["status"] == "lost" for d in mine)
        assert row["open"] == len(mine) - row["won"] - row["lost"]
        assert abs(row["won_amount"] - sum(d["amount_base"] or 0 for d in mine if d["status"] == "won")) < 0.01


def test_durations_of_stages(sold):
    left = defaultdict(list)
    for change in everything(sold[0], "stage_changes", filter="from is not null"):
        left[change["from"]].append(change["seconds"])
    for row in report(sold[0], "durations")["stages"]:
        assert row["left"] == len(left[row["stage"]])
        if row["left"]:
            assert abs(row["days"] - sum(left[row["stage"]]) / row["left"] / 86400) < 0.02


def test_a_report_shows_no_more_than_a_list(sold):
    admin, anna, partner = sold
    assert 0 < report(anna, "funnel")["deals"] < report(admin, "funnel")["deals"]
    for name in ("funnel", "activity", "partners", "outcomes", "durations", "forecast"):
        assert partner.get("x/reports/" + name).status == 403


def test_wrong_arguments_are_refused_with_their_name(sold):
    for query, field in (({"form": "2026"}, "/form"), ({"from": "soon"}, "/from"), ({"filter": "amout > 1"}, "/filter")):
        refused = sold[0].get("x/reports/funnel", **query)
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == field
    assert sold[0].get("x/reports/forecast", by="weather").status == 422
