"""Signing in and out: api.md §6. Sessions of browsers, CSRF, expiry, throttling, passwords."""
import http.client
import json
import sqlite3
import statistics
import threading
import time

import pytest
from conftest import Client, Server, perigee

PASSWORD = "a long enough secret"


class Browser(Client):
    """Keeps its cookie and sends the CSRF token with whatever changes something."""

    cookie = csrf = None

    def sign_in(self, login, password=PASSWORD, **more):
        headers = {"Cookie": self.cookie} if self.cookie else {}
        answer = self.raw("POST", "/api/v1/sessions", {"login": login, "password": password, **more}, headers)
        if answer.status == 201:
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]
            self.csrf = answer.json["csrf_token"]
        return answer

    def send(self, method, path, body=None, csrf=True, **headers):
        if self.cookie:
            headers["Cookie"] = self.cookie
        if csrf and self.csrf and method != "GET":
            headers["X-CSRF-Token"] = self.csrf
        return self.raw(method, "/api/v1/" + path, body, headers)


@pytest.fixture
def own(tmp_path):
    """A server of the test's own: throttling and clocks are not shared."""
    running = Server(tmp_path)
    yield running
    assert running.stop() == 0


@pytest.fixture
def browser(server, seller):
    return Browser(server.port)


def test_signing_in_gives_a_cookie_a_csrf_token_and_the_user(browser, server):
    answer = browser.sign_in("seller")
    assert answer.status == 201 and answer.headers["Location"] == "/api/v1/sessions/current"
    parts = [p.strip() for p in answer.headers["Set-Cookie"].split(";")]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(parts) and "Secure" not in parts
    assert len(parts[0].split("=", 1)[1]) == 43  # 256 bits
    assert answer.json["user"]["login"] == "seller" and answer.json["user"]["id"] == server.users["seller"]
    assert "no-" in answer.headers["Cache-Control"]
    assert browser.send("GET", "me").json["login"] == "seller"
    current = browser.send("GET", "sessions/current").json
    assert current["user"]["login"] == "seller" and current["csrf_token"] == browser.csrf  # for a page that was loaded anew


def test_the_cookie_is_secure_behind_tls(tmp_path):
    config = tmp_path / "config.lua"
    config.write_text('return { trusted_proxies = { "127.0.0.1" } }')
    running = Server(tmp_path, "--config", config)
    try:
        running.user("seller", "crm_sales")
        answer = Browser(running.port).raw("POST", "/api/v1/sessions", {"login": "seller", "password": PASSWORD}, {"X-Forwarded-Proto": "https"})
        assert answer.status == 201 and "; Secure" in answer.headers["Set-Cookie"]
    finally:
        assert running.stop() == 0


def test_changes_from_a_browser_need_the_csrf_token(browser):
    browser.sign_in("seller")
    assert browser.send("POST", "companies", {"name": "Csrf"}, csrf=False).status == 403
    for wrong in ("", "x", "A" * 43, browser.cookie.split("=")[1]):
        refused = browser.send("POST", "companies", {"name": "Csrf"}, csrf=False, **{"X-CSRF-Token": wrong})
        assert refused.status == 403 and refused.json["errors"][0]["code"] == "csrf"
    other = Browser(browser.port)
    other.sign_in("seller")
    assert browser.send("POST", "companies", {"name": "Csrf"}, csrf=False, **{"X-CSRF-Token": other.csrf}).status == 403
    assert browser.send("DELETE", "sessions/current", csrf=False).status == 403
    assert browser.send("POST", "companies", {"name": "Csrf"}).status == 201


def test_a_token_needs_no_csrf_token(seller):
    assert seller.post("companies", {"name": "By token"}).status == 201


def test_signing_out_ends_the_session_at_once_on_every_thread(browser):
    browser.sign_in("seller")
    for _ in range(8):
        assert browser.send("GET", "me").status == 200
    answer = browser.send("DELETE", "sessions/current")
    assert answer.status == 204 and "Max-Age=0" in answer.headers["Set-Cookie"]
    for _ in range(8):
        assert browser.send("GET", "me").status == 401


def test_a_new_sign_in_never_continues_a_session_that_was_there(browser):
    browser.sign_in("seller")
    old = Browser(browser.port)
    old.cookie, old.csrf = browser.cookie, browser.csrf
    assert browser.sign_in("seller").status == 201
    assert browser.cookie != old.cookie and browser.csrf != old.csrf
    assert old.send("GET", "me").status == 401 and browser.send("GET", "me").status == 200


def test_a_planted_cookie_is_never_adopted(server, seller):
    browser = Browser(server.port)
    browser.cookie = "perigee_session=" + "A" * 43
    answer = browser.sign_in("seller")
    assert answer.status == 201 and "A" * 43 not in answer.headers["Set-Cookie"]
    assert server_raw(server, "GET", "/api/v1/me", {"Cookie": "perigee_session=" + "A" * 43}).status == 401


