"""What time does: overdue tasks are escalated, growth is proposed, protections and certificates end. The clock cannot be turned from outside, so
the data are aged while the server rests."""
import sqlite3
import time

import pytest

from conftest import Server
from crm import new_deal, tasks_of, walk

DAY = 86400000


@pytest.fixture(scope="module")
def aged(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("aged"))
    yield server
    server.stop()


def me(who):
    return who.get("me").json["id"]


def run_timers(server, *aging):
    """Stops the server, ages the data, lets every timer be due, and starts again."""
    assert server.stop() == 0
    db = sqlite3.connect(server.data / "perigee.db")
    with db:
        for sql, *values in aging:
            assert db.execute(sql, values).rowcount > 0, sql
        db.execute("UPDATE perigee_timer SET ran_at = ran_at - ?", (2 * DAY,))
    db.close()
    server.start()


def until(condition):
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about")


def test_what_is_overdue_or_over_is_noticed(aged):
    admin = aged.user("admin", "crm_admin")
    manager = aged.user("manager", "crm_manager", "--direction", "cloud")
    seller = aged.user("seller", "crm_sales", "--direction", "cloud", "--manager", "manager")
    deal = new_deal(seller)
    task = tasks_of(seller, deal)["new.contact"]
    won = walk(manager, new_deal(manager), "contract")
    assert manager.post(f"opportunities/{won['id']}/actions/win", {}).status == 200
    holder = admin.made("contacts", name="Holder", direction="cloud")
    certificate = admin.made("certificates", certification="cloud_sales", holder=holder["id"])
    partner = admin.made("partners", name="Partner", direction="cloud")
    registration = admin.made("registrations", partner=partner["id"], direction="cloud", client_name="Client", client_email="a@client.example")
    for action in ("submit", "review", "approve"):
        assert admin.post(f"registrations/{registration['id']}/actions/{action}", {}).status == 200
    until(lambda: sqlite3.connect(aged.data / "perigee.db").execute("SELECT count(*) FROM perigee_timer").fetchone()[0] >= 4)
    run_timers(aged, ("UPDATE task SET due = due - ? WHERE chain_step = 'new.contact' AND status = 'open'", 30 * DAY),
               ("UPDATE opportunity SET adopted_at = adopted_at - ? WHERE status = 'won'", 91 * DAY),
               ("UPDATE certificate SET issued = issued - 800, expires = expires - 800",),
               ("UPDATE registration SET protected_until = protected_until - 200",))
    for who in (admin, manager, seller):
        who.port = aged.port
    until(lambda: seller.get("tasks/" + task["id"]).json["escalated_at"])
    assert seller.get("tasks/" + task["id"]).json["overdue"] is True
    for who in (seller, manager):
        assert [n["record"] for n in who.get("notifications", filter='kind = "overdue"').json["items"]].count(task["id"]) == 1
    until(lambda: admin.get("certificates/" + certificate["id"]).json["state"] == "expired")
    until(lambda: admin.get("registrations/" + registration["id"]).json["state"] == "expired")
    growth = until(lambda: manager.get("tasks", filter=f'record = "{won["company"]}"').json["items"])
    assert growth[0]["assignee"] == me(manager) and "Propose growth" in growth[0]["title"]
    assert until(lambda: manager.get("opportunities/" + won["id"]).json["growth_proposed_at"])
    assert manager.get("companies/" + won["company"]).json["lifecycle_step"] == "growth"
