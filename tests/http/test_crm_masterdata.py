"""Master data: complete, in both languages, true to its schema, imported all or nothing and as often as one likes (domain.md §7)."""
import json
import sqlite3

import jsonschema
import pytest

from conftest import ROOT, perigee

FILE = ROOT / "masterdata/crm.json"
DATA = json.loads(FILE.read_text())
SCHEMA = json.loads((ROOT / "masterdata/schema.json").read_text())
STAGES = ["new", "qualification", "discovery", "presentation", "pilot", "proposal", "negotiation", "contract", "payment", "handover"]


def run(data, file, *options, check=True):
    return perigee("import", "--data", data, "--masterdata", file, *options, check=check)


def written(folder, collections):
    file = folder / "given.json"
    file.write_text(json.dumps({"format": "perigee.masterdata/1", "version": "1", "collections": collections}))
    return file


def test_the_file_fits_its_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator(SCHEMA).validate(DATA)


@pytest.mark.parametrize("wrong", [
    {"lifecycle_steps": [{"code": "x", "name": {"en": "X"}, "order": 1}]},
    {"stages": [{"code": "x", "name": {"en": "X", "ru": "Х"}}]},
    {"chain_steps": [{"code": "x.y", "chain": "x", "title": {"en": "X", "ru": "Х"}, "order": 1, "due": "soon"}]},
    {"Stages": []},
])
def test_the_schema_refuses_what_is_wrong(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate({"format": "perigee.masterdata/1", "collections": wrong})


def test_it_is_complete():
    collections = DATA["collections"]
    assert [s["code"] for s in collections["stages"]] == STAGES
    assert len(collections["lifecycle_steps"]) == 7 and len(collections["roles"]) == 10
    assert {s["chain"] for s in collections["stages"]} == {c["code"] for c in collections["chains"]}
    assert {r["status"] for r in collections["status_reasons"]} == {"open", "in_progress", "on_hold", "won", "lost"}
    kinds = {k["code"] for k in collections["document_kinds"]}
    assert kinds == {"requirements_brief", "pilot_plan", "proposal", "contract", "invoice", "act", "other"}
    assert {kind for s in collections["stages"] for kind in s.get("documents", [])} <= kinds


def test_every_label_is_russian_where_it_says_so():
    def walk(value):
        if isinstance(value, dict):
            if set(value) == {"en", "ru"}:
                assert not any("а" <= ch.lower() <= "я" for ch in value["en"]), value
                assert any("а" <= ch.lower() <= "я" for ch in value["ru"]), value
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)
    walk(DATA)


def test_a_second_import_changes_nothing(tmp_path):
    data = tmp_path / "data"
    run(data, FILE)
    lines = run(data, FILE).stdout.splitlines()
    assert len(lines) == len(DATA["collections"])
    for line, (collection, records) in zip(lines, DATA["collections"].items()):
        assert line.split() == [collection, "0", "created", "0", "updated", str(len(records)), "unchanged"]


def test_a_mistake_is_told_with_its_place_and_nothing_is_imported(tmp_path):
    data = tmp_path / "data"
    run(data, FILE)
    refused = run(data, written(tmp_path, {"industries": [{"code": "fresh", "name": {"en": "Fresh", "ru": "Новая"}}],
                                           "stages": [{"code": "odd", "name": "Odd", "lifecycle_step": "nowhere"}]}), check=False)
    assert refused.returncode != 0 and "collections.stages[0].lifecycle_step" in refused.stderr
    assert sqlite3.connect(data / "perigee.db").execute("SELECT count(*) FROM industry WHERE code = 'fresh'").fetchone() == (0,)


def test_records_without_a_code_are_known_by_what_is_unique_about_them(tmp_path):
    data = tmp_path / "data"
    run(data, FILE)
    price = {"product": "platform", "currency": "RUB", "date": "2026-01-01", "price": 1}
    assert "0 created     1 updated" in run(data, written(tmp_path, {"prices": [price]})).stdout
    assert "1 created     0 updated" in run(data, written(tmp_path, {"prices": [{**price, "date": "2027-01-01"}]})).stdout


def test_references_may_lead_further_down_and_the_past_may_be_brought(tmp_path):
    data = tmp_path / "data"
    run(data, FILE)
    ids = {name: f"01abcdefgh{n:03d}" for n, name in enumerate(("partner", "user", "company", "deal", "change"), 1)}
    file = written(tmp_path, {
        "users": [{"id": ids["user"], "login": "past", "name": "Past", "partner": ids["partner"], "roles": ["crm_partner"]}],
        "partners": [{"id": ids["partner"], "name": "Partner", "supervisor": ids["user"]}],
        "companies": [{"id": ids["company"], "name": "Client"}],
        "opportunities": [{"id": ids["deal"], "number": "OPP0000500", "name": "Old", "company": ids["company"], "stage": "contract", "status": "won",
                           "probability": 100, "created_at": "2025-01-01T00:00:00Z", "created_by": ids["user"]}],
        "stage_changes": [{"id": ids["change"], "opportunity": ids["deal"], "from": "negotiation", "to": "contract", "at": "2025-02-01T00:00:00Z", "seconds": 86400}],
    })
    run(data, file, "--automation", "off")
    db = sqlite3.connect(data / "perigee.db")
    assert db.execute("SELECT number, stage, status, created_at FROM opportunity").fetchall() == [("OPP0000500", "contract", "won", 1735689600000)]
    assert db.execute("SELECT count(*) FROM task").fetchone() == (0,) and db.execute("SELECT count(*) FROM stage_change").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM user WHERE partner IS NOT NULL").fetchone() == (1,)
    assert db.execute("SELECT last FROM perigee_number WHERE prefix = 'OPP'").fetchone() == (500,)
    db.close()
    assert "created     0 updated     1 unchanged" in run(data, file, "--automation", "off").stdout