def server_raw(server, method, path, headers, body=None):
    return Client(server.port).raw(method, path, body, headers)


def test_secrets_of_sessions_are_no_tokens_nor_the_other_way_round(browser, server):
    browser.sign_in("seller")
    secret = browser.cookie.split("=", 1)[1]
    assert browser.send("GET", "me").status == 200
    assert server_raw(server, "GET", "/api/v1/me", {"Authorization": "Bearer " + secret}).status == 401
    token = server.tokens["seller"]
    assert server_raw(server, "GET", "/api/v1/me", {"Authorization": "Bearer " + token}).status == 200
    assert server_raw(server, "GET", "/api/v1/me", {"Cookie": "perigee_session=" + token}).status == 401


def test_wrong_credentials_are_401_with_a_challenge(server):
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer pgt_" + "A" * 43},
                    {"Authorization": "Bearer " + "x" * 5000}, {"Cookie": "perigee_session="}, {"Cookie": "perigee_session=\"; DROP"}):
        answer = server_raw(server, "GET", "/api/v1/me", headers)
        assert answer.status == 401 and answer.json["code"] == "unauthenticated" and "WWW-Authenticate" in answer.headers


def test_a_wrong_login_and_a_wrong_password_look_the_same(own):
    own.user("known", "crm_sales")
    own.user("gone", "crm_sales")
    perigee("user", "deactivate", "--data", own.data, "--login", "gone")
    answers = [Browser(own.port).sign_in(login, password).json for login, password in (("known", "not this one"), ("nobody", PASSWORD), ("gone", PASSWORD))]
    for answer in answers:
        answer.pop("request_id")
    assert answers[0] == answers[1] == answers[2] and answers[0]["status"] == 401


def test_a_wrong_login_and_a_wrong_password_take_the_same_time(own):
    for i in range(8):
        own.user(f"known{i}", "crm_sales")
    times = {True: [], False: []}
    Browser(own.port).sign_in("warm", "up")
    for i in range(8):
        for known in (True, False):
            started = time.monotonic()
            assert Browser(own.port).sign_in(f"known{i}" if known else f"nobody{i}", "wrong wrong wrong").status == 401
            times[known].append(time.monotonic() - started)
    right, wrong = statistics.median(times[True]), statistics.median(times[False])
    assert 0.5 < right / wrong < 2 and min(right, wrong) > 0.02  # both hash


def test_guessing_at_an_account_is_slowed_with_retry_after(own):
    own.user("known", "crm_sales")
    for login in ("known", "nobody"):
        statuses = [Browser(own.port).sign_in(login, "wrong").status for _ in range(6)]
        assert statuses[:3] == [401, 401, 401] and 429 in statuses[3:]
        refused = Browser(own.port).sign_in(login, PASSWORD)  # even with the right one
        assert refused.status == 429 and refused.json["code"] == "too_many_requests" and 1 <= int(refused.headers["Retry-After"]) <= 900
    own.user("bystander", "crm_sales")
    assert Browser(own.port).sign_in("bystander").status == 201


