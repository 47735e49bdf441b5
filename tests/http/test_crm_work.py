"""Tasks, chains, comments, notifications, saved views, and settings that work at once (domain.md §2, design §6)."""
import datetime

import pytest

from crm import counter, move, new_company, new_deal, ready, tasks_of, walk


def me(who):
    return who.get("me").json["id"]


def codes(answer):
    return {(e["pointer"], e["code"]) for e in answer.json["errors"]}


def day(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).date()


def working_days_after(start, n, off=()):
    while n:
        start += datetime.timedelta(1)
        if start.weekday() < 5 and start not in off:
            n -= 1
    return start


TABLE = {  # domain.md §2: task → (days, after)
    "new": {"contact": (1, None), "card": (2, None)},
    "qualification": {"need": (3, None), "conflict": (3, None)},
    "discovery": {"interview": (5, None), "brief": (5, "interview")},
    "presentation": {"prepare": (5, None), "hold": (3, "prepare"), "letter": (1, "hold")},
    "pilot": {"criteria": (3, None), "run": (20, "criteria"), "report": (3, "run")},
    "proposal": {"calculate": (2, None), "approve": (2, "calculate"), "send": (1, "approve")},
    "negotiation": {"call": (3, None), "objections": (10, "call")},
    "contract": {"draft": (3, None), "legal": (5, "draft"), "signature": (10, "legal")},
    "payment": {"invoice": (1, None), "control": (10, "invoice"), "delivery": (5, "control")},
    "handover": {"meeting": (5, None), "feedback": (30, "meeting"), "growth": (60, "feedback")},
}


def test_the_chains_are_those_of_the_domain(manager):
    steps = {s["code"]: s for s in manager.get("chain_steps", limit=200).json["items"]}
    for chain, tasks in TABLE.items():
        for task, (days, after) in tasks.items():
            step = steps[f"{chain}.{task}"]
            assert step["due"].split()[0] == f"{days}d" and (step["after"] or []) == ([f"{chain}.{after}"] if after else []), step
    assert {code for code, s in steps.items() if s["blocking"] and code.split(".")[0] in TABLE} == {"proposal.approve", "contract.legal"}


def test_due_dates_count_working_days(server, admin):
    admin.patch("users/" + me(admin), {"time_zone": "UTC"})
    today = datetime.datetime.now(datetime.timezone.utc).date()
    known = {datetime.date.fromisoformat(h["date"]) for h in admin.get("holidays", limit=200).json["items"] if not h["working"]}
    off = working_days_after(today, 1, known)
    holiday = admin.made("holidays", date=str(off), name="Day off")
    try:
        tasks = tasks_of(admin, new_deal(admin))
        assert day(tasks["new.contact"]["due"]) == working_days_after(today, 1, known | {off})
        assert day(tasks["new.card"]["due"]) == working_days_after(today, 2, known | {off})
    finally:
        assert admin.delete("holidays/" + holiday["id"]).status == 204


def test_finishing_a_task_opens_those_that_wait_for_it(manager):
    deal = walk(manager, new_deal(manager), "discovery")
    tasks = tasks_of(manager, deal)
    waiting = tasks["discovery.brief"]
    assert waiting["status"] == "waiting" and waiting["due"] is None
    assert manager.patch("tasks/" + waiting["id"], {"status": "done"}).status == 422
    assert manager.patch("tasks/" + waiting["id"], {"status": "open"}).status == 422
    done = manager.patch("tasks/" + tasks["discovery.interview"]["id"], {"status": "done", "result": "Met"})
    assert done.json["done_at"]
    after = tasks_of(manager, deal)["discovery.brief"]
    assert after["status"] == "open" and after["due"]


def test_a_blocking_task_gates_the_next_stage(manager, seller):
    deal = walk(seller, new_deal(seller), "contract")
    seller.patch("opportunities/" + deal["id"], {"probability": 95})
    seller.made("documents", record=deal["id"], kind="contract", name="Contract")
    assert codes(move(seller, deal, "payment")) == {("/tasks", "blocking_task")}
    tasks = tasks_of(seller, deal)
    for step in ("contract.draft", "contract.legal"):
        assert seller.patch("tasks/" + tasks[step]["id"], {"status": "done"}).status == 200
    assert move(seller, deal, "payment").status == 200


def test_presale_gets_the_tasks_of_the_demo(server, manager):
    presale = server.user("chain_presale", "crm_presale", "--direction", "cloud")
    deal = walk(manager, new_deal(manager), "discovery")
    ready(manager, deal, "presentation")
    manager.patch("opportunities/" + deal["id"], {"presale": me(presale)})
    assert move(manager, deal, "presentation").status == 200
    assert tasks_of(manager, deal)["presentation.prepare"]["assignee"] == me(presale)


