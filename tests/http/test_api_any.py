"""Whatever is sent to whatever endpoint: no answer is a fault of the server, and every one is as described."""
import http.client
import json
import os
import random
import urllib.parse

import pytest

from conftest import Answer
from described import Described

SEED = int(os.environ.get("SEED", "1"))  # another one finds other things: SEED=… REQUESTS=… pytest tests/http/test_api_any.py
REQUESTS = int(os.environ.get("REQUESTS", "2500"))
SKIPPED = ("/events", "/password", "/reload", "/sessions", "/calendar.ics")  # streams, argon2id, a load of all scripts, a secret of its own

TEXTS = ["", " ", "a", "A" * 300, "0", "-1", "1e9", "true", "null", "@me", "new", "cloud", "name", "amount", "stage", "created_at", "-name", "id,name", "name =", "name = 'x'",
         "amount > 1", "stage in ('new')", "close_date:month", "(((", "' or 1=1 --", "\"", "\\", "%", "ё", "\U0001f600", "../..", "{}", "[]", "2026-11-23", "2026-02-30",
         "2026-11-23T10:00:00Z", "0000000000000", "exact", "1", "50", "501", "responsible", "company,responsible", "count", "sum", "x.y.z", "\u202e", "a\tb"]


class Anything:
    """Requests from the description, half right and half wrong, by one seed."""

    def __init__(self, rng, description, ids):
        self.rng, self.description, self.ids = rng, description, ids

    def text(self):
        return self.rng.choice(TEXTS + self.ids)

    def value(self, depth=0):
        kind = self.rng.randrange(9 if depth < 3 else 6)
        if kind < 2:
            return self.text()
        if kind == 2:
            return self.rng.choice([0, 1, -1, 10**18, 1.5, -0.001, 1e300, 2**63])
        if kind == 3:
            return self.rng.choice([True, False])
        if kind == 4:
            return None
        if kind in (5, 6):
            return [self.value(depth + 1) for _ in range(self.rng.randrange(4))]
        return {self.text(): self.value(depth + 1) for _ in range(self.rng.randrange(4))}

    def fitting(self, schema, depth=0):
        if "$ref" in schema:
            node = self.description
            for part in schema["$ref"][2:].split("/"):
                node = node[part]
            return self.fitting({**node, **{k: v for k, v in schema.items() if k != "$ref"}}, depth)
        if depth > 4 or self.rng.random() < 0.1:
            return self.value()
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self.fitting(self.rng.choice(schema[union]), depth + 1)
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        kind = schema.get("type", "any")
        kind = self.rng.choice(kind) if isinstance(kind, list) else kind
        if kind == "object":
            properties = schema.get("properties", {})
            wanted = set(schema.get("required", [])) | {p for p in properties if self.rng.random() < 0.3}
            return {p: self.fitting(properties[p], depth + 1) for p in sorted(wanted) if p in properties}
        if kind == "array":
            return [self.fitting(schema.get("items", {}), depth + 1) for _ in range(self.rng.randrange(3))]
        return {"string": self.text, "integer": lambda: self.rng.randrange(-2, 100), "number": lambda: self.rng.choice([0, 1, 2.5, 1e6]),
                "boolean": lambda: self.rng.random() < 0.5, "null": lambda: None}.get(kind, self.value)()

    def request(self, pattern, method, operation):
        path = pattern
        for p in operation.get("parameters", []):
            if p["in"] == "path":
                path = path.replace("{" + p["name"] + "}", urllib.parse.quote(self.rng.choice(self.ids) if self.rng.random() < 0.8 else self.text() or "x", safe=""))
        query = [(p["name"], str(self.fitting(p["schema"])) if p["name"] == "limit" else self.text()) for p in operation.get("parameters", [])
                 if p["in"] == "query" and p["name"] != "dry_run" and self.rng.random() < 0.25]
        if method != "get" and self.rng.random() < 0.5:
            query.append(("dry_run", "true"))
        headers = {p["name"]: self.rng.choice(['"1"', "*", "x", "return=minimal", 'W/"2"', "k%d" % self.rng.randrange(5)]) for p in operation.get("parameters", [])
                   if p["in"] == "header" and self.rng.random() < 0.2}
        headers["Accept-Language"] = self.rng.choice(["en", "ru"])
        body = None
        content = operation.get("requestBody", {}).get("content", {})
        if content:
            kind = self.rng.choice(sorted(content))
            headers["Content-Type"] = kind if kind != "*/*" else "application/octet-stream"
            value = self.fitting(content[kind]["schema"]) if self.rng.random() < 0.85 else self.value()
            body = json.dumps(value) if "json" in kind and "ndjson" not in kind else self.rng.choice([json.dumps(value), "a,b\n1,2\n", "name\nX\n", ""])
        return path + ("?" + urllib.parse.urlencode(query) if query else ""), body, headers


@pytest.mark.parametrize("role", ["crm_admin", "crm_manager", "crm_partner_supervisor"])
def test_no_request_makes_the_server_fail(server, role):
    rng = random.Random(f"{SEED}{role}")
    client = server.user("any_" + role, role, *(["--direction", "cloud"] if role == "crm_manager" else []))
    description = client.raw("GET", "/api/v1/openapi.json").json
    described = Described(description)
    ids = ["new", "cloud", "05aaaaaaaaaaa", "me", "current"]
    for collection in ("companies", "opportunities", "contacts", "tasks", "users", "leads", "lines", "products", "partners", "activities"):
        listed = client.raw("GET", f"/api/v1/{collection}?limit=3")
        ids += [r["id"] for r in listed.json["items"]] if listed.status == 200 else []
    if role == "crm_admin":
        company = client.made("companies", name="Any", direction="cloud")
        ids += [company["id"], client.made("opportunities", name="Any", company=company["id"], direction="cloud")["id"]]
    me = client.get("me").json["id"]
    anything = Anything(rng, description, [i for i in ids if i != me])
    operations = [(p, m, o) for p, item in sorted(description["paths"].items()) for m, o in sorted(item.items()) if not any(s in p for s in SKIPPED)]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for number in range(REQUESTS // 3):
        pattern, method, operation = rng.choice(operations)
        path, body, headers = anything.request(pattern, method, operation)
        connection.request(method.upper(), path, None if body is None else body.encode("utf-8", "surrogatepass"), {"Authorization": "Bearer " + client.token, **headers})
        response = connection.getresponse()
        answer = Answer(response, response.read())
        what = f"SEED={SEED} request {number}: {method.upper()} {path} {headers} {body}\n{answer.status} {answer.body[:2000]}"
        assert answer.status < 500, what
        try:
            described.check(method.upper(), urllib.parse.unquote(path.split("?")[0]), answer)
        except Exception as e:
            raise AssertionError(what) from e
        assert answer.status != 401, what
    connection.close()
    assert server.process.poll() is None
