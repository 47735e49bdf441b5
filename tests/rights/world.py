"""A small company in a server: users of every role, two directions, three partners, and records in every relation to them."""
import http.client
import json
import sqlite3
import urllib.parse
from datetime import date, timedelta

from http_server import perigee


class Person:
    """A user over one kept connection. `roles` are columns of the matrix."""

    def __init__(self, world, login, roles, **fields):
        self.world, self.login, self.roles, self.fields = world, login, roles, fields
        self.id = self.token = None
        self.connection = None

    def call(self, method, path, body=None, headers=None, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = {"Authorization": "Bearer " + self.token, "Accept": "application/json", **(headers or {})}
        if body is not None:
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=60)
            try:
                self.connection.request(method, "/api/v1/" + path, body, headers)
                response = self.connection.getresponse()
                data = response.read()
                break
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.connection = None
                if attempt == 2:
                    raise
        return response.status, json.loads(data) if data and "json" in response.headers.get("Content-Type", "") and "ndjson" not in response.headers[
            "Content-Type"] else data

    def __repr__(self):
        return self.login


ROLE = {"account": "crm_pam"}


class World:
    def __init__(self, server):
        self.server, self.port = server, server.port
        self.people, self.records, self.byid = {}, {}, {}
        self.admin = Person(self, "root", ["admin"])
        self.people["root"] = self.admin
        self.admin.token = server.user("root", "crm_admin").token
        self.admin.id = server.users["root"]
        schema = self.admin.call("GET", "schema")[1]
        self.collections = {name: e["collection"] for name, e in schema["entities"].items()}
        self.schema = schema["entities"]
        self.build_people()
        self.build_records()

    # ---- people ----

    def person(self, login, roles, codes=None, **fields):
        codes = codes if codes is not None else [ROLE.get(r, "crm_" + r) for r in roles]
        p = Person(self, login, roles, **fields)
        status, made = self.admin.call("POST", "users", {"login": login, "name": login.title(), "roles": codes, **fields})
        assert status == 201, made
        p.id = made["id"]
        p.token = perigee("token", "create", "--data", self.server.data, "--user", login).stdout.strip()
        self.people[login] = p
        return p

    def build_people(self):
        today, person = date.today(), self.person
        manager = person("boss", ["manager"], direction="cloud")
        person("reader", ["read_admin"])
        lead = person("lena", ["sales"], direction="cloud", manager=manager.id)  # reports to boss, has a report herself
        person("sam", ["sales"], direction="services", manager=lead.id)  # reports to boss over lena, in another direction
        person("hugo", ["sales"], direction="hardware")
        pam = person("pam", ["account"], direction="cloud")
        presale = person("preston", ["account"], codes=["crm_presale"], direction="hardware")
        person("mary", ["marketeer"], direction="cloud")
        person("cert", ["certificate_manager"])
        person("both", ["sales", "marketeer"], direction="hardware", manager=None)  # several roles: the union
        person("nobody", [])
        # Deputies: one stands in today, one whose absence is over, one for the day after.
        person("dora", ["sales"], direction="services")
        person("past", ["sales"], direction="services")
        day = lambda n: (today + timedelta(days=n)).isoformat()
        self.patch("users", lead.id, deputy=self.people["dora"].id, absent_from=day(-2), absent_to=day(2))
        self.patch("users", self.people["hugo"].id, deputy=self.people["past"].id, absent_from=day(-9), absent_to=day(-3))
        # Roles and direction of a group.
        status, group = self.admin.call("POST", "groups", {"name": "Hardware sellers", "direction": "hardware", "roles": ["crm_sales"], "lead": lead.id})
        assert status == 201, group
        self.keep("group", group)
        person("grouped", ["sales"], codes=[], groups=[group["id"]])
        self.hardware_group = group["id"]
        self.keep("group", self.made("group", name="Others", lead=self.people["hugo"].id))
        # Partners and their staff.
        self.partner = {}
        for name, direction, responsible, level in (("A", "cloud", pam, "gold"), ("B", "hardware", presale, "registered"), ("C", "cloud", lead, "silver")):
            self.partner[name] = self.make("partner", name=f"Partner {name}", direction=direction, responsible=responsible.id, level=level)["id"]
        for login, role, name in (("asup", "partner_supervisor", "A"), ("anna", "partner", "A"), ("adam", "partner", "A"), ("bsup", "partner_supervisor", "B"),
                                  ("boris", "partner", "B")):
            person(login, [role], partner=self.partner[name])
        for p in self.people.values():
            status, record = self.admin.call("GET", "users/" + p.id)
            assert status == 200
            self.keep("user", record)
        self.portal = {}
        for direction, colleagues in (("cloud", False), ("hardware", True)):
            self.portal[direction] = self.make("portal", code=direction, path=direction, direction=direction, name=direction, colleagues=colleagues)
        self.sql("UPDATE direction SET portal = code WHERE code IN ('cloud', 'hardware')")

    # ---- records ----

    def sql(self, statement, *values):
        """What the API leaves to workflows (states, links) is put where the test needs it."""
        with sqlite3.connect(self.server.data / "perigee.db", timeout=30) as db:
            db.execute(statement, values)
        db.close()

    def keep(self, entity, record):
        record = dict(record, _entity=entity)
        self.records.setdefault(entity, []).append(record)
        self.byid[record["id"]] = record
        return record

    def made(self, entity, /, by=None, **fields):
        by = by or self.admin
        status, made = by.call("POST", self.collections[entity], {k: v for k, v in fields.items() if v is not None})
        assert status == 201, (entity, by, fields, made)
        status, record = self.admin.call("GET", f"{self.collections[entity]}/{made['id']}")
        assert status == 200, record
        return record

    def make(self, entity, /, by=None, **fields):
        return self.keep(entity, self.made(entity, by, **fields))

    def patch(self, collection, id, **fields):
        status, answer = self.admin.call("PATCH", f"{collection}/{id}", fields)
        assert status == 200, answer

    def refresh(self):
        for entity, records in self.records.items():
            for record in records:
                status, now = self.admin.call("GET", f"{self.collections[entity]}/{record['id']}")
                assert status == 200, (entity, now)
                record.update(now)

    def build_records(self):
        who, partner, make = self.people, self.partner, self.make
        for direction in ("cloud", "hardware"):
            for responsible in ("lena", "sam", "hugo", "boss"):
                for p in (None, "A", "B"):
                    company = make("company", name=f"Common company {direction} {responsible} {p}", direction=direction, responsible=who[responsible].id,
                                   partner=p and partner[p])
                    contact = make("contact", name=f"Common contact {direction} {responsible} {p}", direction=direction, responsible=who[responsible].id,
                                   partner=p and partner[p], company=company["id"], consent=True)
                    make("opportunity", name=f"Common deal {direction} {responsible} {p}", company=company["id"], contact=contact["id"], direction=direction,
                         responsible=who[responsible].id, partner=p and partner[p], amount=100, competitor="Rival", discount_reason="Secret", probability=10)
            for responsible in (None, "lena", "sam", "hugo"):
                for p in (None, "A"):
                    make("lead", subject=f"Common lead {direction} {responsible} {p}", direction=direction, responsible=responsible and who[responsible].id,
                         partner=p and partner[p])
        # Authors who are not responsible.
        one = self.records["company"][0]["id"]
        make("opportunity", by=who["hugo"], name="Common by hugo", company=self.find("company", direction="hardware", responsible=who["hugo"].id)["id"],
             direction="cloud", responsible=who["boss"].id)
        make("lead", by=who["mary"], subject="Common by mary", direction="hardware")
        make("company", by=who["both"], name="Common by both", direction="cloud", responsible=who["boss"].id)
        # Registrations.
        for p, author in (("A", "anna"), ("A", "adam"), ("A", "asup"), ("B", "boris")):
            for direction in ("cloud", "hardware"):
                for state in ("draft", "in_review", "needs_info", "approved"):
                    r = make("registration", by=who[author], client_name=f"Common client {p} {author} {direction} {state}", direction=direction)
                    self.sql("UPDATE registration SET state = ? WHERE client_name = ?", state, r["client_name"])
        # A deal that anna registered.
        deal = self.find("opportunity", direction="cloud", responsible=who["boss"].id, partner=partner["A"])
        self.sql("UPDATE opportunity SET registration = (SELECT id FROM registration WHERE client_name = 'Common client A anna cloud approved') WHERE name = ?",
                 deal["name"])
        deals = [self.find("opportunity", direction=d, responsible=who[r].id, partner=p and partner[p])
                 for d, r, p in (("cloud", "lena", None), ("cloud", "sam", "A"), ("hardware", "hugo", "A"), ("hardware", "hugo", "B"), ("hardware", "sam", None),
                                 ("cloud", "boss", "A"))]
        registration = self.find("registration", client_name="Common client A anna cloud in_review")
        for on in deals:
            ref = on["id"]
            make("line", opportunity=ref, product="platform", quantity=1, price=10, discount=5)
            make("activity", kind="call", subject="Common call", record=ref, text="internal words")
            make("activity", kind="note", subject="Common note", record=ref, text="internal words")
            make("folder", record=ref, wanted_path="Common path " + on["number"])
            task = make("task", title="Common task", record=ref, assignee=who["cert"].id)
            make("comment", record=task["id"], text="Common words on a task", internal=False)
            make("document", record=task["id"], name="Common paper of a task", kind="other")
        for on in deals + [registration, self.find("company", direction="hardware", responsible=who["hugo"].id)]:
            make("document", name="Common paper", kind="contract", record=on["id"])
            make("comment", record=on["id"], text="Common internal words", internal=True)
            make("comment", record=on["id"], text="Common open words", internal=False)
        make("task", title="Common task of lena", assignee=who["lena"].id)
        make("task", title="Common task of nobody", assignee=who["nobody"].id)
        # Goods.
        for direction in ("cloud", "hardware"):
            for level, published in (("registered", True), ("gold", True), ("registered", False)):
                code = f"p_{direction}_{level}_{published}".lower()
                make("product", code=code, name="Common product", direction=direction, partner_level=level, published=published)
                make("price", product=code, currency="RUB", price=10)
                make("content", title="Common content", direction=direction, partner_level=level, published=published)
            make("achievement", name="Common story", direction=direction, text="x")
            for p in (None, "A", "B"):
                campaign = make("campaign", name="Common campaign", direction=direction, partner=p and partner[p], owner=who["mary"].id)
                make("offering", name="Common offering", campaign=campaign["id"], direction=direction)
                lists = make("marketing_list", name="Common list", campaign=campaign["id"], direction=direction)
                make("member", list=lists["id"], person=self.records["contact"][0]["id"])
            code = "cert_" + direction
            make("certification", code=code, name="Common certification", direction=direction)
            for p, holder in (("A", "anna"), ("B", None)):
                contact = make("contact", name=f"Common holder {direction} {p}", partner=partner[p], user=holder and who[holder].id, direction="services",
                               responsible=self.admin.id)
                make("certificate", certification=code, holder=contact["id"], partner=partner[p], issued=date.today().isoformat())
        for code, direction in (("chain_cloud", "cloud"), ("chain_all", None)):
            make("chain", code=code, name="Common chain", direction=direction)
            make("chain_step", code="step_" + code, chain=code, title="Common step")
        make("currency_rate", currency="RUB", date="2026-01-01", rate=1)
        make("holiday", date="2031-01-01", name="Common day")
        for entity in ("direction", "stage", "lifecycle_step", "currency", "industry", "document_kind", "lost_reason", "status_reason", "lead_source",
                       "lead_reason", "role"):
            status, page = self.admin.call("GET", self.collections[entity], limit=2)
            assert status == 200
            if not page["items"] and entity != "role":
                extra = {"status": "won"} if entity == "status_reason" else {}
                make(entity, code="common", name="Common", **extra)
            for record in page["items"]:
                self.keep(entity, record)
        # What is one's own alone.
        for owner in ("boss", "lena", "anna"):
            make("view", by=who[owner], name="Common view", entity="opportunity")
        boss = make("view", by=who["boss"], name="Common shared", entity="opportunity")
        self.patch("views", boss["id"], shared_groups=[self.hardware_group], shared_roles=["crm_marketeer"])
        for owner in ("lena", "anna", "reader"):
            make("notification", user=who[owner].id, text="Common news")
        for owner in ("lena", "hugo"):
            make("follower", by=who[owner], record=self.find("opportunity", responsible=who[owner].id)["id"])
        status, page = self.admin.call("GET", "stage_changes", limit=500)
        for record in page["items"]:
            if record["opportunity"] in {d["id"] for d in deals}:
                self.keep("stage_change", record)
        self.refresh()
        assert one

    def find(self, entity, **fields):
        for record in self.records[entity]:
            if all(record.get(k) == v for k, v in fields.items()):
                return record
        raise AssertionError((entity, fields))

    def hangs_on(self, record):
        return self.byid.get(record.get("record") or record.get("opportunity"))
