"""Webhooks: what changes is told to those who subscribed, signed, under their owner's rights, at least once."""
import base64
import http.server
import json
import signal
import subprocess
import threading
import time
import uuid

import pytest
from conftest import ROOT, Server


class Receiver(http.server.BaseHTTPRequestHandler):
    """Remembers every delivery by its path; answers with the status that the path names."""
    seen, lock, failures = {}, threading.Lock(), {}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name, status = self.path[1:].split("/")
        with self.lock:
            self.seen.setdefault(name, []).append((dict(self.headers), body.decode()))
            if status == "flaky":
                status = 503 if len(self.seen[name]) < 3 else 204
        self.send_response(int(status))
        self.send_header("Content-Length", "0")
        if int(status) == 503:
            self.send_header("Retry-After", "1")
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def receiver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webhooks")
    (folder / "config.lua").write_text('return { http_open = { "127.0.0.1" } }')
    running = Server(folder, "--config", folder / "config.lua")
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def boss(hooked):
    return hooked.user("boss", "crm_admin")


@pytest.fixture
def subscribe(boss, receiver):
    made = []

    def make(status="204", **fields):
        name = uuid.uuid4().hex
        answer = boss.post("webhooks", {"url": f"{receiver}/{name}/{status}", "topics": ["companies"], **fields})
        assert answer.status == 201, answer.body
        made.append(answer.json["id"])
        return answer.json, name
    yield make
    for webhook in made:
        boss.delete(f"webhooks/{webhook}")


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline
        time.sleep(0.02)


def received(name, n=1, seconds=20):
    return until(lambda: len(Receiver.seen.get(name, [])) >= n and Receiver.seen[name], seconds)