def test_many_guesses_sent_at_once_are_slowed_too(own):
    own.user("known", "crm_sales")
    statuses = []
    threads = [threading.Thread(target=lambda i=i: statuses.append(Browser(own.port).sign_in("known", f"wrong {i}").status)) for i in range(30)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses.count(401) <= 11 and statuses.count(429) >= 19


def test_after_the_wait_the_right_password_works_and_forgets(own):
    own.user("known", "crm_sales")
    for _ in range(3):
        Browser(own.port).sign_in("known", "wrong")
    deadline = time.monotonic() + 20
    while Browser(own.port).sign_in("known").status != 201:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [Browser(own.port).sign_in("known", "wrong").status for _ in range(3)] == [401] * 3


def age(own, statement, *values):
    """Time passes: what the database keeps of a session is moved into the past while the server is down."""
    assert own.stop() == 0
    with sqlite3.connect(own.data / "perigee.db") as db:
        assert db.execute(statement, values).rowcount > 0
    db.close()
    own.start()


def test_a_session_ends_when_idle(own):
    own.user("known", "crm_sales")
    browser = Browser(own.port)
    browser.sign_in("known")
    hours = 3600 * 1000
    age(own, "UPDATE perigee_session SET seen_at = seen_at - ?", 7 * hours)
    browser.port = own.port
    assert browser.send("GET", "me").status == 200
    age(own, "UPDATE perigee_session SET seen_at = seen_at - ?", 9 * hours)
    browser.port = own.port
    assert browser.send("GET", "me").status == 401


def test_a_session_ends_absolutely_however_busy(own):
    own.user("known", "crm_sales")
    browser = Browser(own.port)
    browser.sign_in("known")
    age(own, "UPDATE perigee_session SET expires_at = ?", int(time.time() * 1000) - 1)
    browser.port = own.port
    assert browser.send("GET", "me").status == 401


def test_the_database_keeps_no_secret(own):
    own.user("known", "crm_sales")
    browser = Browser(own.port)
    browser.sign_in("known")
    made = Client(own.port, own.tokens["known"]).post("tokens", {"name": "n"}).json["token"]
    assert own.stop() == 0
    stored = b"".join(p.read_bytes() for p in own.data.iterdir() if p.is_file())
    log = (own.data.parent / "serve.log").read_bytes()
    for secret in (browser.cookie.split("=", 1)[1], browser.csrf, made, own.tokens["known"], PASSWORD):
        assert secret.encode() not in stored and secret.encode() not in log
    assert b"$argon2id$" in stored
    own.start()


def test_a_password_change_ends_the_sessions_and_needs_the_present_one(own):
    own.user("known", "crm_sales")
    me = own.users["known"]
    here, there = Browser(own.port), Browser(own.port)
    here.sign_in("known"), there.sign_in("known")
    wrong = here.send("POST", f"users/{me}/password", {"password": "another long secret", "current": "not it"})
    assert wrong.status == 403 and wrong.json["errors"][0]["pointer"] == "/current"
    assert here.send("POST", f"users/{me}/password", {"password": "short", "current": PASSWORD}).status == 422
    assert here.send("POST", f"users/{me}/password", {"password": "another long secret", "current": PASSWORD}).status == 204
    assert here.send("GET", "me").status == 401 and there.send("GET", "me").status == 401
    assert here.sign_in("known").status == 401
    assert here.sign_in("known", "another long secret").status == 201


def test_nobody_but_an_administrator_sets_the_password_of_another(server, admin, manager, seller):
    victim = server.users["seller"]
    body = {"password": "taken over by me", "current": PASSWORD}
    assert manager.post(f"users/{victim}/password", body).status == 403
    fresh = admin.made("users", login="fresh", name="Fresh", roles=["crm_sales"])["id"]
    assert manager.post(f"users/{fresh}/password", body).status == 403
    unknown = seller.post("users/0000000000000/password", body)
    assert unknown.status == 404
    assert admin.post(f"users/{fresh}/password", {"password": "set by the admin"}).status == 204
    assert Browser(server.port).sign_in("fresh", "set by the admin").status == 201


def test_a_deactivated_user_is_out_at_once_and_stays_out(own):
    admin = own.user("root", "crm_admin")
    known = own.user("known", "crm_sales")
    browser = Browser(own.port)
    browser.sign_in("known")
    assert browser.send("GET", "me").status == 200 and known.get("me").status == 200
    assert admin.delete("users/" + own.users["known"]).status == 204
    for _ in range(8):
        assert browser.send("GET", "me").status == 401 and known.get("me").status == 401
    assert browser.sign_in("known").status == 401
    assert admin.patch("users/" + own.users["known"], {"active": True}).status == 200
    assert browser.send("GET", "me").status == 401 and known.get("me").status == 401  # the old ones are gone for good
    assert Browser(own.port).sign_in("known").status == 201


def test_users_and_tokens_of_the_command_line_are_seen_at_once(own):
    first = own.user("first", "crm_sales", "--direction", "cloud")
    assert first.get("me").json["directions"] == ["cloud"]
    second = own.user("second", "crm_admin")
    assert second.get("me").json["roles"] == ["crm_admin"]
    assert Browser(own.port).sign_in("second").status == 201
    perigee("user", "password", "--data", own.data, "--login", "second", "--password-stdin", stdin="changed by the owner\n")
    assert Browser(own.port).sign_in("second", "changed by the owner").status == 201
    perigee("user", "deactivate", "--data", own.data, "--login", "second")
    assert second.get("me").status == 401
    assert first.post("companies", {"name": "After the command line"}).status == 201
    assert perigee("audit", "verify", "--data", own.data).returncode == 0


def test_bad_sign_ins_say_which_field(browser):
    for body, pointer in (({"login": "x"}, "/password"), ({"password": "x"}, "/login"), ({"login": 1, "password": "x"}, "/login")):
        answer = browser.raw("POST", "/api/v1/sessions", body)
        assert answer.status == 422 and answer.json["errors"][0]["pointer"] == pointer
    assert browser.raw("POST", "/api/v1/sessions", {"login": "a", "password": "b", "x": 1}).status == 400
    assert browser.raw("POST", "/api/v1/sessions", "login=a&password=b", {"Content-Type": "application/x-www-form-urlencoded"}).status == 415


def test_me_says_who_i_am_and_what_i_may_do(server, manager, seller):
    me = seller.get("me").json
    assert set(me) == {"id", "login", "name", "language", "time_zone", "roles", "groups", "directions", "partner", "rights"}
    assert me["roles"] == ["crm_sales"] and me["directions"] == ["cloud"] and me["partner"] is None and me["groups"] == []
    assert set(me["rights"]["opportunity"]) == {"create", "read", "update"} and "delete" in manager.get("me").json["rights"]["opportunity"]
    assert me["time_zone"] == "Europe/Moscow" and me["language"] in ("en", "ru")
