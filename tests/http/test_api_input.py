"""What is malformed is refused with a clear problem, and nothing else happens."""
import json

import pytest

from wire import request

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("body,words", [
    (b"", "body"), (b"{", "name"), (b"{}x", "follows"), (b"{} {}", "follows"), (b'{"name":"A"', "comma"), (b"{name:1}", "name"),
    (b"{'name':'A'}", "name"), (b'{"name":"A",}', "name"), (b"[", "ends"), (b'{"name":"A","name":"B"}', "twice"),
    (b'{"name":"\x00"}', "control"), (b'{"name":"\\u0000"}', "0000"), (b'{"name":"\xff"}', "UTF-8"), (b'{"name":"\xc0\x80"}', "UTF-8"),
    (b'{"name":"\xed\xa0\x80"}', "UTF-8"), (b'\xef\xbb\xbf{"name":"A"}', "JSON"), (b'{"name":"\\ud800"}', "surrogate"),
    (b'{"name":"\\x41"}', "escape"), (b'{"name":"\n"}', "control"), (b'{"size":01}', "number"), (b'{"size":+1}', "number"), (b'{"size":.5}', "number"),
    (b'{"size":1.}', "number"), (b'{"size":NaN}', "number"), (b'{"size":Infinity}', "number"), (b'{"size":0x10}', "comma"), (b"nul", "value"),
    (b'{"name":"A"}\x00', "follows"), (b"\x00", "number"), (b"[" * 100000, "deep"), (b'{"a":' * 100000 + b"1" + b"}" * 100000, "deep"),
    (b'{"name":"A" "size":1}', "comma"), (b'{"name" "A"}', "colon"), ('{"name":"A"}'.encode("utf-16"), "UTF-8"), (b"%7B%7D", "number"),
])
def test_broken_json_is_400_and_says_where(admin, body, words):
    before = admin.get("companies", count="exact").json["total"]
    refused = admin("POST", "companies", body, JSON)
    assert refused.status == 400 and refused.json["code"] == "bad_request", refused.body
    assert words in refused.json["detail"], refused.json["detail"]
    assert admin.get("companies", count="exact").json["total"] == before


def test_the_place_of_a_mistake_counts_characters(admin):
    refused = admin("POST", "companies", '{"name": "Ромашка",\n "size": x}'.encode(), JSON)
    assert "line 2" in refused.json["detail"] and "column 10" in refused.json["detail"]


@pytest.mark.parametrize("field,value", [
    ("size", "5"), ("size", 5.5), ("size", 1e30), ("size", True), ("size", [5]), ("size", {"a": 1}), ("name", 5), ("name", ["A"]), ("name", {}),
    ("active", "true"), ("active", 1), ("responsible", 5), ("responsible", "nobody"), ("responsible", "0000000000000"), ("direction", "nowhere"),
    ("direction", 7), ("status", "nonsense"), ("site", "javascript:alert(1)"), ("site", "ftp://x"), ("name", ""), ("name", "   "), ("name", "a" * 5000),
], ids=lambda v: str(v)[:20])
def test_a_value_of_the_wrong_kind_is_422_with_its_pointer(admin, field, value):
    body = {"name": "Kinds", field: value}
    refused = admin.post("companies", body)
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/" + field, refused.body


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400, "0." + "0" * 400 + "1", "1E+9999999999", "123456789012345678901234567890.12",
                                    "9223372036854775807", "92233720368547758.08", "-0.001", "1e-3"])
def test_numbers_out_of_range_are_refused_not_rounded(admin, company, number):
    body = '{"name":"Huge","company":"%s","direction":"cloud","amount":%s}' % (company["id"], number)
    refused = admin("POST", "opportunities", body, JSON)
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/amount", refused.body


@pytest.mark.parametrize("number,shown", [("1e2", b"100"), ("1.50", b"1.5"), ("0.10", b"0.1"), ("-0", b"0"), ("12E-1", b"1.2"), ("92233720368547758.07", b"92233720368547758.07"),
                                          ("0.1e1", b"1"), ("100e-2", b"1")])
def test_numbers_in_any_notation_are_exact(admin, company, number, shown):
    body = '{"name":"Exact","company":"%s","direction":"cloud","amount":%s}' % (company["id"], number)
    made = admin("POST", "opportunities", body, JSON)
    assert made.status == 201 and b'"amount":' + shown + b"," in made.body, made.body