def verify(deliveries):
    """By the implementation that the authors of the standard publish."""
    lines = "".join(json.dumps({"secret": s, "headers": {k.lower(): v for k, v in h.items()}, "body": b}) + "\n" for s, h, b in deliveries)
    done = subprocess.run(["node", ROOT / "tests/node/verify_webhook.mjs"], input=lines, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_change_is_told_signed_with_before_and_after(boss, subscribe):
    webhook, name = subscribe()
    company = boss.made("companies", name="Told", size=1)
    boss.patch("companies/" + company["id"], {"size": 2})
    bodies = {json.loads(b)["type"]: json.loads(b) for h, b in received(name, 2)}
    created, updated = bodies["company.created"], bodies["company.updated"]
    assert created["data"]["before"] is None and created["data"]["after"]["name"] == "Told"
    assert updated["data"]["id"] == company["id"] and updated["data"]["changed"] == ["size"]
    assert updated["data"]["before"] == {"size": 1} and updated["data"]["after"] == {"size": 2}
    assert verify([(webhook["secret"], h, b) for h, b in Receiver.seen[name]]) == ["ok", "ok"]
    headers, body = Receiver.seen[name][0]
    assert verify([(webhook["secret"], headers, body + " ")]) != ["ok"]


def test_a_move_is_a_type_of_its_own_and_other_topics_are_not_told(boss, subscribe):
    webhook, name = subscribe(topics=["opportunities"])
    company = boss.made("companies", name="Not told", direction="cloud")
    contact = boss.made("contacts", name="Bob", company=company["id"])
    deal = boss.made("opportunities", name="Moved", company=company["id"], direction="cloud", contact=contact["id"], products=["platform"], probability=10)
    assert boss.post(f"opportunities/{deal['id']}/actions/move", {"stage": "qualification"}).status == 200
    types = [json.loads(b)["type"] for h, b in received(name, 2)]
    assert sorted(set(types)) == ["opportunity.created", "opportunity.stage_changed"]
    moved = [json.loads(b) for h, b in Receiver.seen[name] if "stage_changed" in b][0]
    assert moved["data"]["before"]["stage"] == "new" and moved["data"]["after"]["stage"] == "qualification"


def test_a_filter_decides_under_the_rights_of_the_owner(boss, subscribe):
    webhook, name = subscribe(filter="size > 100")
    boss.made("companies", name="Small", size=5)
    large = boss.made("companies", name="Large", size=500)
    assert json.loads(received(name)[0][1])["data"]["id"] == large["id"]
    assert boss.post("webhooks", {"url": "https://example.com/", "topics": ["companies"], "filter": "siz > 1"}).json["errors"][0]["suggestion"] == "size"
    refused = boss.post("webhooks", {"url": "https://example.com/", "topics": [], "filter": "size > 1"})
    assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/filter"
    assert len(Receiver.seen[name]) == 1


def test_failures_are_tried_again_with_the_same_id_and_told_in_the_log(boss, subscribe):
    webhook, name = subscribe(status="flaky")
    boss.made("companies", name="Flaky")
    attempts = received(name, 3, 60)
    assert len({h["webhook-id"] for h, b in attempts}) == 1 and len({b for h, b in attempts}) == 1
    log = until(lambda: [d for d in boss.get(f"webhooks/{webhook['id']}/deliveries").json["items"] if d["state"] == "delivered"])
    assert log[0]["attempts"] == 3 and log[0]["status"] == 204


def test_410_switches_it_off_and_it_can_be_switched_on_again(boss, subscribe):
    webhook, name = subscribe(status="410")
    boss.made("companies", name="Gone")
    off = until(lambda: (w := boss.get(f"webhooks/{webhook['id']}").json) and not w["active"] and w)
    assert "410" in off["disabled"] and len(Receiver.seen[name]) == 1
    assert [n["text"] for n in boss.get("notifications").json["items"]] == ["A webhook was switched off: its receiver does not answer"]
    assert boss.post(f"webhooks/{webhook['id']}/test").status == 409
    on = boss.patch(f"webhooks/{webhook['id']}", {"active": True})
    assert on.status == 200 and on.json["active"] and on.json["disabled"] is None


def test_a_ping_and_a_redelivery(boss, subscribe):
    webhook, name = subscribe()
    ping = boss.post(f"webhooks/{webhook['id']}/test")
    assert ping.status == 202 and ping.json["type"] == "ping"
    first = received(name)[0]
    assert json.loads(first[1])["type"] == "ping"
    until(lambda: boss.get(f"webhooks/{webhook['id']}/deliveries").json["items"][0]["state"] == "delivered")
    assert boss.post(f"webhooks/{webhook['id']}/deliveries/{ping.json['id']}/redeliver").status == 202
    again = received(name, 2)[1]
    assert again[1] == first[1] and again[0]["webhook-id"] == first[0]["webhook-id"]
    assert boss.post(f"webhooks/{webhook['id']}/deliveries/0000000000001/redeliver").status == 404


def test_a_rotated_secret_signs_beside_the_old_one(boss, subscribe):
    webhook, name = subscribe()
    rotated = boss.post(f"webhooks/{webhook['id']}/rotate").json
    assert rotated["secret"] != webhook["secret"]
    boss.post(f"webhooks/{webhook['id']}/test")
    headers, body = received(name)[0]
    assert len(headers["webhook-signature"].split()) == 2
    assert verify([(webhook["secret"], headers, body), (rotated["secret"], headers, body)]) == ["ok", "ok"]


def test_secrets_are_shown_once_and_checked(boss, subscribe):
    own = "whsec_" + base64.b64encode(b"k" * 24).decode()
    webhook, name = subscribe(secret=own)
    assert webhook["secret"] == own and "secret" not in boss.get(f"webhooks/{webhook['id']}").json
    assert "secret" not in boss.get("webhooks").json["items"][0]
    for bad in ("short", "whsec_!!!", "whsec_" + base64.b64encode(b"k" * 8).decode(), "whsec_" + base64.b64encode(b"k" * 80).decode()):
        refused = boss.post("webhooks", {"url": "https://example.com/", "secret": bad})
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/secret"


def test_inner_addresses_and_bad_urls_are_refused(boss):
    for url in ("http://10.0.0.1/", "http://[::1]/", "http://169.254.169.254/latest", "https://0.0.0.0/", "file:///etc/passwd", "nonsense",
                "https://user:secret@example.com/", "http://[::ffff:192.168.0.1]/"):
        refused = boss.post("webhooks", {"url": url})
        assert refused.status == 422 and refused.json["errors"][0]["pointer"] == "/url", url
    assert boss.post("webhooks", {}).json["errors"][0]["pointer"] == "/url"
    assert boss.post("webhooks", {"url": "https://example.com/", "topics": ["nowhere"]}).json["errors"][0]["pointer"] == "/topics/0"
    assert boss.post("webhooks", {"url": "https://example.com/", "colour": 1}).status == 400


def test_webhooks_are_for_administrators(hooked, boss, subscribe):
    webhook, name = subscribe()
    seller = hooked.user("seller", "crm_sales", "--direction", "cloud")
    reader = hooked.user("reader", "crm_read_admin")
    path = f"webhooks/{webhook['id']}"
    assert seller.get("webhooks").status == seller.get(path).status == seller.post("webhooks", {"url": "https://example.com/"}).status == 403
    assert reader.get(path).status == 200 and "secret" not in reader.get(path).json
    for refused in (reader.delete(path), reader.patch(path, {"active": False}), reader.post(path + "/rotate"), reader.post(path + "/test")):
        assert refused.status == 403


def test_every_change_is_delivered_over_kill_9_and_a_failing_receiver(hooked, boss, subscribe):
    webhook, name = subscribe(status="flaky")
    made = {boss.made("companies", name=f"Survivor {i}")["id"] for i in range(60)}
    hooked.process.send_signal(signal.SIGKILL)
    hooked.process.wait(30)
    hooked.start()
    boss.port = hooked.port

    def told():
        seen = [json.loads(b)["data"]["id"] for h, b in Receiver.seen.get(name, [])]
        return made <= set(seen)
    until(told, 60)
    ids = {}
    for headers, body in Receiver.seen[name]:
        ids.setdefault(json.loads(body)["data"]["id"], set()).add(headers["webhook-id"])
    assert all(len(messages) == 1 for messages in ids.values())  # sent twice perhaps, but as one message
