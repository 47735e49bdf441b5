"""The basics of the contract: api.md §1."""
import gzip
import re

import pytest
from conftest import Client, Server

from wire import request

JSON = {"Content-Type": "application/json"}
SECURITY = ("X-Content-Type-Options", "X-Frame-Options", "Content-Security-Policy", "Referrer-Policy",
            "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Cache-Control")


@pytest.fixture(scope="module")
def deal(admin, company):
    return admin.made("opportunities", name="Basics", company=company["id"], direction="cloud", amount=10)


# ---- what a record looks like ----

def test_a_record_has_its_fixed_fields(admin, deal):
    for name in ("id", "number", "created_at", "created_by", "updated_at", "updated_by", "version"):
        assert name in deal
    assert re.fullmatch(r"OPP\d+", deal["number"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", deal["created_at"])
    me = admin.get("me").json["id"]
    assert deal["created_by"] == me == deal["updated_by"] and deal["version"] == 1


def test_ids_are_in_the_order_of_time_and_not_in_a_row(admin):
    ids = [admin.made("industries", code=f"order{i}", name="x")["id"] for i in range(20)]
    assert ids == sorted(ids) and len(set(ids)) == 20
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    numbers = [sum(alphabet.index(c) * 32**k for k, c in enumerate(reversed(i))) if all(c in alphabet for c in i) else None for i in ids]
    gaps = {b - a for a, b in zip(numbers, numbers[1:])} if None not in numbers else set()
    assert not gaps or len(gaps) > 10, "the steps between ids tell how many there are"


def test_a_setting_answers_to_its_code_and_to_its_id(admin):
    by_code = admin.get("stages/new").json
    assert admin.get("stages/" + by_code["id"]).json == by_code
    assert admin.patch("stages/" + by_code["id"], {}).status == 200


def test_references_to_settings_are_codes_and_take_an_id(admin, deal):
    assert deal["stage"] == "new" and deal["currency"] == "RUB" and deal["direction"] == "cloud"
    direction = admin.get("directions/hardware").json["id"]
    changed = admin.patch("opportunities/" + deal["id"], {"direction": direction})
    assert changed.status == 200 and changed.json["direction"] == "hardware"
    for value in ("hardware", direction):
        found = admin.get("opportunities", filter=f'direction = "{value}" and id = "{deal["id"]}"').json["items"]
        assert [r["id"] for r in found] == [deal["id"]], value
    assert admin.patch("opportunities/" + deal["id"], {"direction": "cloud"}).json["direction"] == "cloud"


def test_expand_shows_id_and_name_of_several_references(admin, deal, company):
    got = admin.get("opportunities/" + deal["id"], expand="company,responsible,stage").json
    assert got["company"] == {"id": company["id"], "name": company["name"]}
    assert got["responsible"]["name"] == "Admin" and got["stage"]["code"] == "new"


def test_expand_and_fields_go_together(admin, deal, company):
    got = admin.get("opportunities/" + deal["id"], fields="id,name,amount", expand="company").json
    assert got == {"id": deal["id"], "name": "Basics", "amount": 10, "company": {"id": company["id"], "name": company["name"]}}
    page = admin.get("opportunities", fields="id,name", expand="company", filter=f'id = "{deal["id"]}"').json["items"]
    assert page == [{"id": deal["id"], "name": "Basics", "company": {"id": company["id"], "name": company["name"]}}]


@pytest.mark.parametrize("expand", ["name", "nothing", "company.responsible", "company,nothing"])
def test_what_is_no_reference_cannot_be_expanded(admin, deal, expand):
    refused = admin.get("opportunities/" + deal["id"], expand=expand)
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "expand"


def test_fields_may_be_spaced_and_an_unknown_one_is_400(admin, deal):
    assert set(admin.get("opportunities/" + deal["id"], fields="name, amount").json) == {"id", "name", "amount"}
    refused = admin.get("opportunities/" + deal["id"], fields="name,amuont")
    assert refused.status == 400 and refused.json["code"] == "unknown_field" and refused.json["errors"][0]["suggestion"] == "amount"


# ---- create, change, delete ----

def test_create_answers_place_tag_and_record(admin):
    made = admin.post("contacts", {"name": "Petrov"})
    assert made.status == 201 and made.headers["ETag"] == '"1"'
    assert admin.get(made.headers["Location"]).json == made.json


def test_delete_answers_204_without_a_body(admin):
    code = admin.made("industries", code="gone", name="Gone")["id"]
    gone = admin.delete("industries/" + code)
    assert gone.status == 204 and gone.body == b"" and "Content-Type" not in gone.headers
    assert admin.delete("industries/" + code).status in (204, 404)


@pytest.mark.parametrize("body", ["[]", "null", '"text"', "5", "true"])
@pytest.mark.parametrize("method,path", [("POST", "companies"), ("PATCH", "companies/{id}"), ("POST", "batch"),
                                         ("POST", "opportunities/{deal}/actions/move"), ("POST", "opportunities/{deal}/comments")])
def test_a_body_that_is_no_object_is_400(admin, company, deal, method, path, body):
    refused = admin(method, path.format(id=company["id"], deal=deal["id"]), body, JSON)
    assert refused.status == 400 and refused.json["code"] == "bad_request"


def test_null_in_a_patch_removes(admin):
    record = admin.made("companies", name="Nulls", site="https://a.example", size=3)
    got = admin.patch("companies/" + record["id"], {"site": None, "size": None}).json
    assert got["site"] is None and got["size"] is None and got["version"] == 2
    refused = admin.patch("companies/" + record["id"], {"name": None})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/name"


def test_a_patch_that_changes_nothing_writes_nothing(admin):
    record = admin.made("companies", name="Same", size=3)
    same = admin.patch("companies/" + record["id"], {"name": "Same", "size": 3})
    assert same.status == 200 and same.json == record and same.headers["ETag"] == '"1"'
    assert admin.patch("companies/" + record["id"], {}).json == record
    assert len(admin.get(f"companies/{record['id']}/timeline").json["items"]) == 1


@pytest.mark.parametrize("kind", ["application/json", "application/merge-patch+json", "application/json; charset=utf-8",
                                  'application/merge-patch+json;charset="UTF-8"', "APPLICATION/JSON"])
def test_a_patch_may_be_json_or_merge_patch(admin, company, kind):
    assert admin("PATCH", "companies/" + company["id"], '{"size":7}', {"Content-Type": kind}).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "application/json; charset=latin1",
                                  "application/jsonx", "application/json-patch+json", "", "json", "multipart/form-data; boundary=x"])