def test_an_absent_assignees_tasks_go_to_the_deputy(server, admin, manager):
    deputy = server.user("chain_deputy", "crm_sales", "--direction", "cloud")
    away = server.user("chain_away", "crm_sales", "--direction", "cloud")
    admin.patch("users/" + me(away), {"absent_from": "2020-01-01", "absent_to": "2099-01-01", "deputy": me(deputy)})
    assert tasks_of(manager, new_deal(manager, responsible=me(away)))["new.contact"]["assignee"] == me(deputy)


# ---- settings that work at once ----

def test_a_stage_made_at_run_time_gates_and_starts_its_chain_at_once(admin, manager):
    n = next(counter)
    chain = admin.made("chains", code=f"audit{n}", name={"en": "Audit", "ru": "Аудит"})
    for order, (code, more) in enumerate({"look": {"blocking": True}, "tell": {"after": ["look"]}}.items(), 1):
        admin.made("chain_steps", code=f"audit{n}.{code}", chain=chain["code"], title=code, order=order, due="1d",
                   assignee={"role": "crm_manager", "pick": "round_robin"}, **more)
    for later in admin.get("stages", filter='pipeline = "sales" and order > 1').json["items"]:
        admin.patch("stages/" + later["id"], {"order": later["order"] + 1})
    stage = admin.made("stages", code=f"audit{n}", name={"en": "Audit", "ru": "Аудит"}, order=2, probability=5, lifecycle_step="awareness",
                       require=["description", "company.site"], documents=["act"], chain=chain["code"])
    try:
        deal = new_deal(manager)
        assert codes(move(manager, deal, "qualification")) >= {("/stage", "skipped")}
        assert codes(move(manager, deal, stage["code"])) == {("/description", "required"), ("/company.site", "required"), ("/documents", "document_required"),
                                                            ("/probability", "too_low")}
        manager.patch("opportunities/" + deal["id"], {"description": "x", "probability": 5})
        manager.patch("companies/" + deal["company"], {"site": "https://client.example"})
        manager.made("documents", record=deal["id"], kind="act", name="Act")
        assert move(manager, deal, stage["code"]).status == 200
        tasks = tasks_of(manager, deal)
        assert tasks[f"audit{n}.look"]["status"] == "open" and tasks[f"audit{n}.tell"]["status"] == "waiting"
        ready(manager, deal, "qualification")
        assert move(manager, deal, "qualification").status == 200
        column = [c for c in manager.get("opportunities/board", group_by="stage").json["columns"] if c["key"] == stage["code"]]
        assert column and column[0]["label"]
    finally:
        assert admin.patch("stages/" + stage["id"], {"active": False}).status == 200
        for later in admin.get("stages", filter='pipeline = "sales" and order > 2').json["items"]:
            admin.patch("stages/" + later["id"], {"order": later["order"] - 1})
    assert manager.post("opportunities", {"name": "x", "company": deal["company"], "stage": stage["code"]}).status == 422


def test_a_chain_that_names_its_stage_starts_there_at_once(admin, manager):
    n = next(counter)
    chain = admin.made("chains", code=f"extra{n}", name="Extra", stage="qualification")
    step = admin.made("chain_steps", code=f"extra{n}.call", chain=chain["code"], title={"en": "Call", "ru": "Звонок"}, order=1, due="2h", only_if="amount > 100")
    try:
        small, large = (new_deal(manager, amount=amount) for amount in (50, 500))
        for deal in (small, large):
            walk(manager, deal, "qualification")
        assert f"extra{n}.call" not in tasks_of(manager, small)
        assert tasks_of(manager, large)[f"extra{n}.call"]["status"] == "open"
    finally:
        admin.patch("chains/" + chain["id"], {"active": False})
    assert f"extra{n}.call" not in tasks_of(manager, walk(manager, new_deal(manager, amount=500), "qualification"))
    assert step["id"]


def test_a_requirement_added_in_settings_holds_for_the_next_move(admin, manager):
    stage = admin.get("stages", filter='code = "qualification"').json["items"][0]
    deal = new_deal(manager)
    ready(manager, deal, "qualification")
    admin.patch("stages/" + stage["id"], {"require": stage["require"] + ["description"]})
    try:
        assert codes(move(manager, deal, "qualification")) == {("/description", "required")}
    finally:
        admin.patch("stages/" + stage["id"], {"require": stage["require"]})
    assert move(manager, deal, "qualification").status == 200


