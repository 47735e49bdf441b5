"""Every way to a record, asked by everybody: what the server does against what the evaluation says."""
import collections
import http.client
import json
import random
import time

import document
from evaluation import PARTNER_ROLES, Evaluation

# A field that whoever may change the record may write, and a value for it.
TOUCH = {
    "opportunity": {"name": "Common changed"}, "lead": {"subject": "Common changed"}, "registration": {"client_name": "Common changed"},
    "company": {"site": "https://example.com"}, "contact": {"language": "ru"}, "partner": {"site": "https://example.com"}, "line": {"quantity": 3},
    "document": {"name": "Common changed"}, "task": {"result": "x"}, "activity": {"duration": 5}, "comment": {"text": "Common changed"},
    "folder": {"state": "ready"}, "product": {"unit": "t"}, "price": {"price": 11}, "content": {"title": "Common changed"}, "achievement": {"text": "y"},
    "certification": {"validity": 24}, "certificate": {"reason": "x"}, "campaign": {"description": "x"}, "offering": {"text": "x"},
    "marketing_list": {"name": "Common changed"}, "member": {"response": None}, "user": {"phone": "+7 495 000-00-00"}, "group": {"name": "Common changed"},
    "view": {"pinned": True}, "notification": {"read": True}, "chain_step": {"order": 7}, "currency_rate": {"rate": 2}, "portal": {"texts": {"a": "b"}},
    "holiday": {"working": True},
}
# What partner staff can name at all (an unknown field is told before anything else).
TOUCH_PARTNER = {"contact": {"phone": "+7 495 000-00-00"}, "line": {"quantity": 3}, "activity": {"duration": 5}, "comment": {"text": "x"}, "folder": {"state": "ready"},
                 "content": {"title": "x"}, "product": {"name": "x"}, "price": {"price": 1}}

Check = collections.namedtuple("Check", "path person what")