def test_text_goes_through_unchanged(admin):
    text = "Ёлка \"x\" \\ / \t \u2028 \U0001f600 e\u0301 \u202e <b>&amp;</b> '; DROP TABLE company; --"
    made = admin.post("companies", {"name": "T", "description": text})
    assert made.json["description"] == text and admin.get(made.headers["Location"]).json["description"] == text
    escaped = admin("POST", "companies", json.dumps({"name": "T", "description": text}, ensure_ascii=True), JSON)
    assert escaped.json["description"] == text


# ---- parameters ----

@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=-1", "limit=abc", "limit=", "limit=1.5", "limit=99999999999999999999", "limit=1e2", "limit=+5",
                                   "limit=%31%30%00", "limit=%205", "limit=0x10", "count=yes", "count=", "count=EXACT", "sort=nope", "sort=-", "sort=--name",
                                   "sort=,", "cursor=abc", "cursor=%20", "cursor=" + "A" * 3000, "fields=nope", "expand=name", "colour=red", "Limit=5",
                                   "limit=5&limit=5", "filter=name%20=%20%22a%22&filter=", "q=%ff", "q=%", "q=%4", "q=%zz", "%00=1", "q=a%00b", "=1",
                                   "limit=5;count=exact", "expand=company&fields=company"])
def test_a_wrong_parameter_is_400(admin, query):
    refused = admin.raw("GET", "/api/v1/companies?" + query)
    assert refused.status == 400 and refused.headers["Content-Type"] == "application/problem+json", (refused.status, refused.body)


def test_a_wrong_parameter_is_named(admin):
    assert admin.get("companies", lmit=5).json["errors"][0] == {
        "pointer": "lmit", "code": "unknown_parameter", "message": "there is no query parameter lmit here", "suggestion": "limit"}
    assert admin.get("companies", limit=0).json["errors"][0]["pointer"] == "limit"
    assert admin.raw("GET", "/api/v1/companies?limit=5&limit=6").json["errors"][0] == {
        "pointer": "limit", "code": "repeated", "message": "limit is given twice"}


@pytest.mark.parametrize("query", ["limit=1", "limit=500", "limit=050", "", "&", "&&limit=5&&", "limit=5&", "filter=", "q=", "count=exact", "q=a+b", "sort=name,-size,id",
                                   "sort=%6Eame", "l%69mit=5", "filter=name%20%3D%20%27%2B%27"])
def test_a_right_parameter_in_any_spelling_is_taken(admin, query):
    assert admin.raw("GET", "/api/v1/companies?" + query).status == 200


def test_percent_encoding_in_the_path(admin, company):
    encoded = "".join(f"%{ord(c):02X}" for c in "companies/" + company["id"]).replace("%2F", "/")
    assert admin.raw("GET", "/api/v1/" + encoded).json["id"] == company["id"]
    assert admin.raw("GET", "/api/v1/companies%2F" + company["id"]).status in (200, 404)
    assert admin.raw("GET", "/api/v1/companies/" + company["id"] + "%00").status == 400


@pytest.mark.parametrize("value", ["abc", "2", "yes", "", "TRUE", "true,true"])
def test_dry_run_is_a_boolean(admin, value):
    refused = admin.raw("POST", "/api/v1/companies?dry_run=" + value, {"name": "A"})
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "dry_run"


def test_parameters_of_reads_are_not_those_of_writes(admin, company):
    assert admin.raw("GET", "/api/v1/companies?dry_run=true").status == 400
    assert admin.raw("POST", "/api/v1/companies?filter=x", {"name": "A"}).status == 400
    assert admin.raw("DELETE", "/api/v1/companies/" + company["id"] + "?fields=name").status == 400


# ---- cursors ----

def test_a_cursor_is_bound_to_its_query(admin):
    for i in range(5):
        admin.made("industries", code=f"cursor{i}", name=f"C{i}")
    first = admin.get("industries", filter="code starts 'cursor'", sort="name", limit=2).json
    cursor = first["next"]
    assert admin.get("industries", filter="code starts 'cursor'", sort="name", limit=2, cursor=cursor).status == 200
    for other in ({"filter": "code starts 'curso'", "sort": "name"}, {"filter": "code starts 'cursor'", "sort": "-name"},
                  {"filter": "code starts 'cursor'"}, {"sort": "name"}):
        assert admin.get("industries", limit=2, cursor=cursor, **other).status == 400, other
    assert admin.get("companies", sort="name", cursor=cursor).status == 400


