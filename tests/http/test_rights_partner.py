"""What staff of a partner may not learn of another partner: by reading, counting, sorting, filtering, searching, by errors, or by time."""
import http.client
import json
import re
import statistics
import time

import pytest
from conftest import Client, Server

MARK = "Xanadu"  # stands in whatever belongs to the other partner
GHOST = "05abhrd8hnz0n"  # a good id that nothing has

NEVER = ["margin", "discount_reason", "competitor", "probability", "lost_reason", "description", "forecast", "weighted", "responsible", "presale"]


class Stage:
    """Two partners with a deal each in one direction, and what hangs on them."""

    def __init__(self, server):
        self.server = server
        self.admin = server.user("root", "crm_admin")
        self.partner = {name: self.admin.made("partners", name=name, direction="cloud", level="gold")["id"] for name in ("Alpha", MARK + " partner")}
        self.alpha, self.beta = self.partner.values()
        self.supervisor = server.user("asup", "crm_partner_supervisor", "--partner", self.alpha)
        self.employee = server.user("aemp", "crm_partner", "--partner", self.alpha)
        self.rival = server.user("bsup", "crm_partner_supervisor", "--partner", self.beta)
        self.mine = self.deal(self.alpha, "Alpha deal")
        self.theirs = self.deal(self.beta, MARK + " deal")
        self.registration = self.employee.made("registrations", client_name="Alpha client", direction="cloud", client_tax_id="7707083893")

    def deal(self, partner, name):
        admin = self.admin
        company = admin.made("companies", name=name + " company", direction="cloud", partner=partner, description=MARK)
        contact = admin.made("contacts", name=name + " person", company=company["id"], direction="cloud", partner=partner)
        deal = admin.made("opportunities", name=name, company=company["id"], contact=contact["id"], partner=partner, direction="cloud", amount=1000,
                          competitor=MARK, discount_reason=MARK, description=MARK, probability=35)
        admin.post(f"opportunities/{deal['id']}/comments", {"text": MARK + " internal"})
        admin.made("documents", name=name + " paper", kind="contract", record=deal["id"])
        admin.made("tasks", title=MARK + " task", record=deal["id"])
        admin.made("activities", kind="note", subject=MARK, text=MARK, record=deal["id"])
        admin.made("lines", opportunity=deal["id"], product="platform", quantity=1, price=1000, discount=7)
        return deal

    def more_of_theirs(self):
        for i in range(3):
            self.deal(self.beta, f"{MARK} deal {i}")
        self.rival.made("registrations", client_name=MARK + " client", direction="cloud", client_tax_id="7736050003")
        self.admin.made("users", login="xanadu.new", name=MARK + " colleague", roles=["crm_partner"], partner=self.beta)
        self.admin.patch("opportunities/" + self.theirs["id"], {"name": MARK + " renamed", "amount": 7})
        self.admin.patch("partners/" + self.beta, {"level": "silver", "name": MARK + " renamed"})


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("partners"))
    yield Stage(server)
    assert server.stop() == 0


def probes(stage, client):
    """Everything that one can ask: path and headers."""
    collections = [e["collection"] for e in stage.admin.get("schema").json["entities"].values()]
    for c in collections:
        for query in ("", "?count=exact&filter=active%20in%20(true,false)", "?sort=-created_at", "?sort=-updated_at,id&limit=1", "?q=xanadu", "?q=deal", "?q=al",
                      "?filter=id%20!%3D%20null&count=exact", "/aggregate?count=1", "/aggregate?group_by=created_at:day&count=1", "/aggregate?group_by=created_by&min=created_at",
                      "/board?group_by=active"):
            yield c + query, {}
        yield c, {"Accept": "text/csv"}
        yield c, {"Accept": "application/x-ndjson"}
    for field in ("amount", "name", "stage", "partner", "company", "close_date", "status"):
        for query in (f"?sort={field}&count=exact", f"?sort=-{field}", f"?filter={field}%20is%20not%20null&count=exact", f"?expand={field}", f"/aggregate?group_by={field}&count=1",
                      f"/board?group_by={field}&sum=amount", f"/aggregate?sum=amount&max={field}&min={field}"):
            yield "opportunities" + query, {}
    for path in ("partner.name", "company.name", "contact.name", "partner.level", "company.partner.name", "registration.client_name", "created_by.name"):
        yield f"opportunities?count=exact&filter={path}%20contains%20%22{MARK}%22", {}
        yield f"opportunities?count=exact&filter=not%20({path}%20contains%20%22{MARK}%22)", {}
    yield f"opportunities?count=exact&filter=partner%20%3D%20%22{stage.beta}%22", {}
    yield f"opportunities?count=exact&filter=partner%20!%3D%20%22{stage.beta}%22", {}
    for at in (f"opportunities/{stage.mine['id']}", f"registrations/{stage.registration['id']}", f"partners/{stage.alpha}"):
        for tail in ("", "/timeline", "/actions", "?expand=company,partner,created_by,updated_by"):
            yield at + tail, {}
    for path in ("me", "schema", "openapi.json"):
        yield path, {}


