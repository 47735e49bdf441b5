"""A deal's way through the stages, as the tests of the sales domain walk it."""
import itertools

ORDER = ["new", "qualification", "discovery", "presentation", "pilot", "proposal", "negotiation", "contract", "payment", "handover"]
MINIMUM = {"new": 0, "qualification": 10, "discovery": 20, "presentation": 30, "pilot": 45, "proposal": 55, "negotiation": 65, "contract": 80,
           "payment": 95, "handover": 100}
DOCUMENTS = {"presentation": "requirements_brief", "pilot": "pilot_plan", "negotiation": "proposal", "payment": "contract"}
counter = itertools.count(1)
WEIGHTS = (2, 4, 10, 3, 5, 9, 4, 6, 8)


def tax_id():
    head = f"{770000000 + next(counter):09d}"
    return head + str(sum(w * int(d) for w, d in zip(WEIGHTS, head)) % 11 % 10)


def new_company(who, **fields):
    n = next(counter)
    body = {"name": f"Client {n}", "legal_name": f"Client {n} LLC", "tax_id": tax_id(), "direction": "cloud", **fields}
    return who.made("companies", **body)


def new_deal(who, **fields):
    if "company" not in fields:
        fields["company"] = new_company(who)["id"]
    return who.made("opportunities", **{"name": f"Deal {next(counter)}", "direction": "cloud", **fields})


def ready(who, deal, stage):
    """Does everything that the stage asks for, but for the move itself."""
    path = "opportunities/" + deal["id"]
    patch = {"probability": MINIMUM[stage]}
    if stage == "qualification":
        patch["contact"] = who.made("contacts", name="Buyer", company=deal["company"], direction="cloud")["id"]
        patch["products"] = ["cloud_server"]
    if stage == "discovery":
        patch.update(amount=1000, close_date="2027-03-01")
    if stage == "presentation":
        patch["presale"] = who.get("me").json["id"]
    if stage == "proposal" and not who.get("lines", filter=f'opportunity = "{deal["id"]}"').json["items"]:
        who.made("lines", opportunity=deal["id"], product="cloud_server", quantity=10, price=100)
    if stage in DOCUMENTS:
        who.made("documents", name=stage, kind=DOCUMENTS[stage], record=deal["id"])
    for task in who.get("tasks", filter=f'record = "{deal["id"]}" and blocking = true and status = "waiting"').json["items"]:
        finish_before(who, deal, task)
    for task in who.get("tasks", filter=f'record = "{deal["id"]}" and blocking = true and status in ("open", "in_progress")').json["items"]:
        assert who.patch("tasks/" + task["id"], {"status": "done"}).status == 200
    answer = who.patch(path, patch)
    assert answer.status == 200, answer.body


def finish_before(who, deal, task):
    """The open tasks of the chain on which a waiting one waits."""
    chain = task["chain_step"].split(".")[0] + "."
    for other in who.get("tasks", filter=f'record = "{deal["id"]}" and status = "open" and blocking = false').json["items"]:
        if (other["chain_step"] or "").startswith(chain):
            assert who.patch("tasks/" + other["id"], {"status": "done"}).status == 200


def move(who, deal, stage, **more):
    return who.post(f"opportunities/{deal['id']}/actions/move", {"stage": stage, **more})


def walk(who, deal, stage):
    """From where it is to `stage`, one honest step at a time."""
    now = who.get("opportunities/" + deal["id"]).json["stage"]
    for step in ORDER[ORDER.index(now) + 1:ORDER.index(stage) + 1]:
        ready(who, deal, step)
        answer = move(who, deal, step)
        assert answer.status == 200, answer.body
    return who.get("opportunities/" + deal["id"]).json


def tasks_of(who, deal):
    items = who.get("tasks", filter=f'record = "{deal["id"]}"', limit=200).json["items"]
    return {t["chain_step"]: t for t in items}