def test_another_type_of_body_is_415(admin, kind):
    refused = admin("POST", "companies", '{"name":"A"}', {"Content-Type": kind})
    assert refused.status == 415 and refused.json["code"] == "unsupported_media_type"


def test_a_merge_patch_does_not_create(admin):
    assert admin("POST", "companies", '{"name":"A"}', {"Content-Type": "application/merge-patch+json"}).status == 415


def test_a_body_without_a_type_is_415(server, admin):
    status, fields, _ = request(server.port, "POST /api/v1/companies HTTP/1.1", body=b'{"name":"A"}', token=admin.token)
    assert status == 415 and fields["content-type"] == "application/problem+json"


def test_a_body_over_the_limit_is_413(server, admin):
    body = b'{"name":"' + b"a" * (1 << 20) + b'"}'
    refused = admin("POST", "companies", body, JSON)
    assert refused.status == 413 and refused.json["code"] == "payload_too_large"
    status, _, _ = request(server.port, "POST /api/v1/companies HTTP/1.1", "Content-Type: application/json", "Content-Length: 99999999999",
                           token=admin.token)
    assert status == 413


def test_a_body_just_under_the_limit_is_taken(admin):
    body = b'{"name":"Big","description":"' + b"a" * ((1 << 20) - 64) + b'"}'
    assert len(body) < 1 << 20
    assert admin("POST", "companies", body, JSON).status in (201, 422)


def test_prefer_minimal_answers_without_a_body(admin):
    minimal = {"Prefer": "return=minimal"}
    made = admin.post("companies", {"name": "Minimal"}, minimal)
    assert made.status == 201 and made.body == b"" and made.headers["Location"] and made.headers["ETag"] == '"1"'
    assert made.headers["Preference-Applied"] == "return=minimal"
    where = made.headers["Location"]
    changed = admin.patch(where, {"size": 2}, minimal)
    assert changed.status == 204 and changed.body == b"" and changed.headers["ETag"] == '"2"'
    assert admin.patch(where, {"size": 3}, {"Prefer": "respond-async, return=minimal; foo=bar"}).status == 204
    assert admin.patch(where, {"size": 4}, {"Prefer": "return=representation"}).status == 200
    assert admin.patch(where, {"siez": 4}, minimal).json["code"] == "unknown_field"