def snapshot(stage, client):
    seen = {}
    for path, headers in probes(stage, client):
        answer = client.raw("GET", "/api/v1/" + path, None, headers)
        seen[path, str(headers)] = (answer.status, re.sub(rb'"request_id":"[^"]*"', b"", answer.body))
    return seen


def test_whatever_happens_at_another_partner_changes_no_answer(stage):
    """Non-interference: the same questions before and after the other partner's work get the same bytes."""
    before = {client: snapshot(stage, client) for client in (stage.supervisor, stage.employee)}
    stage.more_of_theirs()
    for client, answers in before.items():
        after = snapshot(stage, client)
        assert len(after) > 400
        for probe, answer in answers.items():
            assert after[probe] == answer, probe
            assert MARK.encode() not in answer[1] or MARK in probe[0], (probe, answer[1][:600])


def same(a, b, *ids):
    """Two refusals that differ in nothing but the id that was asked for."""
    strip = lambda answer: re.sub("|".join(ids), "ID", re.sub(r'"request_id":"[^"]*"', "", answer.body.decode()))
    return a.status == b.status and strip(a) == strip(b) and a.headers.get("ETag") == b.headers.get("ETag") is None


def test_what_belongs_to_another_partner_looks_like_what_is_not_there(stage):
    theirs = stage.theirs
    hidden = {"opportunities": theirs["id"], "companies": theirs["company"], "contacts": theirs["contact"], "partners": stage.beta,
              "users": stage.server.users["bsup"], "lines": stage.admin.get("lines", filter=f'opportunity = "{theirs["id"]}"').json["items"][0]["id"]}
    for client in (stage.supervisor, stage.employee):
        for collection, id in hidden.items():
            for method, tail, body, headers in (
                    ("GET", "", None, {}), ("GET", "/timeline", None, {}), ("GET", "/actions", None, {}), ("PATCH", "", {"name": "x"}, {}), ("DELETE", "", None, {}),
                    ("PATCH", "", {"name": "x"}, {"If-Match": '"1"'}), ("PATCH", "", {"nonsense": 1}, {}), ("PATCH", "", {"name": 5}, {}),
                    ("DELETE", "", None, {"If-Match": '"99"'}), ("POST", "/comments", {"text": "x"}, {}), ("POST", "/actions/move", {"stage": "won"}, {}),
                    ("POST", "/actions/lose", {}, {}), ("POST", "/actions/nonsense", {}, {}), ("POST", "/password", {"password": "x" * 12}, {}),
                    ("GET", "?expand=partner", None, {}), ("GET", "?fields=name", None, {}), ("GET", "?fields=margin", None, {}), ("HEAD", "", None, {}),
                    ("GET", "", None, {"If-None-Match": '"1"'})):
                real = client.raw(method, f"/api/v1/{collection}/{id}{tail}", body, headers)
                ghost = client.raw(method, f"/api/v1/{collection}/{GHOST}{tail}", body, headers)
                assert same(real, ghost, id, GHOST), (collection, method, tail, real.status, real.body, ghost.status, ghost.body)
                assert real.status in (400, 404, 405), (collection, method, tail, real.status, real.body)


