"""The demonstration data: the same each time, and as the rules of the domain would have made them."""
import json
import subprocess
from collections import Counter

import jsonschema
import pytest

from conftest import ROOT, Server, perigee
from crm import DOCUMENTS, MINIMUM, ORDER

TOOL = ROOT / "tools/demo"


def generate(*options):
    return subprocess.run([TOOL, *options], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    file = folder / "demo.json"
    file.write_text(generate())
    server = Server(folder)
    server.stop()
    perigee("import", "--data", server.data, "--masterdata", file, "--automation", "off")
    again = perigee("import", "--data", server.data, "--masterdata", file, "--automation", "off").stdout
    assert all(" 0 created     0 updated" in line for line in again.splitlines()), again
    server.start()
    yield server, json.loads(file.read_text())
    server.stop()


def test_it_is_the_same_each_time_and_fits_the_schema():
    text = generate()
    assert text == generate()
    jsonschema.Draft202012Validator(json.loads((ROOT / "masterdata/schema.json").read_text())).validate(json.loads(text))


def test_it_has_the_size_that_was_promised(demo):
    data = demo[1]["collections"]
    assert {name: len(data[name]) for name in ("users", "partners", "companies", "opportunities")} == {
        "users": 30, "partners": 12, "companies": 300, "opportunities": 400}
    assert len(data["contacts"]) >= 600 and len(data["directions"]) == 3
    roles = {role for user in data["users"] for role in user["roles"]}
    assert len(roles) == 10
    assert set(Counter(deal["stage"] for deal in data["opportunities"])) == set(ORDER)
    assert {deal["status"] for deal in data["opportunities"]} == {"open", "in_progress", "on_hold", "won", "lost"}


def test_deals_are_as_the_gates_would_have_let_them(demo):
    data = demo[1]["collections"]
    documents = {(d["record"], d["kind"]) for d in data["documents"]}
    totals = Counter()
    for line in data["lines"]:
        totals[line["opportunity"]] += round(line["quantity"] * line["price"] * (100 - line["discount"]) / 100, 2)
    for deal in data["opportunities"]:
        reached = ORDER.index(deal["stage"])
        assert deal["probability"] >= MINIMUM[deal["stage"]]
        assert reached < 1 or (deal["contact"] and deal["products"])
        assert reached < 2 or (deal["amount"] and deal["close_date"])
        assert reached < 5 or abs(totals[deal["id"]] - deal["amount"]) < 0.01
        assert all((deal["id"], kind) in documents for stage, kind in DOCUMENTS.items() if ORDER.index(stage) <= reached)
        assert deal["status"] != "won" or reached >= 7


def test_those_in_it_see_their_part_and_can_go_on(demo):
    server, data = demo

    def sign_in(login):
        server.tokens[login] = perigee("token", "create", "--data", server.data, "--user", login).stdout.strip()
        return server.user(login, "")

    anna, admin, partner = sign_in("anna"), sign_in("admin_demo"), sign_in("supervisor1")
    seen = anna.get("opportunities", count="exact", limit=1).json["total"]
    assert 0 < seen < 400 and admin.get("opportunities", count="exact", limit=1).json["total"] == 400
    board = anna.get("opportunities/board", group_by="stage", sum="amount").json["columns"]
    assert [c["key"] for c in board if c["count"]] == [s for s in ORDER if any(c["key"] == s and c["count"] for c in board)]
    assert partner.get("registrations").json["items"]
    mine = anna.get("opportunities", filter="responsible = @me and stage = \"new\" and status = \"open\"").json["items"][0]
    assert anna.get(f"opportunities/{mine['id']}/timeline").status == 200
    assert anna.post(f"opportunities/{mine['id']}/comments", {"text": "On it"}).status == 201
    made = admin.made("opportunities", name="Next", company=mine["company"], direction="cloud")
    assert int(made["number"][3:]) == 401
