"""Files (api.md §9): bytes by their hash, documents at records, access that follows the record, ranges."""
import hashlib
import http.client
import os
import re
import signal
import socket
import time
import urllib.parse

import pytest

from conftest import Server, perigee


def upload(client, body, name="brief.pdf", kind_of="application/pdf", headers=None, **query):
    return client("POST", "files", body, {"Content-Type": kind_of, **(headers or {})}, name=name, **query)


def at(record, kind="contract", entity="opportunities"):
    return {"entity": entity, "record": record["id"], "kind": kind}


def content(server, answer):
    digest = answer.json["hash"]
    return server.data / "files" / digest[:2] / digest


@pytest.fixture
def deal(admin, company):
    return admin.made("opportunities", name="Deal with files", company=company["id"], direction="cloud", responsible=admin.get("me").json["id"])


def test_an_upload_becomes_a_document_of_its_record(server, admin, deal):
    body = os.urandom(300000)
    made = upload(admin, body, name="Договор № 1.pdf", **at(deal))
    assert made.status == 201, made.body
    file = made.json
    assert made.headers["Location"] == "/api/v1/files/" + file["id"]
    assert file["size"] == len(body) and file["type"] == "application/pdf" and file["edition"] == 1 and file["entity"] == "opportunities"
    assert file["hash"] == hashlib.blake2b(body, digest_size=32).hexdigest()
    assert content(server, made).read_bytes() == body
    document = admin.get("documents/" + file["document"]).json
    assert (document["name"], document["kind"], document["record"]) == ("Договор № 1.pdf", "contract", deal["id"])
    assert (document["size"], document["hash"], document["file"], document["edition"]) == (len(body), file["hash"], file["id"], 1)
    got = admin.raw("GET", "/api/v1/files/" + file["id"])
    assert got.status == 200 and got.body == body and got.headers["Content-Length"] == str(len(body))


def test_the_same_name_and_kind_is_the_next_edition(admin, deal):
    first = upload(admin, b"one", **at(deal)).json
    second = upload(admin, b"two!", **at(deal)).json
    other = upload(admin, b"three", **at(deal, "proposal")).json
    assert second["document"] == first["document"] and second["edition"] == 2 and other["document"] != first["document"] and other["edition"] == 1
    document = admin.get("documents/" + first["document"]).json
    assert (document["edition"], document["file"], document["size"]) == (2, second["id"], 4)
    assert [f["id"] for f in admin.get("files", document=first["document"]).json["items"]] == [second["id"], first["id"]]
    assert admin.raw("GET", "/api/v1/files/" + first["id"]).body == b"one"


def test_equal_contents_are_stored_once(server, admin, deal):
    a, b = upload(admin, b"equal contents", name="a.txt", **at(deal)), upload(admin, b"equal contents", name="b.txt", **at(deal))
    assert a.json["hash"] == b.json["hash"] and a.json["id"] != b.json["id"]
    assert len(list((server.data / "files" / a.json["hash"][:2]).glob(a.json["hash"]))) == 1
    assert list((server.data / "spool").iterdir()) == []


def test_the_gate_of_a_stage_opens_with_the_upload(admin, seller, company):
    deal = admin.made("opportunities", name="Gate", company=company["id"], direction="cloud", responsible=seller.get("me").json["id"], probability=30)
    contact = admin.made("contacts", name="Person", company=company["id"], email="gate@example.com", direction="cloud")
    product = admin.made("products", code="gate_product", name="Gate product", direction="cloud", kind="licence") \
        if admin.get("products/gate_product").status == 404 else admin.get("products/gate_product").json
    fields = {"contact": contact["id"], "amount": 1000, "close_date": "2027-03-01", "presale": admin.get("me").json["id"], "products": [product["code"]]}
    changed = admin.patch("opportunities/" + deal["id"], fields)
    assert changed.status == 200, changed.body
    for stage in ("qualification", "discovery"):
        moved = admin.post(f"opportunities/{deal['id']}/actions/move", {"stage": stage})
        assert moved.status == 200, moved.body
    refused = admin.post(f"opportunities/{deal['id']}/actions/move", {"stage": "presentation"})
    assert refused.status == 422 and [e["code"] for e in refused.json["errors"]] == ["document_required"], refused.body
    assert upload(admin, b"what they need", name="brief.txt", kind_of="text/plain", **at(deal, "requirements_brief")).status == 201
    assert admin.post(f"opportunities/{deal['id']}/actions/move", {"stage": "presentation"}).status == 200