class Checks:
    def __init__(self, world, share=1.0, seed=1):
        self.world, self.ev = world, Evaluation(world)
        self.random, self.share = random.Random(seed), share
        self.done, self.wrong = collections.Counter(), []

    def expect(self, good, path, person, what, got):
        self.done[path] += 1
        if not good:
            self.wrong.append(f"{path}: {person.login} {what}: {str(got)[:240]}")

    def some(self, things):
        if self.share >= 1:
            return list(things)
        return [t for t in things if self.random.random() < self.share]

    # ---- sets ----

    def sets(self, person, entity):
        collection, records = self.world.collections[entity], self.world.records[entity]
        known = {r["id"] for r in records}
        mine = {r["id"] for r in records if self.ev.may(person, "read", r)}
        readable = self.ev.speaks(person, "read", entity) or any(self.ev.speaks(person, a, entity) for a in ("update", "delete"))
        both = {"filter": "active in (true, false)"}
        status, page = person.call("GET", collection, limit=500, count="exact", **both)
        if not readable:
            self.expect(status in (403, 404), "list", person, entity, (status, page))
            for path in ("board?group_by=created_by", "aggregate?count=1"):
                status, answer = person.call("GET", f"{collection}/{path}")
                self.expect(status in (403, 404), path.split("?")[0], person, entity, (status, answer))
            return
        self.expect(status == 200, "list", person, entity, (status, page))
        if status != 200:
            return
        got = {r["id"] for r in page["items"]}
        self.expect(got & known == mine, "list", person, entity, ("more", names(self, got & known - mine), "fewer", names(self, mine - got)))
        self.expect(page["total"] == len(got), "count", person, entity, page["total"])
        status, lines = person.call("GET", collection, headers={"Accept": "application/x-ndjson"}, **both)
        exported = {json.loads(line)["id"] for line in lines.splitlines()} if status == 200 else status
        self.expect(exported == got, "ndjson", person, entity, exported)
        status, csv = person.call("GET", collection, headers={"Accept": "text/csv"}, fields="id", **both)
        cells = {line.split(b",")[0].decode() for line in csv.splitlines()[1:]} if status == 200 else status
        self.expect(cells == got, "csv", person, entity, cells)
        status, answer = person.call("GET", f"{collection}/aggregate", count=1, group_by="created_by", **both)
        self.expect(status == 200 and sum(g["count"] for g in answer["groups"]) == len(got), "aggregate", person, entity, (status, answer))
        status, answer = person.call("GET", f"{collection}/board", group_by="active", **both)
        if status == 200:
            self.expect(sum(c["count"] for c in answer["columns"]) == len(got), "board", person, entity, answer)
            shown = {r["id"] for c in answer["columns"] for r in c["items"]}
            self.expect(shown <= got, "board", person, entity, shown - got)
        status, answer = person.call("GET", collection, q="common", limit=500, **both)
        self.expect(status == 200 and {r["id"] for r in answer["items"]} <= got, "search", person, entity, (status, answer))
        for sort in ("created_at", "-id"):
            status, answer = person.call("GET", collection, sort=sort, limit=500, **both)
            self.expect(status == 200 and {r["id"] for r in answer["items"]} == got, "sort", person, entity, status)
        self.fields(person, entity, page["items"])

    def fields(self, person, entity, rows):
        """Of partner staff: never what is internal, always what the portal shows; and nothing hidden can be asked about."""
        if not PARTNER_ROLES & set(person.roles):
            return
        never, always = document.NEVER.get(entity, set()), document.ALWAYS.get(entity, set())
        for row in rows:
            mine = entity == "user" and row["id"] == person.id
            leaked = set() if mine else set(row) & never - {k for k in row if entity == "user" and person.roles == ["partner_supervisor"] and k not in never}
            self.expect(not leaked and always <= set(row), "fields", person, entity, (leaked, always - set(row)))
        if entity == "user":
            return
        collection = self.world.collections[entity]
        for field in never:
            for query in ({"filter": f"{field} is null"}, {"sort": field}, {"fields": field}, {"expand": field}):
                status, answer = person.call("GET", collection, **query)
                self.expect(status == 400, "hidden " + next(iter(query)), person, f"{entity}.{field}", (status, answer))
            for query in ({"group_by": field}, {"sum": field}, {"max": field}):
                status, answer = person.call("GET", f"{collection}/aggregate", **query)
                self.expect(status == 400, "hidden " + next(iter(query)), person, f"{entity}.{field}", (status, answer))
            status, answer = person.call("GET", f"{collection}/board", group_by=field)
            self.expect(status == 400, "hidden board", person, f"{entity}.{field}", (status, answer))

    # ---- one record ----

    def touch(self, person, entity):
        if PARTNER_ROLES & set(person.roles) and entity in TOUCH_PARTNER:
            return TOUCH_PARTNER[entity]
        return TOUCH.get(entity) or {"name": "Common changed"}

    def record(self, person, r):
        entity, may = r["_entity"], lambda action: self.ev.may(person, action, r)
        at = f"{self.world.collections[entity]}/{r['id']}"
        name = f"{entity} {r.get('name') or r.get('subject') or r.get('client_name') or r.get('code') or r['id']}"
        status, answer = person.call("GET", at)
        self.expect(status == (200 if may("read") else 404), "get", person, name, (status, answer))
        for path in ("timeline", "actions"):
            status, answer = person.call("GET", f"{at}/{path}")
            self.expect(status == (200 if may("read") else 404), path, person, name, (status, answer))
        if entity == "follower":
            return  # nothing of it can be changed
        body = self.touch(person, entity)
        status, answer = person.call("PATCH", at, body, dry_run="true")
        self.expect_change(status, may("read"), may("update"), "update", person, name, answer, ok=(200,))
        status, answer = person.call("DELETE", at, dry_run="true")
        self.expect_change(status, may("read"), may("delete"), "delete", person, name, answer, ok=(204, 409, 422))
        status, answer = person.call("PATCH", at, {"active": False}, dry_run="true")
        self.expect_change(status, may("read"), may("update") and may("delete"), "deactivate", person, name, answer, ok=(200, 409, 422))
        status, answer = person.call("PATCH", at, body, {"If-Match": '"999999"'}, dry_run="true")
        self.expect_change(status, may("read"), may("update"), "stale", person, name, answer, ok=(412,))
        if status == 412:
            self.expect(answer.get("current", {}).get("id") == r["id"], "stale", person, name, answer)

    def expect_change(self, status, reads, does, path, person, name, answer, ok):
        """404 for what one may not read; 403 for what one may not change, which a field that one cannot even name may come before (400)."""
        wanted = ok if reads and does else (403,) if reads else (404,)
        self.expect(status in wanted, path, person, name, (status, "wanted", wanted, answer))

    def batch(self, person, records):
        operations, wanted = [], []
        for r in records:
            if r["_entity"] == "follower":
                continue
            at = f"/api/v1/{self.world.collections[r['_entity']]}/{r['id']}"
            operations.append({"method": "GET", "path": at})
            wanted.append((200,) if self.ev.may(person, "read", r) else (404,))
            operations.append({"method": "PATCH", "path": at + "?dry_run=true", "body": self.touch(person, r["_entity"])})
            wanted.append((200,) if self.ev.may(person, "update", r) else (403,) if self.ev.may(person, "read", r) else (404,))
        status, answer = person.call("POST", "batch", {"atomic": False, "operations": operations})
        self.expect(status == 200, "batch", person, "", (status, answer))
        for operation, want, result in zip(operations, wanted, answer["results"] if status == 200 else []):
            self.expect(result["status"] in want, "batch " + operation["method"].lower(), person, operation["path"], (result, want))

    def comment(self, person, r):
        if r["_entity"] in ("comment", "stage_change"):
            return
        reads = self.ev.may(person, "read", r)
        if PARTNER_ROLES & set(person.roles):
            return  # said by tests/http/test_rights_partner.py
        parent = self.world.hangs_on(r)
        if parent and self.world.hangs_on(parent):
            return  # rights are followed over two references, not over three
        hangs = not self.world.schema[r["_entity"]]["setting"]  # rules follow to the records of business, not to settings
        writes = self.ev.speaks(person, "create", "comment") and (hangs and self.ev.may(person, "update", r) or "admin" in person.roles)
        status, answer = person.call("POST", f"{self.world.collections[r['_entity']]}/{r['id']}/comments", {"text": "x"}, dry_run="true")
        wanted = (201,) if reads and writes else (403,) if reads else (404,)
        self.expect(status in wanted, "comment", person, f"{r['_entity']} {r['id']}", (status, wanted, answer))

    def move(self, person, r):
        reads, writes = self.ev.may(person, "read", r), self.ev.may(person, "update", r)
        status, answer = person.call("POST", f"opportunities/{r['id']}/actions/move", {"stage": r["stage"]}, dry_run="true")
        self.expect(status == (200 if reads and writes else 403 if reads else 404), "move", person, r["name"], (status, answer))

    def expand(self, person, r):
        """What an expanded reference leads to is shown under its own rights: without them it is its id and nothing else."""
        if not self.ev.may(person, "read", r):
            return
        for field in ("company", "partner", "responsible", "contact", "opportunity", "record", "assignee", "manager"):
            target = self.world.byid.get(r.get(field) or "")
            if not target:
                continue
            status, answer = person.call("GET", f"{self.world.collections[r['_entity']]}/{r['id']}", expand=field)
            if status == 400 or field not in (answer or {}):
                continue  # the field itself is hidden
            shown = set(answer[field])
            self.expect(status == 200 and (self.ev.may(person, "read", target) or shown == {"id"}), "expand", person, f"{r['_entity']}.{field}", answer.get(field))
            status, answer = person.call("GET", self.world.collections[r["_entity"]], filter=f'id = "{r["id"]}" and {field}.id = "{target["id"]}" and active in (true, false)')
            hits = len(answer["items"]) if status == 200 else 0
            self.expect(hits == (1 if self.ev.may(person, "read", target) else 0) or status == 400, "path", person, f"{r['_entity']}.{field}", (status, hits))

    # ---- new records ----

    def creates(self, person):
        world, who, partner = self.world, self.world.people, self.world.partner
        company = world.records["company"][0]["id"]
        for entity in ("opportunity", "lead", "company", "contact", "partner"):
            for direction in ("cloud", "hardware"):
                for responsible in ("lena", "hugo"):
                    for p in (None, "A", "B"):
                        fields = {"direction": direction, "responsible": who[responsible].id}
                        if entity != "partner" and p:
                            fields["partner"] = partner[p]
                        body = dict(fields, **{"lead": {"subject": "New"}, "opportunity": {"name": "New", "company": company}}.get(entity, {"name": "New"}))
                        status, answer = person.call("POST", world.collections[entity], body, dry_run="true")
                        may = self.ev.may_create(person, entity, fields)
                        # References to what one may not read are refused too: that is told as 422, and only where one may create at all.
                        hidden = [t for t in (company if entity == "opportunity" else None, fields["responsible"], fields.get("partner"))
                                  if t and not self.ev.may(person, "read", world.byid[t])]
                        speaks = self.ev.speaks(person, "create", entity)
                        wanted = (422,) if speaks and hidden else (201,) if may else (403,)
                        self.expect(status in wanted, "create", person, (entity, direction, responsible, p), (status, wanted, answer))
        others = {"product": {"code": "new", "name": "New"}, "stage": {"code": "new_stage", "name": "New"}, "certification": {"code": "new", "name": "New"},
                  "campaign": {"name": "New"}, "content": {"title": "New"}, "achievement": {"name": "New"}, "currency": {"code": "XXX", "name": "New"},
                  "group": {"name": "New"}, "direction": {"code": "new", "name": "New"}, "holiday": {"date": "2032-01-01", "name": "x"},
                  "chain": {"code": "fresh", "name": "New"}, "portal": {"code": "new", "name": "New", "path": "new", "direction": "services"},
                  "role": {"code": "crm_new"}, "marketing_list": {"name": "New"}, "offering": {"name": "New"}, "stage_change": {},
                  "price": {"product": "platform", "currency": "RUB", "price": 1}}
        for entity, body in others.items():
            status, answer = person.call("POST", world.collections[entity], body, dry_run="true")
            may = self.ev.speaks(person, "create", entity) and entity != "stage_change"
            self.expect(status == 201 if may else status == 403, "create", person, entity, (status, answer))
        for on in self.some(world.records["opportunity"] + world.records["registration"]):
            if PARTNER_ROLES & set(person.roles):
                continue
            reads, writes = self.ev.may(person, "read", on), self.ev.may(person, "update", on)
            speaks = self.ev.speaks(person, "create", "document")
            wanted = (403,) if not speaks else (422,) if not reads else (201,) if writes else (403,)
            for entity, body in (("document", {"name": "New", "kind": "contract"}), ("task", {"title": "New"}), ("activity", {"kind": "call"}),
                                 ("folder", {"wanted_path": "x"})):
                status, answer = person.call("POST", world.collections[entity], dict(body, record=on["id"]), dry_run="true")
                self.expect(status in wanted, "create on", person, f"{entity} on {on.get('name') or on.get('client_name')}", (status, wanted, answer))

    def rights(self, person):
        """GET /me says for each entity what some rule allows."""
        status, me = person.call("GET", "me")
        assert status == 200, (person, me)
        for entity in self.world.collections:
            if entity not in self.world.records:
                continue
            wanted = {a for a in document.ACTIONS.values() if self.ev.speaks(person, a, entity)}
            if wanted & {"update", "delete"}:
                wanted.add("read")
            if entity == "stage_change":
                wanted &= {"read"}
            if any(role == "admin" and entity != "stage_change" or entity in document.IMPORTS.get(role, ()) for role in person.roles):
                wanted.add("import")
            if person.roles and set(person.roles) & PARTNER_ROLES and entity in ("comment", "document"):
                wanted.add("create")
            self.expect(set(me["rights"].get(entity, [])) == wanted, "me", person, entity, (me["rights"].get(entity), wanted))
        for resource, cells in document.RESOURCES.items():
            if resource in self.world.collections:
                continue
            wanted = {document.ACTIONS[letter] for role in person.roles for letter in cells.get(role, "")}
            self.expect(set(me["rights"].get(resource, [])) == wanted, "me", person, resource, me["rights"].get(resource))

    # ---- the stream of events ----

    def events(self):
        """Everybody listens; everything is touched; each hears of what they may read, and of nothing else."""
        streams = {person: self.listen(person) for person in self.world.people.values() if person.roles}
        touched = []
        for entity, records in self.world.records.items():
            for r in self.some(records):
                if entity in ("follower", "stage_change", "user", "notification") or entity not in TOUCH:
                    continue
                status, now = self.world.admin.call("PATCH", f"{self.world.collections[entity]}/{r['id']}", TOUCH[entity])
                if status == 200 and now["version"] != r["version"]:
                    touched.append(r)
        for person in streams:  # everybody may read this one: then there is nothing more to come
            self.world.patch("users", person.id, phone="+7 495 321-00-00")
        self.world.refresh()
        ids = {r["id"] for r in touched}
        for person, stream in streams.items():
            heard = self.hear(person, stream)
            mine = {r["id"] for r in touched if self.ev.may(person, "read", r)}
            partner = PARTNER_ROLES & set(person.roles)  # of hidden fields alone they hear nothing
            self.expect(heard & ids <= mine if partner else heard & ids == mine, "events", person, "", ("more", names(self, heard & ids - mine), "fewer", names(self, mine - heard)))
            self.done["events"] += len(touched)

    def listen(self, person):
        connection = http.client.HTTPConnection("127.0.0.1", self.world.port, timeout=60)
        connection.request("GET", "/api/v1/events", headers={"Authorization": "Bearer " + person.token})
        stream = connection.getresponse()
        assert stream.status == 200 and stream.readline().startswith(b":")
        return stream

    def hear(self, person, stream):
        heard, deadline = set(), time.monotonic() + 60
        while True:
            line = stream.readline()
            assert line and time.monotonic() < deadline, person
            if not line.startswith(b"data:"):
                continue
            event = json.loads(line[5:])
            heard.add(event.get("id"))
            if event.get("topic") == "users" and event["id"] == person.id:
                stream.close()
                return heard

    def all(self):
        for person in self.world.people.values():
            self.rights(person)
            for entity in self.world.records:
                self.sets(person, entity)
            everything = self.some(r for records in self.world.records.values() for r in records)
            for r in everything:
                self.record(person, r)
                self.comment(person, r)
                self.expand(person, r)
            for i in range(0, len(everything), 20):
                self.batch(person, everything[i:i + 20])
            for r in self.some(self.world.records["opportunity"]):
                self.move(person, r)
            self.creates(person)
        self.events()


def names(checks, ids):
    return [checks.world.byid[i].get("name") or checks.world.byid[i].get("subject") or checks.world.byid[i].get("client_name") or i for i in list(ids)[:4]]