def test_a_changed_cursor_is_400(admin):
    for i in range(3):
        admin.made("industries", code=f"forged{i}", name=f"F{i}")
    query = {"filter": "code starts 'forged'", "sort": "name", "limit": 1}
    cursor = admin.get("industries", **query).json["next"]
    for i in range(len(cursor)):
        for c in ("A", "b", "0", "~"):
            forged = cursor[:i] + c + cursor[i + 1:]
            if forged != cursor:
                assert admin.get("industries", cursor=forged, **query).status == 400, forged
    for forged in (cursor[:-1], cursor + "A", cursor + cursor, cursor[1:], cursor.swapcase()):
        assert admin.get("industries", cursor=forged, **query).status == 400, forged


# ---- header fields ----

@pytest.mark.parametrize("fields", [("If-Match: nonsense",), ("If-Match: ",), ("If-None-Match: \"",), ("Prefer: ;;;,,,",), ("Accept: ;;q=,,",), ("Accept-Encoding: ,;q=",),
                                    ("Accept-Language: ;;;q=",), ("Cookie: ;;==; perigee_session",), ("Range: bytes=0-1",), ("X-Forwarded-For: ,,, ::::",),
                                    ("If-Modified-Since: yesterday",), ("Origin: null",), ("Accept: " + "a/b," * 500,)])
def test_odd_header_fields_do_no_harm(server, admin, company, fields):
    status, _, body = request(server.port, f"GET /api/v1/companies/{company['id']} HTTP/1.1", *fields, token=admin.token)
    assert status == 200 and company["id"].encode() in body


def test_a_body_on_get_is_ignored(server, admin):
    status, _, _ = request(server.port, "GET /api/v1/me HTTP/1.1", "Content-Type: application/json", body=b"{broken", token=admin.token)
    assert status == 200


def test_a_chunked_body_is_taken(server, admin):
    from wire import exchange
    head = ("POST /api/v1/companies HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
            f"Authorization: Bearer {admin.token}\r\n\r\n")
    answer = exchange(server.port, head + '5\r\n{"nam\r\n9\r\ne":"Chk"}\r\n0\r\n\r\n')
    assert answer.startswith(b"HTTP/1.1 201")
    answer = exchange(server.port, head + '5\r\n{"nam\r\n8\r\ne":"Chk"}\r\n0\r\n\r\n')
    assert answer.startswith(b"HTTP/1.1 400")
    too_large = head + "100000\r\n" + "a" * 0x100000 + "\r\n100000\r\n" + "a" * 0x100000 + "\r\n0\r\n\r\n"
    try:
        assert exchange(server.port, too_large).startswith(b"HTTP/1.1 413")
    except (ConnectionResetError, BrokenPipeError):
        pass


def test_the_method_is_case_sensitive_and_the_scheme_is_not(server, admin):
    status, _, _ = request(server.port, "get /api/v1/me HTTP/1.1", token=admin.token)
    assert status in (400, 501)
    status, _, _ = request(server.port, "GET /api/v1/me HTTP/1.1", "Authorization: bearer " + admin.token)
    assert status == 200


@pytest.mark.parametrize("body", ['{"name":"A","x":[' + "1," * 500000 + "1]}", "[" + "[]," * 300000 + "[]]", '{"name":' + "[" * 60 + "1," * 300000 + "1" + "]" * 60 + "}"],
                         ids=["numbers", "lists", "deep"])
def test_a_body_of_very_many_values_is_too_large(admin, body):
    """A few bytes of text can be a hundred bytes of memory."""
    refused = admin("POST", "companies", body, JSON)
    assert refused.status == 413 and refused.json["code"] == "payload_too_large"


@pytest.mark.parametrize("value", ["x" * 900000, list(range(40000)), {str(i): "y" * 200 for i in range(900)}], ids=["text", "numbers", "object"])
def test_a_large_value_is_taken_or_refused_in_words(admin, value):
    made = admin.post("contacts", {"name": "Large", "emails": value})
    assert made.status in (201, 413, 422), made.body[:300]
    if made.status == 201:
        assert admin.get("contacts/" + made.json["id"]).json["emails"] == value
        assert admin.patch("contacts/" + made.json["id"], {"emails": None}).status == 200
