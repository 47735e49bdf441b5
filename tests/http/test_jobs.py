"""Jobs and timers: done once the change is committed, tried again when they fail, and nothing lost over kill -9."""
import http.server
import json
import shutil
import signal
import socket
import threading
import time

import pytest
from aiosmtpd.controller import Controller
from conftest import ROOT, Server

SCRIPT = r'''
job("note", { retry = "1s..1s", attempts = 3 }, function(args)
  local made = crm.step("make", function() return crm.create("company", { name = args.name }).id end)
  if args.fail then error("no luck with " .. args.name) end
  crm.update("company", made, { size = 7 })
  return { made = made }
end)
job("fetch", { retry = "1s..1s", attempts = 3 }, function(args)
  local answer = http.request { method = args.method, url = args.url, headers = { Authorization = "secret" }, json = args.json, max = args.max }
  if answer.status >= 400 then error("status " .. answer.status) end
  return { status = answer.status, body = answer.body, kind = answer.headers["content-type"] }
end)
job("letter", { retry = "1s..2s", attempts = 2 }, function(args) mail.send(args) end)
job("greedy", { attempts = 1 }, function() while true do end end)
job("asks", { attempts = 1 }, function() while true do pcall(http.request, { url = "http://127.0.0.2/" }) end end)
job("inside", { attempts = 1 }, function() coroutine.wrap(function() http.request { url = "http://127.0.0.1/" } end)() end)
job("later", {}, function(args) crm.create("company", { name = args.name }) end)
every("1m", "tick", function() end)
every("30 6 * * 1-5 Europe/Moscow", "morning", function() end)
action("company", "enqueue", { label = { en = "Enqueue", ru = "В очередь" }, right = "update",
  fields = { job = text {}, args = json {}, at = text {}, key = text {} } },
  function(company, args) crm.enqueue(args.job, args.args, { at = args.at, key = args.key }) end)
'''


class Web(http.server.BaseHTTPRequestHandler):
    """Answers what the path asks for, and remembers every request."""
    seen = []
    lock = threading.Lock()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.lock:
            self.seen.append((self.command, self.path, dict(self.headers), body))
            count = sum(1 for s in self.seen if s[1] == self.path)
        status, fields, text = 200, {"Content-Type": "text/plain"}, b"\xff raw"
        if self.path.startswith("/limited") and count == 1:
            status, fields = 429, {"Retry-After": "2"}
        elif self.path.startswith("/broken"):
            status = 500
        elif self.path.startswith("/to?"):
            status, fields = 302, {"Location": self.path.split("?", 1)[1]}
        elif self.path.startswith("/large"):
            text = b"x" * 100000
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *args):
        pass


class Mailbox:
    def __init__(self):
        self.letters = []

    async def handle_DATA(self, server, session, envelope):
        if b"Subject: refuse" in envelope.content:
            return "554 no, thank you"
        self.letters.append(envelope)
        return "250 taken"


@pytest.fixture(scope="module")
def web():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def mailbox():
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        box.port = probe.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, mailbox):
    folder = tmp_path_factory.mktemp("jobs")
    shutil.copytree(ROOT / "workflows", folder / "workflows", ignore=shutil.ignore_patterns("tests"))
    (folder / "workflows/zz_jobs.lua").write_text(SCRIPT)
    (folder / "config.lua").write_text(
        'return { workflows = "%s", http_allow = { "127.0.0.1", "127.0.0.2" }, http_open = { "127.0.0.1" },'
        ' mail = { url = "smtp://127.0.0.1:%d", from = "Перигей <crm@example.com>", plain = true } }' % (folder / "workflows", mailbox.port))
    running = Server(folder, "--config", folder / "config.lua")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def boss(jobs):
    return jobs.user("boss", "crm_admin")


@pytest.fixture(scope="module")
def carrier(boss):
    return boss.made("companies", name="Carrier")["id"]


@pytest.fixture
def enqueue(boss, carrier):
    def add(job, args, **options):
        before = {j["id"] for j in boss.get("jobs", limit=500).json["items"]}
        answer = boss.post(f"companies/{carrier}/actions/enqueue", {"job": job, "args": args, **options})
        assert answer.status == 200, answer.body
        new = [j["id"] for j in boss.get("jobs", limit=500, job=job).json["items"] if j["id"] not in before]
        return new[0] if new else None
    return add