def test_references_to_what_one_may_not_read_are_refused_like_those_to_nothing(stage):
    client = stage.supervisor
    for collection, field, id, body in (
            ("registrations", "partner", stage.beta, {"client_name": "x", "direction": "cloud"}), ("users", "partner", stage.beta, {"login": "new.one", "name": "x"}),
            ("users", "deputy", stage.server.users["bsup"], {"login": "new.one", "name": "x", "partner": stage.alpha}),
            ("comments", "record", stage.theirs["id"], {"text": "x", "internal": False}), ("documents", "record", stage.theirs["id"], {"name": "x", "kind": "contract"})):
        real, ghost = (client.raw("POST", "/api/v1/" + collection, {**body, field: value}) for value in (id, GHOST))
        assert same(real, ghost, id, GHOST) and real.status in (403, 422), (collection, real.body, ghost.body)
    for collection, record, field, id in (("partners", stage.alpha, "supervisor", stage.server.users["bsup"]), ("users", stage.server.users["aemp"], "partner", stage.beta)):
        real, ghost = (client.raw("PATCH", f"/api/v1/{collection}/{record}", {field: value}) for value in (id, GHOST))
        assert same(real, ghost, id, GHOST) and real.status in (403, 422), (collection, real.body, ghost.body)


def test_a_batch_and_a_dry_run_tell_no_more(stage):
    for id in (stage.theirs["id"], GHOST):
        operations = [{"method": m, "path": f"/api/v1/opportunities/{id}" + t, "body": b} for m, t, b in
                      (("GET", "", None), ("PATCH", "?dry_run=true", {"name": "x"}), ("DELETE", "?dry_run=true", None), ("GET", "/timeline", None),
                       ("POST", "/comments?dry_run=true", {"text": "x"}))]
        results = stage.employee.post("batch", {"operations": operations}).json["results"]
        assert [r["status"] for r in results] == [404] * 5


def test_nothing_internal_of_ones_own_deal_is_shown(stage):
    at = "opportunities/" + stage.mine["id"]
    deal = stage.supervisor.get(at).json
    assert deal["name"] == "Alpha deal" and deal["stage"] == "new" and not set(deal) & set(NEVER)
    everything = json.dumps([stage.supervisor.get(path).json for path in
                             (at, at + "/timeline", at + "/actions", "opportunities", "comments", "documents", "activities", "lines", "companies", "contacts", "schema")])
    assert MARK not in everything and "Root" not in everything
    line = stage.supervisor.get("lines").json["items"][0]
    assert not {"cost", "discount"} & set(line)
    for collection in ("tasks", "leads", "campaigns", "chains", "stages", "portals", "notifications/x", "certificates"):
        assert stage.supervisor.get(collection).status in (200, 403, 404)
    assert stage.supervisor.get("tasks").status == 403
    schema = stage.supervisor.get("schema").json["entities"]
    assert not set(schema["opportunity"]["fields"]) & set(NEVER) and "task" not in schema and "lead" not in schema


def test_hidden_fields_cannot_be_asked_about(stage):
    for field in NEVER:
        for query in ({"filter": f"{field} is not null"}, {"filter": f"not ({field} is null)"}, {"sort": field}, {"sort": "name,-" + field}, {"fields": "name," + field},
                      {"expand": field}):
            answer = stage.supervisor.get("opportunities", **query)
            ghost = stage.supervisor.get("opportunities", **{k: v.replace(field, "no_such_one") for k, v in query.items()})
            assert answer.status == 400 and answer.json["errors"][0]["code"] == ghost.json["errors"][0]["code"], (field, answer.body)
            assert not answer.json["errors"][0].get("suggestion") in NEVER
        for query in ({"group_by": field}, {"sum": field}, {"avg": field}, {"min": field}, {"group_by": field + ":month"}, {"group_by": "stage", "max": field}):
            assert stage.supervisor.get("opportunities/aggregate", **query).status == 400, (field, query)
        for query in ({"group_by": field}, {"group_by": "stage", "sum": field}):
            assert stage.supervisor.get("opportunities/board", **query).status == 400, (field, query)
    for path in ("responsible.name", "company.responsible.name", "partner.responsible.name", "company.description", "contact.description", "created_by.roles",
                 "partner.description", "registration.conflicts", "lost_reason.code"):
        assert stage.supervisor.get("opportunities", filter=f'{path} contains "a"').status == 400, path


def test_what_only_the_vendor_did_to_ones_deal_leaves_no_trace(stage):
    at = "opportunities/" + stage.mine["id"]
    before = stage.supervisor.get(at + "/timeline").json
    stage.admin.patch(at, {"probability": 77, "competitor": MARK + " again"})
    stage.admin.post(at + "/comments", {"text": MARK + " internal again"})
    stage.admin.made("tasks", title=MARK, record=stage.mine["id"])
    assert stage.supervisor.get(at + "/timeline").json == before
    stage.admin.patch(at, {"amount": 1001})
    now = stage.supervisor.get(at + "/timeline").json["items"]
    assert len(now) == len(before["items"]) + 1 and [c["field"] for c in now[0]["changes"]] == ["amount"]
    assert now[0]["by"]["name"] is None  # an employee of the vendor, whom partner staff cannot read