def test_unknown_and_forbidden_fields_are_all_named(admin, company):
    refused = admin.patch("companies/" + company["id"], {"nope": 1, "nada": 2})
    assert refused.status == 400 and {e["pointer"] for e in refused.json["errors"]} == {"/nope", "/nada"}
    refused = admin.patch("companies/" + company["id"], {"id": "x", "created_at": None})
    assert refused.status == 403 and refused.json["code"] == "field_forbidden"


def test_a_pointer_escapes_the_name_as_rfc_6901_says(admin):
    refused = admin.post("companies", {"name": "A", "a/b~c": 1})
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "/a~1b~0c"


# ---- paths and methods ----

@pytest.mark.parametrize("path", ["/nothing", "/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/companies", "/api/v1/nothing", "/api/v1/Companies",
                                  "/api/v1/companies/", "/api/v1/companies//actions", "/api/v1/companies/x/y/z/a/b/c/d/e/f", "/problems/",
                                  "/problems/nothing", "/api/v1/companies/board/", "/%2e%2e/etc/passwd", "/../etc/passwd"])
def test_an_unknown_path_is_404(admin, path):
    refused = admin("GET", path)
    assert refused.status == 404 and refused.json["code"] == "not_found" and refused.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("identity", ["0000000000000", "x", "05AFE5EQ5RCAN", "05afe5eq5rca", "05afe5eq5rcanx", "-1", "%20", "1%27%20or%201=1",
                                      "05afe5eq5rcai", "zzzzzzzzzzzzz", "%D0%B0", "a" * 500])
def test_an_unknown_id_is_404(admin, identity):
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/timeline"), ("GET", "/actions"), ("POST", "/comments")):
        body = {"text": "x"} if method == "POST" else {} if method == "PATCH" else None
        refused = admin(method, "opportunities/" + identity + path, body)
        assert refused.status == 404 and refused.json["code"] == "not_found", (method, path)


@pytest.mark.parametrize("method,path,allowed", [
    ("PUT", "companies", "GET, HEAD, POST, OPTIONS"), ("DELETE", "companies", "GET, HEAD, POST, OPTIONS"),
    ("POST", "companies/{id}", "GET, HEAD, PATCH, DELETE, OPTIONS"), ("PUT", "companies/{id}", "GET, HEAD, PATCH, DELETE, OPTIONS"),
    ("POST", "me", "GET, HEAD, OPTIONS"), ("GET", "batch", "POST, OPTIONS"), ("DELETE", "companies/board", "GET, HEAD, OPTIONS"),
    ("POST", "/healthz", "GET, HEAD, OPTIONS"), ("POST", "/", "GET, HEAD, OPTIONS"), ("PATCH", "companies/{id}/timeline", "GET, HEAD, OPTIONS")])
def test_another_method_is_405_with_allow(admin, company, method, path, allowed):
    refused = admin(method, path.format(id=company["id"]), {} if method != "DELETE" else None)
    assert refused.status == 405 and refused.json["code"] == "method_not_allowed"
    assert refused.headers["Allow"] == allowed


def test_a_wrong_method_at_an_unknown_collection_is_404(admin):
    assert admin("PUT", "nothing", {}).status == 404


def test_head_answers_as_get_without_the_body(admin, company):
    for path in ("companies", "companies/" + company["id"], "me", "schema", "openapi.json", "/healthz", "/", "companies/nothing"):
        get, head = admin("GET", path), admin("HEAD", path)
        assert head.status == get.status and head.body == b""
        for name in ("Content-Type", "Content-Length", "ETag", "Vary"):
            assert head.headers.get(name) == get.headers.get(name), (path, name)


def test_options_says_what_is_allowed(admin, company):
    answer = admin("OPTIONS", "companies/" + company["id"])
    assert answer.status == 204 and answer.headers["Allow"] == "GET, HEAD, PATCH, DELETE, OPTIONS"
    assert "application/merge-patch+json" in answer.headers["Accept-Patch"]


def test_options_of_the_whole_server(server):
    status, fields, _ = request(server.port, "OPTIONS * HTTP/1.1")
    assert status == 204 and "PATCH" in fields["allow"]


# ---- on every answer ----

def answers(admin, company):
    yield admin.get("companies/" + company["id"])
    yield admin.get("companies")
    yield admin.get("nothing")
    yield admin("PUT", "companies", {})
    yield admin.post("companies", {"nope": 1})
    yield admin.post("companies", {"name": "Headers"}, {"Prefer": "return=minimal"})
    yield admin("OPTIONS", "companies")
    yield admin("GET", "companies/" + company["id"], headers={"If-None-Match": "*"})
    yield admin("GET", "/")
    yield admin("GET", "/healthz")
    yield admin("GET", "/metrics")
    yield admin("GET", "/problems/not-found")
    yield admin("GET", "companies", headers={"Accept": "text/csv"})