@pytest.mark.parametrize("field,status,first,last", [
    ("bytes=0-9", 206, 0, 9), ("bytes=990-", 206, 990, 999), ("bytes=-10", 206, 990, 999), ("bytes=-5000", 206, 0, 999),
    ("bytes=500-5000", 206, 500, 999), ("bytes=0-0", 206, 0, 0), ("Bytes = 1-2", 206, 1, 2),
    ("bytes=1000-", 416, 0, 0), ("bytes=-0", 416, 0, 0), ("bytes=0-1,5-6", 200, 0, 999), ("bytes=9-1", 200, 0, 999), ("bytes=x-y", 200, 0, 999),
    ("lines=1-2", 200, 0, 999), ("bytes=", 200, 0, 999), ("bytes=99999999999999999999-", 200, 0, 999),
])
def test_ranges(admin, deal, field, status, first, last):
    body = bytes(i % 251 for i in range(1000))
    file = upload(admin, body, name="range.bin", kind_of="application/octet-stream", **at(deal)).json
    got = admin.raw("GET", "/api/v1/files/" + file["id"], headers={"Range": field})
    assert got.status == status
    if status == 416:
        assert got.headers["Content-Range"] == "bytes */1000" and got.body == b""
        return
    assert got.body == body[first:last + 1] and got.headers["Content-Length"] == str(last - first + 1)
    assert got.headers.get("Content-Range") == (f"bytes {first}-{last}/1000" if status == 206 else None)
    assert got.headers["Accept-Ranges"] == "bytes"