def wait(boss, job, *states, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        found = boss.get(f"jobs/{job}").json
        if found["state"] in states:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


def test_a_job_runs_after_the_commit_and_its_run_is_logged(boss, enqueue):
    done = wait(boss, enqueue("note", {"name": "Noted"}), "done")
    assert done["attempts"] == 1 and [r["outcome"] for r in done["runs"]] == ["done"]
    made = json.loads(done["runs"][0]["output"])["made"]
    assert boss.get(f"companies/{made}").json["size"] == 7
    change = boss.get(f"companies/{made}/timeline").json["items"][0]
    assert change["by"] is None or change["by"]["id"] is None


def test_a_failing_job_is_tried_again_from_its_failed_step_and_then_dead(boss, enqueue):
    job = enqueue("note", {"name": "Unlucky", "fail": True})
    dead = wait(boss, job, "dead")
    assert dead["attempts"] == 3 and [r["outcome"] for r in dead["runs"]] == ["dead", "retry", "retry"]
    assert dead["error"] == "no luck with Unlucky" and dead["runs"][0]["place"].startswith("workflows/zz_jobs.lua:")
    assert boss.get("companies", filter='name = "Unlucky"', count="exact").json["total"] == 1
    again = boss.post(f"jobs/{job}/requeue")
    assert again.status == 200 and again.json["state"] == "waiting" and again.json["attempts"] == 0
    assert boss.post(f"jobs/{job}/requeue").status == 409
    assert wait(boss, job, "dead")["attempts"] == 3


def test_a_job_waits_for_its_time_and_can_be_cancelled(boss, enqueue):
    job = enqueue("later", {"name": "Never"}, at="2099-01-01T00:00:00Z")
    assert boss.get(f"jobs/{job}").json["state"] == "waiting"
    assert boss.post(f"jobs/{job}/cancel").json["state"] == "cancelled"
    assert boss.post(f"jobs/{job}/cancel").status == 409
    assert boss.get("companies", filter='name = "Never"').json["items"] == []


def test_one_key_waits_once(boss, enqueue):
    first = enqueue("later", {"name": "Keyed"}, at="2099-01-01T00:00:00Z", key="k")
    assert first and enqueue("later", {"name": "Keyed"}, at="2099-01-01T00:00:00Z", key="k") is None
    boss.post(f"jobs/{first}/cancel")


def test_jobs_are_for_administrators(jobs, boss, enqueue):
    job = enqueue("note", {"name": "Seen"})
    seller = jobs.user("seller", "crm_sales", "--direction", "cloud")
    reader = jobs.user("reader", "crm_read_admin")
    assert seller.get("jobs").status == seller.get(f"jobs/{job}").status == 403
    assert seller.post(f"jobs/{job}/cancel").status == reader.post(f"jobs/{job}/cancel").status == 403
    assert reader.get("jobs").status == 200
    assert boss.get("jobs/0000000000001").status == 404 and boss.get("jobs", state="lost").status == 400


def test_the_list_is_paged_and_filtered(boss, enqueue):
    made = [enqueue("note", {"name": f"Page {i}"}) for i in range(3)]
    for job in made:
        wait(boss, job, "done")
    page = boss.get("jobs", job="note", state="done", limit=2).json
    rest = boss.get("jobs", job="note", state="done", limit=2, cursor=page["next"]).json
    ids = [j["id"] for j in page["items"] + rest["items"]]
    assert len(set(ids)) == len(ids) == 4 and ids == sorted(ids, reverse=True)


def test_a_request_brings_bytes_and_headers_back(boss, web, enqueue):
    done = wait(boss, enqueue("fetch", {"url": web + "/plain"}), "done", "dead")
    # The bytes are no UTF-8, so they cannot be a job's result as they are: each bad one is replaced.
    assert json.loads(done["runs"][0]["output"]) == {"status": 200, "body": "\ufffd raw", "kind": "text/plain"}


def test_an_idempotency_key_stays_the_same_over_attempts(boss, web, enqueue):
    dead = wait(boss, enqueue("fetch", {"url": web + "/broken/post", "method": "POST", "json": {"a": 1}}), "dead")
    keys = {h["Idempotency-Key"] for m, p, h, b in Web.seen if p == "/broken/post"}
    assert dead["attempts"] == 3 and len(keys) == 1 and dead["error"] == "status 500"
    assert [b for m, p, h, b in Web.seen if p == "/broken/post"] == [b'{"a":1}'] * 3


def test_retry_after_is_honoured(boss, web, enqueue):
    done = wait(boss, enqueue("fetch", {"url": web + "/limited"}), "done")
    first, second = (r["started_at"] for r in reversed(done["runs"]))
    assert done["attempts"] == 2 and second[17:23] != first[17:23]
    seconds = (float(second[17:23]) - float(first[17:23])) % 60
    assert 2 <= seconds < 6


def test_only_allowed_hosts_and_open_addresses_are_reached(boss, web, enqueue):
    wanted = {"http://example.invalid/": "not allowed", "http://127.0.0.2:1/": "inside", "file:///etc/passwd": "no", "ftp://127.0.0.1/": "no",
              "http:///": "no", "gopher://127.0.0.1/": "no"}
    made = {url: enqueue("fetch", {"url": url}) for url in wanted}
    for url, job in made.items():
        assert wanted[url] in wait(boss, job, "dead")["error"], url


def test_redirects_are_checked_as_the_first_address_was(boss, web, enqueue):
    done = wait(boss, enqueue("fetch", {"url": f"{web}/to?{web}/plain-end"}), "done")
    assert json.loads(done["runs"][0]["output"])["status"] == 200
    inner, loop = (enqueue("fetch", {"url": f"{web}/to?{to}"}) for to in ("http://169.254.169.254/latest", "/to?/to?/to?/to?/to?/to?/x"))
    assert "not allowed" in wait(boss, inner, "dead")["error"]
    assert "more than 5" in wait(boss, loop, "dead")["error"]


def test_an_answer_is_bounded(boss, web, enqueue):
    assert "larger" in wait(boss, enqueue("fetch", {"url": web + "/large", "max": 1000}), "dead")["error"]


def test_header_injection_is_refused(boss, web, enqueue):
    refused = wait(boss, enqueue("fetch", {"url": web + "/x\r\nEvil: 1"}), "dead")
    assert "not allowed there" in refused["error"]


def test_a_greedy_job_ends_at_its_limit_and_others_go_on(boss, enqueue):
    greedy, asks, inside = enqueue("greedy", {}), enqueue("asks", {}), enqueue("inside", {})
    assert "time limit" in wait(boss, greedy, "dead", seconds=30)["error"]
    assert "limit" in wait(boss, asks, "dead", seconds=60)["error"]
    assert "inside a coroutine" in wait(boss, inside, "dead")["error"]
    assert wait(boss, enqueue("note", {"name": "After greed"}), "done")


def test_letters_are_sent_encoded_and_nothing_is_injected(boss, mailbox, enqueue):
    wait(boss, enqueue("letter", {"to": ["Анна <anna@example.com>", "bob@example.com"], "subject": "Привет, мир " * 6,
                                  "text": "Здравствуйте\n.\nточка", "html": "<p>Здравствуйте</p>"}), "done")
    from email import message_from_bytes, policy
    envelope = mailbox.letters[-1]
    letter = message_from_bytes(envelope.content, policy=policy.default)
    assert envelope.mail_from == "crm@example.com" and envelope.rcpt_tos == ["anna@example.com", "bob@example.com"]
    assert letter["Subject"].strip() == ("Привет, мир " * 6).strip() and "Анна <anna@example.com>" in str(letter["To"])
    assert str(letter["From"]) == "Перигей <crm@example.com>" and letter["Message-ID"] and letter["Date"]
    assert letter.get_body(("plain",)).get_content().strip() == "Здравствуйте\n.\nточка"
    assert letter.get_body(("html",)).get_content().strip() == "<p>Здравствуйте</p>"
    refused = []
    for wrong in ({"to": "a@b.c", "subject": "x\r\nBcc: evil@example.com", "text": "t"}, {"to": "a@b.c\nBcc: e@x.y", "subject": "s", "text": "t"},
                  {"to": "a b@c.d", "subject": "s", "text": "t"}, {"to": "a@b.c", "subject": "s", "text": "t", "headers": {"Bcc": "e@x.y"}},
                  {"to": "a@b.c", "subject": "s", "text": "t", "headers": {"X-A": "1\r\nBcc: e@x.y"}}, {"to": [], "subject": "s", "text": "t"}):
        refused.append(enqueue("letter", wrong))
    for job in refused:
        assert wait(boss, job, "dead")["error"].startswith("mail.send: ")
    assert "554" in wait(boss, enqueue("letter", {"to": "a@b.c", "subject": "refuse", "text": "t"}), "dead")["error"]
    assert all("evil" not in str(e.rcpt_tos) for e in mailbox.letters)


def test_nothing_is_lost_over_kill_9(jobs, boss, enqueue):
    made = [enqueue("later", {"name": f"Survivor {i}"}) for i in range(20)]
    jobs.process.send_signal(signal.SIGKILL)
    jobs.process.wait(30)
    jobs.start()
    boss.port = jobs.port
    for job in made:
        wait(boss, job, "done")
    total = boss.get("companies", filter='name starts "Survivor"', count="exact").json["total"]
    assert total >= 20  # at least once: what was under way may have been done twice


def test_timers_are_noted_at_their_first_sight(boss, jobs):
    text = boss.raw("GET", "/metrics").body.decode()
    assert "perigee_jobs_done_total" in text and "perigee_outbox_running" in text