def test_every_answer_has_a_request_id_and_the_security_headers(admin, company):
    for answer in answers(admin, company):
        assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", answer.headers["X-Request-Id"])
        for name in SECURITY:
            assert answer.headers[name], (answer.status, name)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in answer.headers and "X-Powered-By" not in answer.headers


def test_a_sane_request_id_is_taken_over_and_another_is_not(admin):
    sane = "my-request_1.2"
    answer = admin("GET", "nothing", headers={"X-Request-Id": sane})
    assert answer.headers["X-Request-Id"] == sane == answer.json["request_id"]
    for bad in ("a" * 65, "a b", "a;b", "<script>", "", "\u00e9".encode().decode("latin-1")):
        got = admin("GET", "me", headers={"X-Request-Id": bad}).headers["X-Request-Id"]
        assert got != bad and re.fullmatch(r"[A-Za-z0-9._-]+", got)


def test_request_ids_differ(admin):
    assert len({admin.get("me").headers["X-Request-Id"] for _ in range(50)}) == 50


def test_gzip_where_the_client_takes_it_and_it_helps(admin):
    plain = admin.get("schema")
    packed = admin.raw("GET", "/api/v1/schema", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip" and gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3 and "Accept-Encoding" in packed.headers["Vary"] and "Accept-Encoding" in plain.headers["Vary"]
    for refusing in ("identity", "br", "gzip;q=0", "*;q=0", "gzip;q=0.000, *"):
        answer = admin.raw("GET", "/api/v1/schema", headers={"Accept-Encoding": refusing})
        assert "Content-Encoding" not in answer.headers, refusing
    for taking in ("*", "br, gzip;q=0.5", "GZIP", "x-gzip, gzip"):
        answer = admin.raw("GET", "/api/v1/schema", headers={"Accept-Encoding": taking})
        assert answer.headers.get("Content-Encoding") == "gzip", taking
    small = admin.raw("GET", "/healthz", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in small.headers


def test_answers_vary_by_language(admin):
    assert "Accept-Language" in admin.get("stages/new").headers["Vary"]


# ---- the small page ----

def test_without_a_desk_the_page_at_the_root_says_what_is_running_without_scripts(tmp_path):
    (tmp_path / "config.lua").write_text('return { desk = "" }')
    alone = Server(tmp_path, "--config", tmp_path / "config.lua")
    try:
        check_small_page(Client(alone.port))
    finally:
        assert alone.stop() == 0


def check_small_page(anybody):
    page = anybody("GET", "/")
    text = page.body.decode()
    assert page.status == 200 and page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Perigee" in text and "openapi.json" in text and "token create" in text
    assert "<script" not in text and "style=" not in text and "onload" not in text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    russian = anybody("GET", "/", headers={"Accept-Language": "ru"})
    assert "работает" in russian.body.decode() and russian.headers["Content-Language"] == "ru"


# ---- what the client would rather have ----

@pytest.mark.parametrize("accept,kind", [
    (None, "application/json"), ("", "application/json"), ("*/*", "application/json"), ("application/json", "application/json"),
    ("text/csv", "text/csv"), ("TEXT/CSV", "text/csv"), ("application/x-ndjson", "application/x-ndjson"), ("text/*", "text/csv"),
    ("text/csv;q=0", "application/json"), ("application/json, text/csv", "application/json"), ("application/json, text/csv;q=0.9", "application/json"),
    ("text/csv, */*;q=0.1", "text/csv"), ("application/json;q=0.5, text/csv", "text/csv"), ("text/csv;q=0.2, application/x-ndjson;q=0.3", "application/x-ndjson"),
    ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "application/json"), ("text/csv; charset=utf-8; q=0.7", "text/csv"),
    ("image/png", "application/json"), ("text/csv;q=nonsense", "application/json"), ("application/*", "application/json")])
def test_a_list_comes_as_the_client_would_rather_have_it(admin, accept, kind):
    answer = admin("GET", "industries", headers={} if accept is None else {"Accept": accept})
    assert answer.status == 200 and answer.headers["Content-Type"].split(";")[0] == kind
    assert "Accept" in [v.strip() for v in answer.headers["Vary"].split(",")]
