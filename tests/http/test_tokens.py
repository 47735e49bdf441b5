"""API tokens: api.md §6."""
import base64
import sqlite3
import time

from conftest import Client, Server, perigee


def test_a_token_is_shown_once_and_listed_without_its_text(server, seller):
    answer = seller.post("tokens", {"name": "Import script"})
    made = answer.json
    assert answer.status == 201 and made["name"] == "Import script" and made["scope"] == "full" and made["expires_at"] is None
    assert made["token"].startswith("pgt_") and len(base64.urlsafe_b64decode(made["token"][4:] + "=")) == 32
    listed = [t for t in seller.get("tokens").json["items"] if t["id"] == made["id"]]
    assert len(listed) == 1 and "token" not in listed[0] and listed[0]["last_used_at"] is None
    client = Client(server.port, made["token"])
    assert client.get("me").json["login"] == "seller"
    deadline = time.monotonic() + 10
    while not [t for t in seller.get("tokens").json["items"] if t["id"] == made["id"]][0]["last_used_at"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_token_taken_back_is_dead_at_once(server, seller):
    made = seller.post("tokens", {"name": "short-lived"}).json
    client = Client(server.port, made["token"])
    for _ in range(8):
        assert client.get("me").status == 200
    assert seller.delete("tokens/" + made["id"]).status == 204
    for _ in range(8):
        assert client.get("me").status == 401
    assert seller.delete("tokens/" + made["id"]).status == 404


def test_nobody_sees_or_takes_back_the_token_of_another(server, manager, seller, other):
    made = seller.post("tokens", {"name": "mine"}).json
    for stranger in (manager, other):
        assert made["id"] not in [t["id"] for t in stranger.get("tokens").json["items"]]
        assert stranger.delete("tokens/" + made["id"]).status == 404
        assert stranger.get("tokens", user=server.users["seller"]).status == 403
        assert stranger.post("tokens", {"name": "x", "user": server.users["seller"]}).status == 400
    assert Client(server.port, made["token"]).get("me").status == 200


def test_administrators_see_tokens_of_others_and_crm_admin_takes_them_back(server, admin, seller):
    reader = server.user("reader", "crm_read_admin")
    made = seller.post("tokens", {"name": "mine"}).json
    for boss in (admin, reader):
        items = boss.get("tokens", user=server.users["seller"]).json["items"]
        assert made["id"] in [t["id"] for t in items] and all("token" not in t for t in items)
    assert reader.delete("tokens/" + made["id"]).status in (403, 404)
    assert admin.delete("tokens/" + made["id"]).status == 204


def test_a_token_that_reads_cannot_change_anything(server, seller, company):
    made = seller.post("tokens", {"name": "report", "scope": "read"}).json
    reader = Client(server.port, made["token"])
    assert reader.get("companies").status == 200
    for method, path, body in (("POST", "companies", {"name": "x"}), ("PATCH", "companies/" + company["id"], {"size": 1}), ("DELETE", "companies/" + company["id"], None),
                               ("POST", "tokens", {"name": "wider", "scope": "full"}), ("POST", "batch", {"operations": []}),
                               ("POST", f"companies/{company['id']}/comments", {"text": "x"})):
        answer = reader(method, path, body)
        assert answer.status == 403, (method, path)
    assert seller.post("tokens", {"name": "x", "scope": "everything"}).status == 422


def test_a_token_ends_when_it_expires(server, seller):
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3))
    made = seller.post("tokens", {"name": "soon over", "expires_at": soon}).json
    assert made["expires_at"][:19] == soon[:19]
    client = Client(server.port, made["token"])
    assert client.get("me").status == 200
    deadline = time.monotonic() + 20
    while client.get("me").status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.raw("GET", "/api/v1/me").status == 401
    for bad in ("2001-01-01T00:00:00Z", "tomorrow", "2027-13-01T00:00:00Z"):
        refused = seller.post("tokens", {"name": "x", "expires_at": bad})
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/expires_at"


def test_partner_staff_make_no_tokens_of_their_own(server, admin):
    company = admin.made("partners", name="Token partner")["id"]
    partner = server.user("tokenless", "crm_partner", "--partner", company)
    assert partner.post("tokens", {"name": "x"}).status == 403 and "token" not in partner.get("me").json["rights"]


def test_a_token_without_a_right_is_not_made_again_by_its_idempotency_key(seller):
    headers = {"Idempotency-Key": "token-once"}
    assert seller.post("tokens", {"name": "once"}, headers).status == 201
    again = seller.post("tokens", {"name": "once"}, headers)
    assert again.status == 409 and b"pgt_" not in again.body


def test_the_command_line_makes_lists_and_revokes(server, seller):
    text = perigee("token", "create", "--data", server.data, "--user", "seller", "--name", "from the shell", "--scope", "read").stdout.strip()
    client = Client(server.port, text)
    assert client.get("me").status == 200 and client.post("companies", {"name": "x"}).status == 403
    line = [l for l in perigee("token", "list", "--data", server.data).stdout.splitlines() if "from the shell" in l][0]
    assert text not in line and "read" in line
    perigee("token", "revoke", "--data", server.data, "--id", line.split()[0])
    assert client.get("me").status == 401
    assert perigee("token", "create", "--data", server.data, "--user", "seller", "--scope", "wide", check=False).returncode == 1
