"""What the server keeps by itself and what scripts add as routes: who may use it, role by role."""
import json

import pytest
from conftest import Client, perigee

ROLES = {"root": "crm_admin", "reader": "crm_read_admin", "boss": "crm_manager", "seller": "crm_sales", "pam": "crm_pam", "presale": "crm_presale", "mary": "crm_marketeer",
         "cert": "crm_certificate_manager"}
EVERYBODY = [*ROLES, "super", "empl", "nobody"]


def without_role(server, admin, login):
    server.users[login] = admin.made("users", login=login, name=login.title())["id"]
    server.tokens[login] = perigee("token", "create", "--data", server.data, "--user", login).stdout.strip()
    return Client(server.port, server.tokens[login])


@pytest.fixture(scope="module")
def people(server):
    admin = server.user("root", "crm_admin")
    partner = admin.made("partners", name="Endpoint partner")["id"]
    all = {login: server.user(login, role, "--direction", "cloud") for login, role in ROLES.items() if login != "root"}
    all |= {"root": admin, "super": server.user("super", "crm_partner_supervisor", "--partner", partner), "empl": server.user("empl", "crm_partner", "--partner", partner),
            "nobody": without_role(server, admin, "nobody")}
    return all


def allowed(people, method, path, body=None, headers=None, good=(200, 201, 202, 204)):
    """Who is let in; everybody else gets 403 or 404, and nobody a fault of the server."""
    in_, out = [], []
    for login in EVERYBODY:
        status = people[login].raw(method, path, body, headers).status
        assert status < 500, (login, method, path)
        (in_ if status in good else out).append((login, status))
    assert all(status in (401, 403, 404) for _, status in out), out
    return {login for login, _ in in_}


def test_lists_of_what_the_server_keeps(people):
    assert allowed(people, "GET", "/api/v1/webhooks") == {"root", "reader"}
    assert allowed(people, "GET", "/api/v1/jobs") == {"root", "reader"}
    assert allowed(people, "GET", "/api/v1/tokens") == {*ROLES}


def test_changing_what_the_server_keeps(people):
    assert allowed(people, "POST", "/api/v1/tokens", {"name": "x"}) == {*ROLES} - {"reader"}
    assert allowed(people, "POST", "/api/v1/webhooks", {"url": "https://hooks.example/x", "topics": ["company.create"]}, good=(200, 201, 400, 422)) == {"root"}
    assert allowed(people, "POST", "/api/v1/reload", {}) == {"root"}


def test_only_those_who_may_import_start_an_import(people):
    for collection, body, who in (("companies", "name\nImported\n", {"root", "boss"}), ("leads", "subject\nImported\n", {"root", "boss", "mary"}),
                                  ("campaigns", "name\nImported\n", {"root"}), ("users", "login,name\nim.ported,x\n", {"root"})):
        assert allowed(people, "POST", f"/api/v1/imports?collection={collection}&mode=create&dry_run=true", body, {"Content-Type": "text/csv"}) == who, collection


def test_nobody_sees_the_import_of_another(people):
    made = people["boss"].raw("POST", "/api/v1/imports?collection=leads&mode=create&dry_run=true", "subject\nMine\n", {"Content-Type": "text/csv"})
    at = made.headers["Location"]
    assert allowed(people, "GET", at) == {"root", "reader", "boss"}
    assert allowed(people, "GET", at + "/errors") == {"root", "reader", "boss"}


def test_who_has_no_role_has_themselves_and_nothing_else(people):
    nobody = people["nobody"]
    me = nobody.get("me").json
    assert me["rights"] == {} and me["roles"] == []
    schema = nobody.get("schema").json
    assert schema["entities"] == {} and schema["pipelines"] == {}
    for entity in people["root"].get("schema").json["entities"].values():
        assert nobody.get(entity["collection"]).status == 403
        for path in ("board?group_by=active", "aggregate?count=1"):
            assert nobody.raw("GET", f"/api/v1/{entity['collection']}/{path}").status == 403


def test_a_secret_for_one_thing_opens_nothing_else(server, people):
    """The key of a calendar is no API token, and an API token is no key of a calendar."""
    made = people["seller"].post("me/calendar", {})
    assert made.status == 201
    key = made.json["path"].split("key=")[1]
    calendar = lambda k: Client(server.port).raw("GET", "/api/v1/calendar.ics?key=" + k)
    assert calendar(key).status == 200
    for method, path in (("GET", "/api/v1/me"), ("GET", "/api/v1/companies"), ("POST", "/api/v1/tokens"), ("GET", "/api/v1/events")):
        assert Client(server.port, key).raw(method, path, {"name": "x"} if method == "POST" else None).status in (401, 403), path
    assert calendar(server.tokens["seller"]).status == 401
    assert people["seller"].delete("me/calendar").status == 204 and calendar(key).status == 401


def test_an_idempotency_key_is_ones_own(people):
    headers = {"Idempotency-Key": "shared-key"}
    first = people["boss"].post("companies", {"name": "By key"}, headers)
    second = people["seller"].post("companies", {"name": "By key"}, headers)
    assert first.status == second.status == 201 and first.json["id"] != second.json["id"]
    assert people["empl"].post("companies", {"name": "By key"}, headers).status == 403


def test_a_plain_refusal_names_no_script(people):
    """Files and lines of scripts are for those who may know them."""
    for login in ("seller", "super", "nobody"):
        for answer in (people[login].post("users", {"login": "x.y", "name": "x"}), people[login].get("companies", filter="nonsense ="), people[login].post("leads", {})):
            assert ".lua" not in answer.body.decode(), (login, answer.body)


def test_routes_of_scripts_are_for_the_roles_that_they_name(people):
    assert allowed(people, "GET", "/api/v1/x/duplicates?entity=company") == {"root", "reader", "boss", "seller", "pam", "presale", "mary"}
    for path in people["root"].get("openapi.json").json["paths"]:
        if path.startswith("/api/v1/x/"):
            assert people["nobody"].raw("GET", path).status in (403, 404, 405), path
            for login in ("super", "empl"):
                answer = people[login].raw("GET", path)
                assert answer.status in (400, 403, 404, 405, 422), (login, path, answer.status, answer.body[:300])
