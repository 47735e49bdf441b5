"""One rule, every door: the same forbidden change through each way in is refused with the same code (design §6)."""
import json
import shutil
import sqlite3
import time

import pytest

from conftest import ROOT, Server
from crm import MINIMUM, move, new_deal, ready, walk

SCRIPT = r'''
local change = function(deal, args) crm.update("opportunity", deal.id, args.change) end
local form = { fields = { change = json { required = true } } }

action("opportunity", "door_update", { label = "update", fields = form.fields }, change)
action("opportunity", "door_assign", { label = "assign", fields = form.fields }, function(deal, args)
  for name, value in pairs(args.change) do deal[name] = value end
end)
action("opportunity", "door_system", { label = "system", fields = form.fields }, function(deal, args)
  crm.system("a script with system rights meets the gates too", function() change(deal, args) end)
end)
action("opportunity", "door_move", { label = "move", fields = form.fields }, function(deal, args) crm.move(deal, args.change.stage) end)
on("comment", "after_create", function(comment)
  local found = string.match(comment.text, "^door: (.*)$")
  if found then crm.update("opportunity", comment.record, crm.json.decode(found)) end
end)
action("opportunity", "door_job", { label = "job", fields = form.fields }, function(deal, args) crm.enqueue("door", { id = deal.id, change = args.change }) end)
job("door", { attempts = 1 }, function(args) crm.update("opportunity", args.id, args.change) end)
'''


@pytest.fixture(scope="module")
def doors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    shutil.copytree(ROOT / "workflows", folder / "workflows")
    (folder / "workflows/zz_doors.lua").write_text(SCRIPT)
    server = Server(folder, "--workflows", str(folder / "workflows"))
    yield server, server.user("manager", "crm_manager", "--direction", "cloud")
    server.stop()


def entries(problem):
    return problem["code"], {(e.get("pointer"), e["code"]) for e in problem.get("errors", [])}


def imported(who, deal, change, automation):
    body = json.dumps([{"number": deal["number"], **change}])
    answer = who("POST", "imports", body, {"Content-Type": "application/json"}, collection="opportunities", mode="update", match="number", automation=automation)
    assert answer.status == 202, answer.body
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        got = who.get("imports/" + answer.json["id"]).json
        if got["state"] not in ("waiting", "running", "queued"):
            assert got["counts"]["failed"] == 1 and got["counts"]["updated"] == 0, got
            return {(e["pointer"], e["code"]) for e in got["errors"]}
    raise AssertionError("the import does not end")


def by_job(server, who, deal, change):
    assert who.post(f"opportunities/{deal['id']}/actions/door_job", {"change": change}).status == 200
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        db = sqlite3.connect(server.data / "perigee.db")
        rows = db.execute("SELECT state, error FROM perigee_outbox WHERE job = 'door' AND args LIKE ?", (f"%{deal['id']}%",)).fetchall()
        db.close()
        if rows and rows[-1][0] not in ("waiting", "running"):
            assert rows[-1][0] == "dead", rows
            return rows[-1][1]
        time.sleep(0.02)
    raise AssertionError("the job does not end")


FORBIDDEN = {
    "a stage that asks for more": ("new", {"stage": "qualification"}, "gate_refused", ("/contact", "required")),
    "a stage too far": ("new", {"stage": "discovery"}, "gate_refused", ("/stage", "skipped")),
    "a gate of a script": ("pilot", {"stage": "proposal"}, "gate_refused", ("/lines", "lines")),
    "won too early": ("new", {"status": "won"}, "rejected", ("/stage", "too_early")),
    "lost without a reason": ("new", {"status": "lost"}, "rejected", ("/lost_reason", "required")),
    "a reason of another status": ("new", {"status_reason": "best_price"}, "rejected", ("/status_reason", "wrong_reason")),
    "less than the stage's minimum": ("qualification", {"probability": 1}, "gate_refused", ("/probability", "too_low")),
}