def test_a_setting_without_a_code_gets_one_of_its_name(admin, manager):
    n = next(counter)
    chain = admin.made("chains", name={"en": f"Site visit {n}", "ru": "Выезд"}, stage="qualification")
    assert chain["code"] == f"site_visit_{n}"
    step = admin.made("chain_steps", chain=chain["code"], title={"en": "Go there", "ru": "Выехать"}, order=1, due="1d")
    assert step["code"] == f"site_visit_{n}.go_there"
    russian = [admin.made("industries", name="Горное дело — щебень")["code"] for _ in range(2)]
    assert russian == ["gornoe_delo_scheben", "gornoe_delo_scheben_2"]
    try:
        assert step["code"] in tasks_of(manager, walk(manager, new_deal(manager), "qualification"))
    finally:
        admin.patch("chains/" + chain["id"], {"active": False})
    refused = admin.post("stages", {"order": 3})
    assert codes(refused) >= {("/name", "required")}


# ---- comments, followers, notifications ----

def notes(who, **filters):
    return who.get("notifications", sort="-created_at", **filters).json["items"]


@pytest.fixture()
def quiet(server):
    """A colleague in another direction who hears of nothing else."""
    n = next(counter)
    return server.user(f"quiet{n}", "crm_sales", "--direction", "cloud"), f"quiet{n}"


def test_a_mention_notifies_those_who_may_see_the_record(server, seller, quiet, other):
    colleague, login = quiet
    deal = new_deal(seller)
    made = seller.post(f"opportunities/{deal['id']}/comments", {"text": f"@{login}, @other and @nobody: look"})
    assert made.status == 201
    comment = seller.get("comments", filter=f'record = "{deal["id"]}"').json["items"][0]
    assert comment["mentions"] == [me(colleague)]
    note = notes(colleague)[0]
    assert note["kind"] == "mentioned" and note["record"] == deal["id"] and note["read"] is False and note["by"] == me(seller)
    assert not [n for n in notes(other) if n["record"] == deal["id"]]


def test_partner_staff_write_for_both_sides_and_hear_nothing_internal(server, admin, manager):
    partner = admin.made("partners", name="Commenting partner", direction="cloud")
    staff = server.user("commenter", "crm_partner_supervisor", "--direction", "cloud")
    assert admin.patch("users/" + me(staff), {"partner": partner["id"]}).status == 200
    draft = staff.made("registrations", client_name="Client", client_email="a@b.example", direction="cloud")
    made = staff.post("comments", {"record": draft["id"], "text": "Please hurry", "internal": True})
    assert made.status == 201 and made.json["internal"] is False, made.body
    assert manager.post(f"registrations/{draft['id']}/comments", {"text": "@commenter is slow"}).status == 201
    assert manager.post("comments", {"record": draft["id"], "text": "@commenter, on Friday", "internal": False}).status == 201
    assert ["on Friday" in n["text"] for n in notes(staff)] == [True]
    assert sorted(c["text"] for c in staff.get("comments", filter=f'record = "{draft["id"]}"').json["items"]) == ["@commenter, on Friday", "Please hurry"]


def test_followers_hear_of_comments_and_moves(manager, seller, quiet):
    colleague, _ = quiet
    deal = new_deal(seller)
    assert colleague.post(f"opportunities/{deal['id']}/actions/follow", {}).status == 200
    seller.post(f"opportunities/{deal['id']}/comments", {"text": "News"})
    walk(seller, deal, "qualification")
    assert [n["kind"] for n in notes(colleague)][:2] == ["stage_moved", "commented"]
    assert colleague.post(f"opportunities/{deal['id']}/actions/unfollow", {}).status == 200
    seller.post(f"opportunities/{deal['id']}/comments", {"text": "More"})
    assert len(notes(colleague)) == 2


def test_notifications_are_in_the_readers_language_and_can_be_read(seller, manager, quiet):
    colleague, _ = quiet
    deal = new_deal(manager)
    manager.patch("opportunities/" + deal["id"], {"responsible": me(colleague)})
    note = notes(colleague)[0]
    assert note["kind"] == "assigned" and "Deal for you" in note["text"]
    colleague.language = "ru"
    assert "Вам назначена сделка" in notes(colleague)[0]["text"]
    assert colleague.patch("notifications/" + note["id"], {"read": True}).json["read"] is True
    assert colleague.patch("notifications/" + note["id"], {"text": "Other"}).status == 403
    assert manager.get("notifications/" + note["id"]).status == 404


