"""Errors as the contract describes them: api.md §4."""
import re

import pytest

from wire import request

JSON = {"Content-Type": "application/json"}


def catalogue(admin, company, server, seller, other):
    """A request for each code that can be had without special scripts."""
    mine = admin.made("opportunities", name="Errors", company=company["id"], direction="cloud")
    token = admin.token
    yield "bad_request", 400, admin("POST", "companies", "{", JSON)
    yield "bad_filter", 400, admin.get("companies", filter="name =")
    yield "unknown_field", 400, admin.post("companies", {"name": "A", "nope": 1})
    yield "forbidden", 403, seller.post("stages", {"code": "x", "name": "x"})
    yield "field_forbidden", 403, admin.patch("companies/" + company["id"], {"version": 3})
    yield "not_found", 404, other.get("opportunities/" + mine["id"])
    yield "method_not_allowed", 405, admin("PUT", "companies", {})
    yield "duplicate", 409, admin.post("stages", {"code": "new", "name": "x"})
    yield "stale", 412, admin.patch("companies/" + company["id"], {"size": 1}, {"If-Match": '"999"'})
    yield "unsupported_media_type", 415, admin("POST", "companies", "{}", {"Content-Type": "text/plain"})
    yield "payload_too_large", 413, admin("POST", "companies", b" " * (1 << 21), JSON)
    yield "validation_failed", 422, admin.post("companies", {})
    yield "gate_refused", 422, admin.post(f"opportunities/{mine['id']}/actions/move", {"stage": "qualification"})
    assert token


def test_every_problem_has_the_members_of_rfc_9457_and_a_page(admin, company, server, seller, other):
    seen = set()
    for code, status, answer in catalogue(admin, company, server, seller, other):
        assert answer.status == status, (code, answer.status, answer.body)
        assert answer.headers["Content-Type"] == "application/problem+json"
        problem = answer.json
        assert problem["code"] == code and problem["status"] == status
        assert problem["type"] == "/problems/" + code.replace("_", "-")
        assert problem["title"] and problem["detail"]
        assert problem["request_id"] == answer.headers["X-Request-Id"]
        page = admin("GET", problem["type"])
        assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8" and code.encode() in page.body
        seen.add(code)
    assert len(seen) == 13


CODES = """bad_request bad_filter unknown_field unauthenticated forbidden field_forbidden not_found method_not_allowed conflict duplicate stale
precondition_required payload_too_large unsupported_media_type validation_failed gate_refused rejected script_error script_limit query_limit
too_many_requests unavailable internal not_implemented http_version_not_supported expectation_failed uri_too_long headers_too_large
request_timeout failed_dependency""".split()


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_a_page_in_both_languages(admin, code):
    path = "/problems/" + code.replace("_", "-")
    english, russian = admin("GET", path), admin("GET", path, headers={"Accept-Language": "ru"})
    assert english.status == russian.status == 200
    assert b'<html lang="en">' in english.body and b'<html lang="ru">' in russian.body
    assert re.search("[а-я]{4}", russian.body.decode()) and f"<code>{code}</code>" in english.body.decode()


def test_errors_follow_the_language(admin, company, server, seller, other):
    english = list(catalogue(admin, company, server, seller, other))
    for person in (admin, seller, other):
        person.language = "ru-RU,ru;q=0.9,en;q=0.5"
    try:
        for (code, _, one), (_, _, answer) in zip(english, catalogue(admin, company, server, seller, other)):
            assert answer.headers["Content-Language"] == "ru" and one.headers["Content-Language"] == "en"
            for member in ("title", "detail"):
                assert re.search("[А-Яа-я]", answer.json[member]), (code, answer.json)
                assert not re.search("[А-Яа-я]", one.json[member]), (code, one.json)
            for entry in answer.json.get("errors", []):
                assert re.search("[А-Яа-я]", entry["message"]), (code, entry)
            assert [e["code"] for e in answer.json.get("errors", [])] == [e["code"] for e in one.json.get("errors", [])]
    finally:
        for person in (admin, seller, other):
            person.language = None


@pytest.mark.parametrize("accept,language", [("ru", "ru"), ("en", "en"), ("de", "en"), ("de, ru;q=0.1", "ru"), ("en;q=0.5, ru;q=0.6", "ru"),
                                             ("RU-ru", "ru"), ("*", "en"), ("", "en"), ("ru;q=0", "en"), ("ru;q=abc, en", "en"), ("," * 100, "en"),
                                             ("en-US,en;q=0.9,ru;q=0.8", "en"), ("ru ; q=0.9 , en ; q=0.8", "ru")])
