"""The service around the records: health, figures, the slow lane, back-pressure, stopping and reloading: api.md §11, design §3."""
import http.client
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import PERIGEE, ROOT, Client, Server
from wire import request


def eventually(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def start(tmp_path):
    """Servers of a test's own, with settings of config.lua."""
    running = []

    def begin(*options, **settings):
        config = tmp_path / f"config{len(running)}.lua"
        config.write_text("return {" + ", ".join(f"{k} = {v}" for k, v in settings.items()) + "}")
        folder = tmp_path / f"server{len(running)}"
        folder.mkdir()
        running.append(Server(folder, "--config", str(config), *options))
        return running[-1]
    yield begin
    for server in running:
        if server.process.poll() is None:
            assert server.stop() == 0


def figures(client):
    out = {}
    for line in client("GET", "/metrics").body.decode().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            out[name] = float(value)
    return out


# ---- health ----

def test_alive_and_ready_without_signing_in(server):
    nobody = Client(server.port)
    for path in ("/healthz", "/readyz"):
        answer = nobody("GET", path)
        assert answer.status == 200 and answer.json == {"status": "ok"} and answer.headers["Content-Type"] == "application/json"
        assert nobody("HEAD", path).status == 200


def test_not_ready_while_the_database_cannot_be_written(start):
    server = start()
    nobody = Client(server.port)
    assert nobody("GET", "/readyz").status == 200
    lock = sqlite3.connect(server.data / "perigee.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    try:
        time.sleep(1.05)  # what was found out is believed for a second
        assert nobody("GET", "/healthz").status == 200
        answer = nobody("GET", "/readyz")
        assert answer.status == 503 and int(answer.headers["Retry-After"]) >= 1 and answer.json["code"] == "unavailable"
    finally:
        lock.rollback()
        lock.close()
    eventually(lambda: nobody("GET", "/readyz").status == 200)


# ---- figures ----

NAMES = """perigee_requests_total perigee_request_seconds_bucket perigee_request_seconds_sum perigee_request_seconds_count perigee_writer_queue
perigee_writer_batch_last perigee_writer_commits_total perigee_writer_jobs_total perigee_script_calls_total perigee_script_aborts_total
perigee_script_seconds_total perigee_outbox_waiting perigee_outbox_dead perigee_memory_bytes perigee_resident_bytes perigee_connections
perigee_event_streams perigee_slow_queue perigee_slow_reads_total perigee_wal_bytes""".split()


def test_the_figures_are_prometheus_text_and_complete(admin):
    admin.made("companies", name="Counted")
    answer = admin("GET", "/metrics")
    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    types, seen = {}, set()
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram")
            types[name] = kind
        elif not line.startswith("# HELP "):
            match = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? (-?[0-9.e+-]+|\+Inf|NaN)', line)
            assert match, line
            base = re.sub(r"_(bucket|sum|count)$", "", match[1])
            assert match[1] in types or types.get(base) == "histogram", line
            assert types.get(match[1]) != "counter" or match[1].endswith("_total"), line
            seen.add(match[1])
    assert set(NAMES) <= seen


def test_the_figures_count_what_happens(admin):
    before = figures(admin)
    for _ in range(3):
        admin.get("companies", limit=1)
        admin.made("companies", name="Counted")
    admin.post("companies", {})
    after = figures(admin)

    def grew(name):
        return after.get(name, 0) - before.get(name, 0)
    assert grew('perigee_requests_total{method="GET",route="/api/v1/{collection}",class="2xx"}') == 3
    assert grew('perigee_requests_total{method="POST",route="/api/v1/{collection}",class="2xx"}') == 3
    assert grew('perigee_requests_total{method="POST",route="/api/v1/{collection}",class="4xx"}') == 1
    assert grew('perigee_request_seconds_count{method="POST",route="/api/v1/{collection}"}') == 4
    assert grew("perigee_writer_commits_total") >= 3 and grew("perigee_writer_failed_total") >= 1
    buckets = [v for k, v in after.items() if k.startswith('perigee_request_seconds_bucket{method="POST",route="/api/v1/{collection}"')]
    assert buckets == sorted(buckets) and buckets[-1] == after['perigee_request_seconds_count{method="POST",route="/api/v1/{collection}"}']


def test_the_figures_name_each_hook_with_its_time_and_aborts(admin, company):
    before = figures(admin)
    admin.made("opportunities", name="Hooks", company=company["id"], direction="cloud")
    after = figures(admin)
    grown = {k: v - before.get(k, 0) for k, v in after.items() if v > before.get(k, 0)}
    hooks = [re.fullmatch(r'perigee_hook_calls_total\{kind="hook",place="(workflows/[a-z/_]+\.lua:\d+)"\}', k) for k in grown]
    places = [m[1] for m in hooks if m]
    assert places
    for place in places:
        assert grown[f'perigee_hook_seconds_total{{kind="hook",place="{place}"}}'] > 0
        assert after[f'perigee_hook_aborts_total{{kind="hook",place="{place}"}}'] == 0


def test_figures_are_for_this_machine_or_an_administrator(start):
    """Behind a proxy the address is the client's; a proxy that nobody has named is not this machine either."""
    behind = start(trusted_proxies='{ "127.0.0.1" }')
    admin, seller = behind.user("admin", "crm_admin"), behind.user("seller", "crm_sales")
    far = {"X-Forwarded-For": "203.0.113.9"}
    nobody = Client(behind.port)
    assert nobody("GET", "/metrics").status == 200
    assert nobody("GET", "/metrics", headers=far).status == 401
    assert seller("GET", "/metrics", headers=far).status == 403
    assert admin("GET", "/metrics", headers=far).status == 200
    for forged in ("127.0.0.1, 203.0.113.9", "127.0.0.1", "::1", "127.0.0.1, 127.0.0.1", "203.0.113.9, 127.0.0.1", "localhost"):
        assert nobody("GET", "/metrics", headers={"X-Forwarded-For": forged}).status == 401, forged
    for name in ("Forwarded", "X-Real-IP"):
        assert nobody("GET", "/metrics", headers={name: "for=127.0.0.1"}).status == 401


def test_figures_through_an_unnamed_proxy_are_refused(server):
    assert Client(server.port)("GET", "/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status == 401


def test_figures_name_no_record_and_no_user(admin, company):
    text = admin("GET", "/metrics").body.decode()
    assert company["id"] not in text and "Roga" not in text and "Admin" not in text


# ---- the slow lane ----

SILLY = " or ".join(f"description contains 'x{i}y'" for i in range(120))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory):
    """A server with enough records that a silly filter takes long."""
    folder = tmp_path_factory.mktemp("crowded")
    config = folder / "config.lua"
    config.write_text("return { slow_limit_ms = 400, read_budget_ms = 2 }")
    running = Server(folder, "--config", str(config))
    admin = running.user("admin", "crm_admin")
    text = "lorem ipsum dolor sit amet " * 20
    for _ in range(16):
        body = {"operations": [{"method": "POST", "path": "/api/v1/contacts", "headers": {"Prefer": "return=minimal"}, "body": {"name": "N", "description": text}}
                               for _ in range(500)]}
        assert admin.post("batch", body).status == 200
    yield running
    assert running.stop() == 0


def test_a_query_past_the_limit_is_422_and_says_what_was_expensive(crowded):
    admin = crowded.user("admin", "crm_admin")
    refused = admin.get("contacts", filter=SILLY, sort="-description", count="exact")
    assert refused.status == 422 and refused.json["code"] == "query_limit", refused.body
    blamed = {e["pointer"]: e for e in refused.json["errors"]}
    assert "description" in blamed["filter"]["message"] and "sort" in blamed and "count" in blamed
    russian = admin("GET", "contacts?" + "filter=" + SILLY.replace(" ", "%20"), headers={"Accept-Language": "ru"})
    assert russian.status == 422 and "индекс" in russian.json["errors"][0]["message"]


def test_a_silly_query_does_not_slow_the_requests_of_others(crowded):
    admin, seller = crowded.user("admin", "crm_admin"), crowded.user("seller", "crm_sales")
    stop, statuses, times = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            statuses.append(admin.raw("GET", "/api/v1/contacts?filter=" + SILLY.replace(" ", "%20")).status)
    threads = [threading.Thread(target=ask) for _ in range(6)]
    [t.start() for t in threads]
    try:
        eventually(lambda: len(statuses) >= 2)
        for _ in range(60):
            begun = time.monotonic()
            assert seller.get("me").status == 200
            times.append(time.monotonic() - begun)
        begun = time.monotonic()
        assert admin.post("contacts", {"name": "Written meanwhile"}).status == 201
        assert time.monotonic() - begun < 1
    finally:
        stop.set()
        [t.join() for t in threads]
    assert set(statuses) <= {422, 503} and 422 in statuses
    times.sort()
    assert times[len(times) // 2] < 0.05, times  # each of the silly ones takes 400 ms and there are six


def test_a_read_that_outlives_its_budget_goes_on_in_the_slow_lane(start):
    server = start(read_budget_ms=1)
    admin = server.user("admin", "crm_admin")
    body = {"operations": [{"method": "POST", "path": "/api/v1/contacts", "headers": {"Prefer": "return=minimal"},
                            "body": {"name": "N", "description": "lorem ipsum dolor " * 50}} for _ in range(500)]}
    assert admin.post("batch", body).status == admin.post("batch", body).status == 200
    before = figures(admin)["perigee_slow_reads_total"]
    got = admin.get("contacts", filter=" or ".join(f"description contains 'x{i}y'" for i in range(20)))
    assert got.status == 200 and got.json["items"] == []
    assert figures(admin)["perigee_slow_reads_total"] > before


def test_a_batch_of_silly_reads_does_not_hold_the_writer(crowded):
    admin, seller = crowded.user("admin", "crm_admin"), crowded.user("seller", "crm_sales")
    silly = {"method": "GET", "path": "/api/v1/contacts?filter=" + SILLY.replace(" ", "%20")}
    reads = admin.post("batch", {"operations": [silly] * 20})
    assert reads.status in (200, 422)
    done = []
    thread = threading.Thread(target=lambda: done.append(admin.post("batch", {
        "operations": [{"method": "POST", "path": "/api/v1/contacts", "body": {"name": "Mixed"}}] + [silly] * 100})))
    thread.start()
    begun = time.monotonic()
    assert seller.post("companies", {"name": "Meanwhile", "direction": "cloud"}).status in (201, 403)
    assert time.monotonic() - begun < 3
    thread.join()
    results = done[0].json["results"]
    assert results[0]["status"] == 201 and results[-1]["status"] == 422 and results[-1]["body"]["code"] == "query_limit"


# ---- back-pressure ----

def test_writes_past_the_queue_are_503_with_retry_after(start):
    server = start(write_queue=4)
    admin = server.user("admin", "crm_admin")
    assert admin.post("companies", {"name": "First"}).status == 201  # its token has been touched
    lock = sqlite3.connect(server.data / "perigee.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    answers = []
    threads = [threading.Thread(target=lambda i=i: answers.append(admin.raw("POST", "/api/v1/companies", {"name": f"Queued {i}"}))) for i in range(16)]
    try:
        [t.start() for t in threads]
        eventually(lambda: len(answers) >= 8)
        full = [a for a in answers if a.status == 503]
        assert len(full) >= 8
        for a in full:
            assert int(a.headers["Retry-After"]) >= 1 and a.json["code"] == "unavailable"
        assert admin.get("companies").status == 200  # reads do not wait for writes
    finally:
        lock.rollback()
        lock.close()
        [t.join() for t in threads]
    created = sum(a.status == 201 for a in answers)
    assert {a.status for a in answers} <= {201, 503}
    assert admin.get("companies", count="exact").json["total"] == created + 1


def test_a_503_under_a_key_is_not_kept(start):
    server = start(write_queue=2)
    admin = server.user("admin", "crm_admin")
    assert admin.post("companies", {"name": "First"}).status == 201
    lock = sqlite3.connect(server.data / "perigee.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    key = {"Idempotency-Key": "again-please"}
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(admin.raw("POST", "/api/v1/companies", {"name": "Retried"}, key))) for _ in range(6)]
    try:
        [t.start() for t in threads]
        eventually(lambda: any(a.status == 503 for a in answers))
    finally:
        lock.rollback()
        lock.close()
        [t.join() for t in threads]
    assert admin.post("companies", {"name": "Retried"}, key).status == 201
    assert admin.get("companies", filter="name = 'Retried'", count="exact").json["total"] == 1


# ---- stopping ----

def test_a_stop_finishes_what_is_under_way_and_refuses_what_is_new(start):
    server = start()
    admin = server.user("admin", "crm_admin")
    lock = sqlite3.connect(server.data / "perigee.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")  # the write below is under way as long as this is held
    answers = []
    thread = threading.Thread(target=lambda: answers.append(admin.raw("POST", "/api/v1/companies", {"name": "Under way"})))
    thread.start()
    eventually(lambda: figures_row(server, "perigee_writer_queue") >= 0 and exchanges(server) >= 1)
    idle = socket.create_connection(("127.0.0.1", server.port))
    server.process.terminate()
    eventually(lambda: refused(server.port))
    lock.rollback()
    lock.close()
    thread.join()
    assert answers[0].status == 201 and answers[0].headers["Connection"] == "close"
    assert idle.recv(1) == b""
    assert server.process.wait(30) == 0
    assert not (server.data / "perigee.db-wal").exists() or (server.data / "perigee.db-wal").stat().st_size == 0
    server.start()
    admin.port = server.port
    assert admin.get("companies", filter="name = 'Under way'").json["items"]


def exchanges(server):
    """Connections that the server holds for others than this one."""
    return figures_row(server, "perigee_connections") - 1


def figures_row(server, name):
    return figures(Client(server.port))[name]


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    except ConnectionRefusedError:
        return True


# ---- reloading ----

def test_reloads_under_load_lose_no_request(start, tmp_path):
    workflows = tmp_path / "workflows"
    shutil.copytree(ROOT / "workflows", workflows)
    server = start("--workflows", str(workflows))
    admin, seller = server.user("admin", "crm_admin"), server.user("seller", "crm_sales", "--direction", "cloud")
    stop, statuses, errors = threading.Event(), [], []

    def hammer(client, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
        fields = {"Authorization": "Bearer " + client.token, "Content-Type": "application/json"}
        try:
            while not stop.is_set():
                connection.request(method, path, body, fields)
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
        except Exception as e:  # noqa: BLE001: whatever it is, a request was lost
            errors.append(e)
    threads = [threading.Thread(target=hammer, args=args) for args in (
        (admin, "GET", "/api/v1/companies?limit=5"), (admin, "GET", "/api/v1/schema"), (seller, "GET", "/api/v1/me"),
        (admin, "POST", "/api/v1/companies", '{"name":"Hammer"}'))]
    [t.start() for t in threads]
    try:
        versions = set()
        for i in range(8):
            (workflows / "extra.lua").write_text(
                f'extend("company", {{ fields = {{ extra{i} = text {{ label = {{ en = "Extra {i}", ru = "Ещё {i}" }} }} }} }})\n' if i % 2 else f"-- nothing {i}\n")
            if i % 3 == 0:
                server.process.send_signal(signal.SIGHUP)
            else:
                assert admin.post("reload").status == 204
            before = set(versions)
            eventually(lambda: versions.add(admin.get("schema").json["version"]) or versions != before)
    finally:
        stop.set()
        [t.join() for t in threads]
    assert not errors and set(statuses) <= {200, 201} and len(statuses) > 100, (errors, set(statuses))
    assert len(versions) == 8


def test_a_broken_reload_says_where_and_keeps_the_old_scripts(start, tmp_path):
    workflows = tmp_path / "workflows"
    shutil.copytree(ROOT / "workflows", workflows)
    server = start("--workflows", str(workflows))
    admin, seller = server.user("admin", "crm_admin"), server.user("seller", "crm_sales")
    version = admin.get("schema").json["version"]
    (workflows / "broken.lua").write_text('entity "x" {\n  fields = { a = txet {} },\n}\n')
    refused_reload = admin.post("reload")
    assert refused_reload.status == 422 and any(e.get("file", "").endswith("broken.lua") for e in refused_reload.json["errors"])
    assert admin.get("schema").json["version"] == version and admin.post("companies", {"name": "Still"}).status == 201
    assert seller.post("reload").status == 403
    (workflows / "broken.lua").unlink()
    assert admin.post("reload").status == 204


# ---- memory ----

def resident(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError


def sanitized():
    return b"__asan_init" in subprocess.run(["nm", "-D", PERIGEE], capture_output=True).stdout


def hold(server, token, line, until, count):
    held = []
    for _ in range(count):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.settimeout(10)
        s.sendall(f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        got = b""
        while until not in got:
            got += s.recv(65536)
        held.append(s)
    return held


@pytest.mark.parametrize("what,line,until,bound", [("an idle connection", "GET /healthz", b'{"status":"ok"}', 4096),
                                                   ("an idle event stream", "GET /api/v1/events?topics=companies,opportunities", b"id: ", 8192)])
def test_memory_of_idle_clients_is_bounded(start, what, line, until, bound):
    if sanitized():
        pytest.skip("measured on the normal build")
    server = start()
    token = server.user("admin", "crm_admin").token
    warm = hold(server, token, line, until, 300)
    before = resident(server.process.pid)
    held = hold(server, token, line, until, 1000)
    each = (resident(server.process.pid) - before) / 1000
    print(f"{what}: {each:.0f} bytes")
    assert each < bound
    for s in warm + held:
        s.close()


def test_the_process_at_rest_is_small(start):
    if sanitized():
        pytest.skip("measured on the normal build")
    server = start()
    admin = server.user("admin", "crm_admin")
    admin.get("companies")
    admin.made("companies", name="Rest")
    assert resident(server.process.pid) < 40 << 20
    assert os.path.exists(f"/proc/{server.process.pid}")
    assert request(server.port, "GET /healthz HTTP/1.1")[0] == 200