def test_what_is_switched_off_is_not_told(manager, quiet):
    colleague, _ = quiet
    assert colleague.patch("users/" + me(colleague), {"muted": ["assigned"]}).status == 200
    deal = new_deal(manager)
    manager.patch("opportunities/" + deal["id"], {"responsible": me(colleague)})
    manager.made("tasks", title="For you", record=deal["id"], assignee=me(colleague))
    assert notes(colleague) == []


def test_a_task_is_told_to_its_assignee_and_an_approval_to_the_manager(manager, seller, quiet):
    colleague, _ = quiet
    deal = new_deal(manager, responsible=me(colleague))
    manager.made("tasks", title="For you", record=deal["id"], assignee=me(colleague))
    assert notes(colleague)[0]["kind"] == "assigned" and "For you" in notes(colleague)[0]["text"]


# ---- saved views ----

def test_a_view_is_private_until_it_is_shared(manager, seller, quiet, admin):
    colleague, _ = quiet
    view = seller.made("views", name="My deals", entity="opportunity", filter="responsible = @me", columns=["name"], is_default=True, pinned=True)
    assert colleague.get("views/" + view["id"]).status == 404
    shared = admin.made("views", name="All sellers", entity="opportunity", shared_roles=["crm_sales"])
    assert colleague.get("views/" + shared["id"]).json["name"] == "All sellers"
    assert colleague.patch("views/" + shared["id"], {"name": "Mine"}).status == 403
    assert seller.delete("views/" + view["id"]).status == 204


def test_there_is_one_default_view_for_each_kind_of_record(seller):
    one = seller.made("views", name="One", entity="company", is_default=True)
    two = seller.made("views", name="Two", entity="company", is_default=True)
    assert seller.get("views/" + one["id"]).json["is_default"] is False and two["is_default"]


def test_a_view_of_something_unknown_or_with_a_wrong_filter_is_refused(seller):
    assert codes(seller.post("views", {"name": "X", "entity": "opportunty"})) == {("/entity", "no_such_entity")}
    assert codes(seller.post("views", {"name": "X", "entity": "opportunity", "filter": "amout > 1"})) == {("/filter", "bad_filter")}


# ---- activities ----

def test_an_activity_on_a_deal_keeps_it_fresh(seller):
    deal = new_deal(seller)
    made = seller.made("activities", kind="meeting", record=deal["id"], duration=30, colleagues=[me(seller)], text="Met the client")
    assert made["when"] and made["subject"] is None
    assert seller.get("opportunities/" + deal["id"]).json["touched_at"] >= deal["touched_at"]
    assert seller.post("activities", {"kind": "party"}).status == 422


# ---- groups ----

def test_both_sides_of_a_membership_agree(admin, seller):
    n = next(counter)
    group = admin.made("groups", name=f"Team {n}", direction="software", members=[me(seller)])
    assert group["id"] in admin.get("users/" + me(seller)).json["groups"]
    assert "software" in seller.get("me").json["directions"]
    assert admin.patch("users/" + me(seller), {"groups": []}).status == 200
    assert admin.get("groups/" + group["id"]).json["members"] == []
    assert admin.patch("groups/" + group["id"], {"members": [me(seller)]}).status == 200
    assert admin.get("users/" + me(seller)).json["groups"] == [group["id"]]
    assert admin.patch("groups/" + group["id"], {"members": []}).status == 200
    assert admin.get("users/" + me(seller)).json["groups"] == []


def test_nobody_reports_to_themselves(admin, manager, seller):
    assert codes(admin.patch("users/" + me(manager), {"manager": me(seller)})) == {("/manager", "circular")}


def test_dates_stand_in_order(admin, manager):
    assert codes(admin.post("partners", {"name": "P", "agreement_from": "2026-02-01", "agreement_to": "2026-01-01"})) == {("/agreement_to", "dates_out_of_order")}
    assert codes(admin.post("campaigns", {"name": "C", "start_date": "2026-02-01", "end_date": "2026-01-01"})) == {("/end_date", "dates_out_of_order")}
    contact = admin.made("contacts", name="Holder", direction="cloud")["id"]
    assert codes(admin.post("certificates", {"certification": "cloud_sales", "holder": contact, "issued": "2026-02-01", "expires": "2026-01-01"})) == {
        ("/expires", "dates_out_of_order")}


def test_a_contact_may_have_several_addresses(admin):
    made = admin.made("contacts", name="Two", emails=["a@one.example", "b@two.example"], phones=["8 (495) 111-22-33"], direction="cloud")
    assert made["email"] == "a@one.example" and made["phone"] == "+74951112233"
    assert codes(admin.post("contacts", {"name": "Bad", "emails": ["nobody"]})) == {("/emails", "bad_email")}
    assert new_company(admin)["id"]
