"""Loops share one snapshot among the requests of a turn; nobody may ever be shown less than what was answered before."""
import http.client
import json
import threading


def open_connections(server, n):
    """Enough of them that each loop has some."""
    return [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(n)]


def ask(connection, token, method, path, body=None):
    connection.request(method, path, None if body is None else json.dumps(body), {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    response = connection.getresponse()
    return response.status, json.loads(response.read() or b"null")


def test_what_was_answered_is_seen_on_every_connection_while_others_read(server, admin, company):
    token, stop = admin.token, threading.Event()

    def read_on():
        mine = open_connections(server, 4)
        while not stop.is_set():
            for c in mine:
                assert ask(c, token, "GET", f"/api/v1/companies/{company['id']}")[0] == 200

    readers = [threading.Thread(target=read_on) for _ in range(3)]
    for r in readers:
        r.start()
    try:
        writer, *others = open_connections(server, 9)
        for n in range(60):
            status, changed = ask(writer, token, "PATCH", f"/api/v1/companies/{company['id']}", {"size": n + 1})
            assert status == 200
            for c in others:
                status, seen = ask(c, token, "GET", f"/api/v1/companies/{company['id']}")
                assert (status, seen["version"] >= changed["version"], seen["size"]) == (200, True, n + 1)
    finally:
        stop.set()
        for r in readers:
            r.join()


def test_rights_taken_away_hold_for_the_next_request_of_any_connection(server, admin):
    client = server.user("leaver", "crm_read_admin")
    connections = open_connections(server, 8)
    for c in connections:
        assert ask(c, client.token, "GET", "/api/v1/companies?limit=1")[0] == 200
    user = admin.get("users", filter='login = "leaver"').json["items"][0]["id"]
    assert admin.patch(f"users/{user}", {"active": False}).status == 200
    for c in connections:
        assert ask(c, client.token, "GET", "/api/v1/companies?limit=1")[0] == 401