@pytest.mark.parametrize("case", list(FORBIDDEN))
def test_every_door_says_the_same(doors, case):
    server, who = doors
    stage, change, code, entry = FORBIDDEN[case]
    deal = walk(who, new_deal(who), stage)
    path = "opportunities/" + deal["id"]
    answers = {"patch": who.patch(path, change).json}
    batch = who.post("batch", {"atomic": False, "operations": [{"method": "PATCH", "path": "/api/v1/" + path, "body": change}]})
    answers["batch"] = batch.json["results"][0]["body"]
    if "stage" in change:
        answers["move"] = move(who, deal, change["stage"]).json
        answers["door_move"] = who.post(f"{path}/actions/door_move", {"change": change}).json
    for door in ("door_update", "door_assign", "door_system"):
        answers[door] = who.post(f"{path}/actions/{door}", {"change": change}).json
    answers["hook"] = who.post(f"{path}/comments", {"text": "door: " + json.dumps(change)}).json
    for door, problem in answers.items():
        said, found = entries(problem)
        assert said == code and entry in found, (door, problem)
    for importer, automation in ((who, "run"), (server.user("admin", "crm_admin"), "off")):
        assert entry in imported(importer, deal, change, automation), automation
    told = by_job(server, who, deal, change)  # a job's error is one line: what was refused, and the first thing missing
    assert entry[0] in told or "for the stage" in told
    now = who.get(path).json
    assert {k: now[k] for k in ("stage", "status", "probability", "version")} == {k: deal[k] for k in ("stage", "status", "probability", "version")}


def test_what_is_frozen_is_frozen_by_every_door(doors):
    server, manager = doors
    seller = server.user("seller", "crm_sales", "--direction", "cloud", "--manager", "manager")
    deal = walk(seller, new_deal(seller), "contract")
    for door, answer in {
        "patch": seller.patch("opportunities/" + deal["id"], {"amount": 1}),
        "door_update": seller.post(f"opportunities/{deal['id']}/actions/door_update", {"change": {"amount": 1}}),
        "door_assign": seller.post(f"opportunities/{deal['id']}/actions/door_assign", {"change": {"amount": 1}}),
        "comment": seller.post(f"opportunities/{deal['id']}/comments", {"text": 'door: {"amount": 1}'}),
    }.items():
        assert answer.status == 422 and entries(answer.json)[1] == {("/amount", "amount_frozen")}, door


def test_what_is_allowed_passes_every_door(doors):
    _, who = doors
    for door in ("patch", "door_update", "door_assign", "door_system", "hook"):
        deal = new_deal(who)
        ready(who, deal, "qualification")
        path, change = "opportunities/" + deal["id"], {"stage": "qualification"}
        answer = {"patch": lambda: who.patch(path, change), "hook": lambda: who.post(f"{path}/comments", {"text": "door: " + json.dumps(change)})}.get(
            door, lambda: who.post(f"{path}/actions/{door}", {"change": change}))()
        assert answer.status in (200, 201), (door, answer.body)
        now = who.get(path).json
        assert now["stage"] == "qualification" and now["probability"] == MINIMUM["qualification"]
        assert who.get("tasks", filter=f'record = "{deal["id"]}"', count="exact").json["total"] == 4, door


def test_what_a_script_states_is_locked_with_its_place(doors):
    server, _ = doors
    admin = server.user("admin", "crm_admin")
    sales = server.data.parent / "workflows/sales.lua"
    text = sales.read_text()
    line = text[:text.index('stage "proposal" {')].count("\n") + 1
    sales.write_text(text.replace('stage "proposal" {', 'stage "proposal" { probability = 60, label = { en = "Offer", ru = "Предложение" },', 1))
    try:
        assert admin.post("reload").status == 204
        stage = admin.get("stages/proposal").json
        assert (stage["probability"], stage["name"]) == (60, "Offer")
        for change in ({"probability": 1}, {"name": {"en": "X", "ru": "Х"}}):
            refused = admin.patch("stages/proposal", change)
            assert refused.status == 422 and refused.json["errors"][0]["code"] == "locked"
            assert f"workflows/sales.lua, line {line}" in refused.json["errors"][0]["message"]
        assert admin.patch("stages/proposal", {"order": 6, "documents": ["other"]}).status == 200, "what the script does not state stays free"
    finally:
        sales.write_text(text)
        admin.patch("stages/proposal", {"documents": None})
        assert admin.post("reload").status == 204
    assert admin.patch("stages/proposal", {"probability": 55}).status == 200
