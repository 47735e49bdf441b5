"""Threads keep stages in memory; a change of one holds for the very next request, and one that was taken back never."""
import pytest


@pytest.fixture
def asked(admin):
    """A stage "new" that asks for whatever the test says; as it was afterwards."""
    stage = admin.get("stages", filter='code = "new"').json["items"][0]

    def ask(*names, **query):
        answer = admin.patch(f"stages/{stage['id']}", {"require": [*stage["require"], *names]}, **query)
        assert answer.status == 200, answer.body

    yield ask
    ask()


def create(admin, company):
    return admin.post("opportunities", {"name": "Deal", "company": company["id"], "direction": "cloud"})


def test_a_stage_that_was_changed_is_asked_at_once_and_no_longer_than_that(admin, company, asked):
    for _ in range(3):
        assert create(admin, company).status == 201
        asked("competitor")
        refused = create(admin, company)
        assert refused.status == 422 and "/competitor" in [e["pointer"] for e in refused.json["errors"]]
        asked()
        assert create(admin, company).status == 201


def test_a_dry_run_of_a_change_leaves_nothing_in_memory(admin, company, asked):
    assert create(admin, company).status == 201
    asked("competitor", dry_run="true")
    assert create(admin, company).status == 201


def test_an_atomic_batch_that_fails_leaves_nothing_in_memory(admin, company, asked):
    stage = admin.get("stages", filter='code = "new"').json["items"][0]
    deal = {"name": "Deal", "company": company["id"], "direction": "cloud"}
    operations = [
        {"method": "POST", "path": "/api/v1/opportunities", "body": deal},
        {"method": "PATCH", "path": f"/api/v1/stages/{stage['id']}", "body": {"require": [*stage["require"], "competitor"]}},
        {"method": "POST", "path": "/api/v1/opportunities", "body": deal},
    ]
    results = admin.post("batch", {"atomic": True, "operations": operations}).json["results"]
    assert results[2]["status"] == 422 and "/competitor" in [e["pointer"] for e in results[2]["body"]["errors"]]
    assert create(admin, company).status == 201
    asked("status_reason")
    refused = create(admin, company)
    assert [e["pointer"] for e in refused.json["errors"] if e["code"] == "required"] == ["/status_reason"]
