"""The calendar of a person: a secret address that opens the feed and nothing else."""
from crm import counter, new_deal

ZERO = "2031-05-06T07:08:00Z"


def open_feed(client, path):
    client = type(client)(client.port)
    return client.raw("GET", path)


def unfolded(body):
    text = body.decode()
    assert text.endswith("END:VCALENDAR\r\n") and "\n" not in text.replace("\r\n", "")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    return text.replace("\r\n ", "").split("\r\n")


def test_open_tasks_and_activities_are_in_the_feed(server, manager):
    n = next(counter)
    who = server.user(f"calendar{n}", "crm_sales", "--direction", "cloud")
    me, deal = who.get("me").json["id"], new_deal(manager)
    task = manager.made("tasks", title="Позвонить, уточнить; бюджет \\ сроки " * 4, record=deal["id"], assignee=me, due=ZERO, description="one\ntwo")
    done = manager.made("tasks", title="Done", record=deal["id"], assignee=me, due=ZERO)
    manager.patch("tasks/" + done["id"], {"status": "done"})
    manager.made("activities", kind="meeting", subject="Встреча", record=deal["id"], when="2031-05-07T10:00:00Z", duration=45, colleagues=[me])
    path = who.post("me/calendar").json["path"]
    answer = open_feed(who, path)
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/calendar")
    lines = unfolded(answer.body)
    assert f"UID:{task['id']}@perigee" in lines and "DTSTART:20310506T070800Z" in lines and "DTEND:20310506T072300Z" in lines
    assert "SUMMARY:" + ("Позвонить\\, уточнить\\; бюджет \\\\ сроки " * 4).rstrip() in [line.rstrip() for line in lines]
    assert "DESCRIPTION:one\\ntwo" in lines
    assert "SUMMARY:Встреча" in lines and "DTEND:20310507T104500Z" in lines
    assert f"UID:{done['id']}@perigee" not in lines and lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT") == 2


def test_the_address_opens_nothing_else_and_ends_with_the_next_one(server):
    who = server.user(f"calendar{next(counter)}", "crm_sales", "--direction", "cloud")
    path = who.post("me/calendar").json["path"]
    key = path.split("key=")[1]
    thief = type(who)(who.port, key)
    assert thief.raw("GET", "/api/v1/me").status == 401
    assert thief.raw("POST", "/api/v1/me/calendar", {}).status == 401
    assert open_feed(who, "/api/v1/calendar.ics?key=" + who.token).status == 401
    assert open_feed(who, "/api/v1/calendar.ics").status == 401
    second = who.post("me/calendar").json["path"]
    assert open_feed(who, path).status == 401 and open_feed(who, second).status == 200
    assert who.delete("me/calendar").status == 204
    assert open_feed(who, second).status == 401


def test_the_secret_is_not_in_the_log(server):
    who = server.user(f"calendar{next(counter)}", "crm_sales", "--direction", "cloud")
    path = who.post("me/calendar").json["path"]
    assert open_feed(who, path).status == 200
    assert path.split("key=")[1] not in (server.data.parent / "serve.log").read_text()