def test_conditions_and_head(admin, deal):
    file = upload(admin, b"0123456789", name="conditions.txt", kind_of="text/plain", **at(deal)).json
    path = "/api/v1/files/" + file["id"]
    head = admin.raw("HEAD", path)
    etag = head.headers["ETag"]
    assert head.status == 200 and head.body == b"" and head.headers["Content-Length"] == "10" and re.fullmatch('"[0-9a-f]{32}"', etag)
    assert admin.raw("GET", path, headers={"If-None-Match": etag}).status == 304
    assert admin.raw("GET", path, headers={"If-None-Match": "W/" + etag}).status == 304
    assert admin.raw("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    assert admin.raw("GET", path, headers={"Range": "bytes=2-4", "If-Range": etag}).body == b"234"
    for other in ('"other"', "W/" + etag, "Wed, 21 Oct 2026 07:28:00 GMT"):
        whole = admin.raw("GET", path, headers={"Range": "bytes=2-4", "If-Range": other})
        assert whole.status == 200 and whole.body == b"0123456789"
    part = admin.raw("HEAD", path, headers={"Range": "bytes=2-4"})
    assert part.body == b"" and part.status in (200, 206)


def test_one_connection_serves_one_file_after_the_other(server, admin, deal):
    bodies = [os.urandom(n) for n in (1, 700000, 262144)]
    files = [upload(admin, b, name=f"{i}.bin", **at(deal)).json for i, b in enumerate(bodies)]
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for file, body in zip(files, bodies):
        connection.request("GET", "/api/v1/files/" + file["id"], headers={"Authorization": "Bearer " + admin.token})
        assert connection.getresponse().read() == body
    connection.close()


def test_an_upload_is_never_shown_as_a_page(admin, deal):
    page = b"<html><script>alert(1)</script>"
    for name, kind in (("page.html", "text/html"), ("x.svg", "image/svg+xml"), ("x.js", "text/javascript"), ("x.xml", "application/xml"),
                       ("x.xhtml", "application/xhtml+xml"), ("lie.png", "image/png; charset=\"text/html\""), ("none", "nonsense"), ("crlf", "text/plain;x=y")):
        file = upload(admin, page, name=name, kind_of=kind, **at(deal, "other")).json
        for query in ("", "?disposition=inline"):
            got = admin.raw("GET", f"/api/v1/files/{file['id']}{query}")
            assert got.headers["X-Content-Type-Options"] == "nosniff" and got.headers["Content-Security-Policy"].startswith("sandbox;")
            assert not re.search("html|svg|xml|script", got.headers["Content-Type"]), got.headers["Content-Type"]
            if got.headers["Content-Type"] == "application/octet-stream" or not query:
                assert got.headers["Content-Disposition"].startswith("attachment;")
    assert admin.raw("GET", f"/api/v1/files/{file['id']}?disposition=elsewhere").status == 400


def test_names_go_out_as_rfc_8187_has_them_and_split_no_header(admin, deal):
    name = 'Счёт "№ 5"; a=b, 100%.pdf'
    file = upload(admin, b"x", name=name, **at(deal)).json
    field = admin.raw("GET", "/api/v1/files/" + file["id"]).headers["Content-Disposition"]
    plain, coded = re.fullmatch(r"attachment; filename=\"([^\"\\]*)\"; filename\*=UTF-8''(\S+)", field).groups()
    assert urllib.parse.unquote(coded) == name and plain.isascii()


@pytest.mark.parametrize("name", ["", "  ", ".", "..", "../../etc/passwd", "a/b", "a\\b", "/etc/passwd", "a\r\nSet-Cookie: x=y", "a\x00b", "a\x7f", "x" * 301,
                                  "invoice‮fdp.exe", "a\nb"])
def test_names_that_are_no_names_are_refused(server, admin, deal, name):
    before = sorted(p for p in (server.data / "files").rglob("*"))
    refused = upload(admin, b"x", name=name, **at(deal))
    assert refused.status == 400, refused.body
    assert sorted(p for p in (server.data / "files").rglob("*")) == before and list((server.data / "spool").iterdir()) == []


def test_other_refusals(admin, deal):
    assert upload(admin, b"", **at(deal)).status == 422
    assert upload(admin, b"x", entity="opportunities", record=deal["id"]).status == 400
    assert upload(admin, b"x", record=deal["id"], kind="contract").status == 400
    assert upload(admin, b"x", entity="opportunities", record="0000000000000", kind="contract").status == 404
    assert upload(admin, b"x", entity="opportunities", record="nonsense", kind="contract").status == 404
    assert upload(admin, b"x", entity="nothing", record=deal["id"], kind="contract").status == 404
    assert upload(admin, b"x", **at(deal, "nonsense")).status == 422
    assert admin.raw("GET", "/api/v1/files/0000000000000").status == 404
    assert admin.raw("GET", "/api/v1/files/..%2f..%2fperigee.db").status == 404
    assert admin.raw("POST", "/api/v1/files?name=x", b"x", {"Authorization": ""}).status == 401
    russian = upload(admin, b"", headers={"Accept-Language": "ru"}, **at(deal))
    assert "пуст" in russian.json["detail"]


def test_access_follows_the_record(admin, seller, other, company):
    deal = admin.made("opportunities", name="Of cloud", company=company["id"], direction="cloud", responsible=seller.get("me").json["id"])
    file = upload(seller, b"secret", **at(deal)).json
    path = "/api/v1/files/" + file["id"]
    assert seller.raw("GET", path).body == b"secret" and admin.raw("GET", path).status == 200
    assert other.raw("GET", path).status == 404 and other.raw("HEAD", path).status == 404
    assert other.delete("files/" + file["id"]).status == 404
    assert other.get("files", document=file["document"]).json["items"] == []
    assert upload(other, b"x", **at(deal)).status == 404
    mine = upload(other, b"of nobody else", name="loose.txt").json
    assert other.raw("GET", "/api/v1/files/" + mine["id"]).body == b"of nobody else"
    assert seller.raw("GET", "/api/v1/files/" + mine["id"]).status == 404


def test_a_field_is_no_key_to_the_files_of_others(admin, server, seller, company):
    marketeer = server.user("marketeer", "crm_marketeer", "--direction", "hardware")
    deal = admin.made("opportunities", name="Locked", company=company["id"], direction="cloud", responsible=seller.get("me").json["id"])
    secret = upload(seller, b"secret", **at(deal)).json
    fields = {"title": "Leak", "kind": "presentation", "direction": "hardware"}
    refused = marketeer.post("contents", {**fields, "file": secret["id"]})
    assert refused.status == 422 and any(e["pointer"] == "/file" for e in refused.json["errors"]), refused.body
    own = upload(marketeer, b"for all", name="leaflet.txt").json
    made = marketeer.post("contents", {**fields, "file": own["id"]})
    assert made.status == 201, made.body
    assert admin.raw("GET", "/api/v1/files/" + own["id"]).body == b"for all"


def test_what_the_server_writes_nobody_else_does(admin, deal):
    file = upload(admin, b"x", **at(deal)).json
    for field, value in (("hash", "0" * 64), ("size", 5), ("file", file["id"]), ("edition", 9)):
        assert admin.patch("documents/" + file["document"], {field: value}).status == 403, field


def test_deleting_an_edition_brings_the_one_before_back(admin, deal):
    first, second = upload(admin, b"one", **at(deal)).json, upload(admin, b"two", **at(deal)).json
    assert admin.delete("files/" + second["id"]).status == 204
    assert admin.raw("GET", "/api/v1/files/" + second["id"]).status == 404
    document = admin.get("documents/" + first["document"]).json
    assert document["file"] == first["id"] and document["size"] == 3 and document["active"] is True
    assert admin.delete("files/" + first["id"]).status == 204
    assert admin.get("documents/" + first["document"]).json["active"] is False


def test_an_upload_that_is_cut_off_leaves_nothing(server, admin, deal):
    query = urllib.parse.urlencode({"name": "cut.bin", **at(deal)})
    s = socket.create_connection(("127.0.0.1", server.port))
    s.sendall(f"POST /api/v1/files?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.token}\r\n"
              f"Content-Type: text/plain\r\nContent-Length: 1000000\r\n\r\n".encode() + b"x" * 400000)
    deadline = time.monotonic() + 20
    while not list((server.data / "spool").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    s.close()
    while list((server.data / "spool").iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert admin.get("documents", filter='name = "cut.bin"').json["items"] == []


def test_limits_of_size_type_and_sum(tmp_path):
    (tmp_path / "config.lua").write_text('return { file_bytes = 2000, files_bytes = 3000, file_types = { "text/plain", "image/*" } }')
    server = Server(tmp_path, "--config", str(tmp_path / "config.lua"))
    try:
        admin = server.user("admin", "crm_admin")
        assert upload(admin, b"x" * 2001, kind_of="text/plain").status == 413
        assert upload(admin, b"x", kind_of="application/pdf").status == 415
        assert upload(admin, b"a" * 2000, name="a.png", kind_of="image/png").status == 201
        assert upload(admin, b"b" * 1500, kind_of="text/plain").status == 503
        assert upload(admin, b"c" * 900, kind_of="text/plain").status == 201
    finally:
        assert server.stop() == 0


def test_killed_at_any_moment_no_document_lacks_its_bytes(tmp_path):
    server = Server(tmp_path)
    admin = server.user("admin", "crm_admin")
    acknowledged = {}
    for attempt in range(4):
        sockets = []
        for i in range(6):
            body = os.urandom(50000 + i)
            s = socket.create_connection(("127.0.0.1", server.port))
            s.sendall(f"POST /api/v1/files?name=k{attempt}-{i} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin.token}\r\n"
                      f"Content-Type: application/pdf\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body[:-1 if i == 5 else len(body)])
            sockets.append((s, body))
        if attempt % 2:  # one answer has come: others are between file and row
            first = sockets[0][0].recv(65536)
            assert b" 201 " in first.split(b"\r\n")[0]
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(20)
        for n, (s, body) in enumerate(sockets):
            try:
                answer = (first if attempt % 2 and n == 0 else b"") + s.recv(65536)
            except ConnectionError:
                answer = first if attempt % 2 and n == 0 else b""
            if b" 201 " in answer.split(b"\r\n")[0]:
                acknowledged[re.search(rb"Location: (\S+)", answer).group(1).decode()] = body
            s.close()
        server.start()
        admin.port = server.port
    assert acknowledged
    for path, body in acknowledged.items():
        assert admin.raw("GET", path).body == body
    assert [p.name for p in (server.data / "spool").iterdir()] == []
    assert server.stop() == 0
    checked = perigee("doctor", "--data", server.data)
    assert re.search(r"files: \d+ of \d+ rows.*none missing", checked.stdout), checked.stdout


def test_doctor_finds_files_that_are_missing_or_changed(tmp_path):
    server = Server(tmp_path)
    admin = server.user("admin", "crm_admin")
    a, b = upload(admin, b"will be lost", name="a"), upload(admin, b"will be changed", name="b")
    assert server.stop() == 0
    assert perigee("doctor", "--data", server.data).returncode == 0
    content(server, a).unlink()
    content(server, b).write_bytes(b"WILL be changed")
    found = perigee("doctor", "--data", server.data, check=False)
    assert found.returncode == 1 and "1 missing" in found.stdout + found.stderr and "1 damaged" in found.stdout + found.stderr


def test_contents_that_no_row_names_are_removed_when_they_are_old(tmp_path):
    server = Server(tmp_path)
    admin = server.user("admin", "crm_admin")
    named = content(server, upload(admin, b"named", name="named"))
    gone = upload(admin, b"gone", name="gone")
    assert admin.delete("files/" + gone.json["id"]).status == 204
    assert server.stop() == 0
    old, young = (server.data / "files" / digest[:2] / digest for digest in (hashlib.blake2b(text, digest_size=32).hexdigest() for text in (b"old", b"young")))
    for path, text in ((old, b"old"), (young, b"young")):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(text)
    long_ago = time.time() - 7200
    for path in (old, named, content(server, gone)):
        os.utime(path, (long_ago, long_ago))
    (server.data / "spool" / "left-behind").write_bytes(b"x")
    server.start()
    deadline = time.monotonic() + 20
    while old.exists() or content(server, gone).exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert named.read_bytes() == b"named" and young.exists() and list((server.data / "spool").iterdir()) == []
    assert server.stop() == 0