def test_the_stream_of_events_tells_of_ones_own_alone(stage):
    connection = http.client.HTTPConnection("127.0.0.1", stage.server.port, timeout=20)
    connection.request("GET", "/api/v1/events", headers={"Authorization": "Bearer " + stage.supervisor.token})
    stream = connection.getresponse()
    assert stream.status == 200 and stream.readline().startswith(b":")
    stage.admin.patch("opportunities/" + stage.theirs["id"], {"name": MARK + " once more"})
    stage.admin.patch("opportunities/" + stage.mine["id"], {"probability": 50, "competitor": "x"})
    stage.admin.post(f"opportunities/{stage.mine['id']}/comments", {"text": MARK})
    stage.admin.patch("opportunities/" + stage.mine["id"], {"amount": 2000})
    event = b""
    while b"data:" not in event:
        event = stream.readline()
        assert event
    data = json.loads(event[5:])
    assert data["id"] == stage.mine["id"] and data["changed"] == ["amount"], data
    connection.close()


def test_a_client_that_another_partner_registered_is_refused_neither_in_words_nor_in_time(stage):
    """The duplicate check tells the partner nothing: same answer, same time."""
    stage.rival.made("registrations", client_name=MARK + " works", direction="cloud", client_tax_id="7728168971", client_email="a@xanadu.example")
    clash = {"client_name": MARK + " works", "client_tax_id": "7728168971", "client_email": "b@xanadu.example"}
    fresh = {"client_name": "Untold works", "client_tax_id": "7702070139", "client_email": "b@untold.example"}
    times = {"clash": [], "fresh": []}
    shapes = {}
    for _ in range(40):
        for name, body in (("clash", clash), ("fresh", fresh)):
            started = time.monotonic()
            answer = stage.employee.post("registrations", {"direction": "cloud", **body}, dry_run="true")
            times[name].append(time.monotonic() - started)
            assert answer.status == 201, answer.body
            shapes[name] = {k: v for k, v in answer.json.items() if k not in body and k not in ("id", "number", "created_at", "updated_at")}
    assert shapes["clash"] == shapes["fresh"]
    assert MARK not in json.dumps(shapes)
    assert statistics.median(times["clash"]) < 3 * statistics.median(times["fresh"]) + 0.005


def test_published_goods_are_those_of_the_level(stage):
    for code, level, published in (("g1", "silver", True), ("g2", "platinum", True), ("g3", "registered", False)):
        stage.admin.made("products", code=code, name=code, partner_level=level, published=published)
        stage.admin.made("contents", title=code, partner_level=level, published=published)
        stage.admin.made("prices", product=code, currency="RUB", price=5)
    for client in (stage.supervisor, stage.employee):
        codes = {p["code"] for p in client.get("products", limit=500).json["items"]}
        assert "g1" in codes and not {"g2", "g3"} & codes
        assert {c["title"] for c in client.get("contents").json["items"]} == {"g1"}
        assert {p["product"] for p in client.get("prices").json["items"]} & {"g1", "g2", "g3"} == {"g1"}
    stage.admin.patch("partners/" + stage.alpha, {"level": "platinum"})
    assert "g2" in {p["code"] for p in stage.employee.get("products", limit=500).json["items"]}  # at once
    stage.admin.patch("partners/" + stage.alpha, {"level": "gold"})


def test_an_employee_sees_colleagues_deals_where_the_portal_says_so(stage):
    at = "opportunities/" + stage.mine["id"]
    assert stage.employee.get(at).status == 404 and stage.supervisor.get(at).status == 200
    portal = stage.admin.get("portals", filter='direction = "cloud"').json["items"]
    if not portal:
        portal = [stage.admin.made("portals", code="cloud", path="cloud", name="Cloud", direction="cloud")]
    if stage.admin.get("directions/cloud").json["portal"] != portal[0]["code"]:
        pytest.fail("the portal of a direction is not known to it")
    stage.admin.patch("portals/" + portal[0]["id"], {"colleagues": True})
    assert stage.employee.get(at).status == 200
    stage.admin.patch("portals/" + portal[0]["id"], {"colleagues": False})
    assert stage.employee.get(at).status == 404