def test_the_language_is_negotiated(admin, accept, language):
    assert admin("GET", "nothing", headers={"Accept-Language": accept}).headers["Content-Language"] == language


# ---- who may know, who may do ----

def test_not_signed_in_is_401_with_a_challenge(server):
    for path in ("/api/v1/companies", "/api/v1/me", "/api/v1/schema", "/api/v1/events", "/api/v1/openapi.json", "/api/v1/nothing"):
        for fields in ((), ("Authorization: Bearer pgt_wrong",), ("Authorization: Bearer ",), ("Authorization: Basic YTpi",),
                       ("Authorization: Bearer " + "a" * 5000,), ("Cookie: perigee_session=deadbeef",)):
            status, headers, body = request(server.port, f"GET {path} HTTP/1.1", *fields)
            assert status == 401 and headers["www-authenticate"].startswith("Bearer"), (path, fields)
            assert b'"unauthenticated"' in body


def test_401_comes_before_anything_else_is_said(server):
    for line in ("POST /api/v1/companies HTTP/1.1", "PATCH /api/v1/companies/x HTTP/1.1", "DELETE /api/v1/companies/x HTTP/1.1",
                 "POST /api/v1/batch HTTP/1.1"):
        status, _, _ = request(server.port, line, "Content-Type: application/json", body=b"{broken")
        assert status == 401, line


def test_what_one_may_not_know_is_404_and_what_one_may_not_do_403(admin, seller, other, company):
    deal = admin.made("opportunities", name="Visible", company=company["id"], direction="cloud")
    path = "opportunities/" + deal["id"]
    assert seller.get(path).status == 200
    for refused in (seller.patch(path, {"name": "x"}), seller.post(path + "/actions/move", {"stage": "new"})):
        assert refused.status == 403, refused.body
    for refused in (other.get(path), other.patch(path, {"name": "x"}), other.delete(path), other.get(path + "/timeline"),
                    other.get(path + "/actions"), other.post(path + "/actions/move", {"stage": "new"}),
                    other.post(path + "/comments", {"text": "x"})):
        assert refused.status == 404 and deal["name"] not in refused.body.decode(), refused.body


def test_only_developers_see_file_and_line(admin, manager, company):
    """A gate function of a script says no: its place is for administrators."""
    contact = admin.made("contacts", name="Gate", company=company["id"], direction="cloud")
    deal = admin.made("opportunities", name="Places", company=company["id"], direction="cloud", contact=contact["id"], probability=10)
    path = f"opportunities/{deal['id']}/actions/move"
    seen = admin.post(path, {"stage": "qualification"})
    assert seen.status == 422 and any(e.get("file", "").endswith(".lua") and e["line"] > 0 for e in seen.json["errors"])
    hidden = manager.post(path, {"stage": "qualification"})
    assert hidden.status == 422 and b".lua" not in hidden.body and b'"line"' not in hidden.body


# ---- what the HTTP layer refuses ----

@pytest.mark.parametrize("status,code,line,fields", [
    (414, "uri_too_long", "GET /" + "a" * 9000 + " HTTP/1.1", ()),
    (414, "uri_too_long", "GET /api/v1/companies?filter=" + "a" * 9000 + " HTTP/1.1", ()),
    (431, "headers_too_large", "GET / HTTP/1.1", ("X: " + "a" * 20000,)),
    (431, "headers_too_large", "GET / HTTP/1.1", tuple(f"X-{i}: 1" for i in range(150))),
    (405, "method_not_allowed", "TRACE / HTTP/1.1", ()),
    (501, "not_implemented", "BREW /pot HTTP/1.1", ()),
    (505, "http_version_not_supported", "GET / HTTP/3.0", ()),
    (400, "bad_request", "GET /%zz HTTP/1.1", ()),
    (400, "bad_request", "GET /%00 HTTP/1.1", ()),
    (400, "bad_request", "GET /%ff HTTP/1.1", ()),
    (400, "bad_request", "GET / HTTP/1.1", ("Content-Length: abc",)),
    (417, "expectation_failed", "POST /api/v1/companies HTTP/1.1", ("Expect: miracles",)),
])
def test_requests_that_no_handler_sees_are_problems_too(server, status, code, line, fields):
    got, headers, body = request(server.port, line, "Accept-Language: ru", *fields)
    assert got == status and headers["content-type"] == "application/problem+json"
    assert f'"code":"{code}"'.encode() in body and headers["x-request-id"].encode() in body
    assert headers["x-content-type-options"] == "nosniff"
    if code not in ("uri_too_long", "headers_too_large") and status not in (501, 505, 405):
        assert re.search("[а-я]", body.decode()), body
    if status == 405:
        assert "GET" in headers["allow"]
