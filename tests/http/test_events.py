"""Server-sent events: api.md §10."""
import json
import socket
import threading
import time

import pytest

from conftest import Server
from wire import request


class Stream:
    """A reader of events over a socket of its own. Every wait has an end."""

    def __init__(self, client, topics=None, last=None, path=None, receive=None):
        self.socket = socket.socket()
        if receive:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", client.port))
        target = path or "/api/v1/events" + ("?topics=" + topics if topics is not None else "")
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nAuthorization: Bearer {client.token}\r\n"
        if last is not None:
            head += f"Last-Event-ID: {last}\r\n"
        self.socket.sendall(head.encode() + b"\r\n")
        self.raw, self.text, self.events, self.comments, self.ended = b"", b"", [], [], False
        while b"\r\n\r\n" not in self.raw:
            self.fill()
        top, _, self.raw = self.raw.partition(b"\r\n\r\n")
        self.status = int(top.split(b" ")[1])
        self.headers = top.decode().lower()
        self.position = None
        if self.status == 200:
            self.until(lambda: self.position is not None or self.events)

    def fill(self):
        piece = self.socket.recv(65536)
        if not piece:
            self.ended = True
        self.raw += piece

    def parse(self):
        while b"\r\n" in self.raw:  # chunks
            size, _, rest = self.raw.partition(b"\r\n")
            n = int(size, 16)
            if len(rest) < n + 2:
                break
            if n == 0:
                self.ended = True
            self.text += rest[:n]
            self.raw = rest[n + 2:]
        while b"\n\n" in self.text:
            block, _, self.text = self.text.partition(b"\n\n")
            event = {"event": "message"}
            for line in block.decode().split("\n"):
                name, _, value = line.partition(": ")
                if name == "":
                    self.comments.append(value)
                else:
                    event[name] = value
            if "data" in event:
                event["data"] = json.loads(event["data"])
                self.events.append(event)
            elif "id" in event:
                self.position = event["id"]

    def until(self, true, seconds=20):
        end = time.monotonic() + seconds
        self.parse()
        while not true():
            assert not self.ended, "the stream ended"
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            self.fill()
            self.parse()
        return self

    def wait(self, count=1):
        self.until(lambda: len(self.events) >= count)
        taken, self.events = self.events[:count], self.events[count:]
        return taken

    def wait_end(self, seconds=20):
        end = time.monotonic() + seconds
        while not self.ended:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                self.fill()
            except ConnectionResetError:
                self.ended = True
            self.parse()

    def close(self):
        self.socket.close()


@pytest.fixture
def stream():
    opened = []

    def open_one(*args, **kwargs):
        opened.append(Stream(*args, **kwargs))
        return opened[-1]
    yield open_one
    for s in opened:
        s.close()


def gauge(admin, name):
    for line in admin("GET", "/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(name)


def eventually(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module", autouse=True)
def quiet(admin):
    """A stream on which nothing happens, opened before everything else: its comment is due when the other tests are through."""
    s = Stream(admin, "companies:" + admin.made("companies", name="Quiet")["id"])
    s.begun = time.monotonic()
    s.until(lambda: "connected" in s.comments)
    yield s
    s.close()


def test_a_change_is_told_with_its_position(admin, stream):
    s = stream(admin, "companies")
    assert s.status == 200 and "content-type: text/event-stream" in s.headers and "cache-control: no-cache" in s.headers
    made = admin.made("companies", name="Told")
    [event] = s.wait()
    assert event["event"] == "message" and int(event["id"]) > int(s.position)
    assert event["data"]["topic"] == "companies" and event["data"]["type"] == "company.created" and event["data"]["id"] == made["id"]
    assert event["data"]["at"] == made["created_at"] and event["data"]["by"] == made["created_by"] and "name" in event["data"]["changed"]
    admin.patch("companies/" + made["id"], {"size": 5})
    [event] = s.wait()
    assert event["data"]["type"] == "company.updated" and event["data"]["action"] == "update" and event["data"]["changed"] == ["size"]


def test_values_are_never_sent(admin, stream):
    s = stream(admin, "companies")
    admin.made("companies", name="Secret name")
    s.wait()
    assert b"Secret" not in s.raw and "Secret" not in str(s.events)


def test_topics_choose_collections_and_single_records(admin, stream, company):
    mine = admin.made("companies", name="Mine")
    s = stream(admin, f"contacts,companies:{mine['id']}")
    admin.made("companies", name="Not asked for")
    admin.patch("companies/" + company["id"], {"size": 44})
    admin.patch("companies/" + mine["id"], {"size": 9})
    contact = admin.made("contacts", name="Asked for")
    got = s.wait(2)
    assert [(e["data"]["topic"], e["data"]["id"]) for e in got] == [("companies", mine["id"]), ("contacts", contact["id"])]


def test_without_topics_all_is_told(admin, stream):
    s = stream(admin)
    admin.made("contacts", name="All")
    admin.made("companies", name="All")
    assert [e["data"]["topic"] for e in s.wait(2)] == ["contacts", "companies"]


@pytest.mark.parametrize("topics", ["nothing", "companies,nothing", "companies:x", "companies:", "companies:0000000000000x", ":", "users:me", ",".join(["companies"] * 65)])
def test_a_wrong_topic_is_400(admin, topics):
    refused = admin.get("events", topics=topics)
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "topics"


def test_a_topic_one_may_not_read_is_unknown(server, stream):
    partner = server.user("sse_partner", "crm_partner")
    assert partner.get("events", topics="leads").status == 400
    assert partner.get("events", topics="leads").json["detail"] == partner.get("events", topics="zeads").json["detail"].replace("zeads", "leads")


def test_head_answers_without_a_stream(server, admin):
    status, fields, body = request(server.port, "HEAD /api/v1/events HTTP/1.1", token=admin.token)
    assert status == 200 and fields["content-type"] == "text/event-stream" and body == b""


def test_who_is_not_signed_in_gets_no_stream(server):
    assert request(server.port, "GET /api/v1/events HTTP/1.1")[0] == 401


# ---- replay ----

def test_last_event_id_replays_what_was_missed_once_and_in_order(admin, stream):
    s = stream(admin, "companies")
    first = admin.made("companies", name="Seen")
    [seen] = s.wait()
    s.close()
    assert seen["data"]["id"] == first["id"]
    missed = [admin.made("companies", name=f"Missed {i}")["id"] for i in range(300)]
    again = stream(admin, "companies", last=seen["id"])
    got = again.wait(300)
    assert [e["data"]["id"] for e in got] == missed
    ids = [int(e["id"]) for e in got]
    assert ids == sorted(ids) and len(set(ids)) == 300
    live = admin.made("companies", name="Live")
    assert again.wait()[0]["data"]["id"] == live["id"]


def test_the_first_position_is_enough_to_come_back_with(admin, stream):
    s = stream(admin, "companies")
    position = s.position
    s.close()
    made = admin.made("companies", name="Between")
    assert stream(admin, "companies", last=position).wait()[0]["data"]["id"] == made["id"]


@pytest.mark.parametrize("last", ["abc", "-1", "999999999", "99999999999999999999999", "1.5", "0x10"])
def test_a_position_that_cannot_be_replayed_is_reset(admin, stream, last):
    s = stream(admin, "companies", last=last)
    [event] = s.wait()
    assert event["event"] == "reset" and int(event["id"]) >= 0
    made = admin.made("companies", name="After reset")
    assert s.wait()[0]["data"]["id"] == made["id"]


def test_an_empty_position_means_from_now(admin, stream):
    s = stream(admin, "companies", last="")
    made = admin.made("companies", name="From now")
    assert s.wait()[0]["data"]["id"] == made["id"]


# ---- rights, at the moment of sending ----

def test_only_what_the_reader_may_read_is_told(admin, seller, other, stream, company):
    mine, theirs = stream(seller, "opportunities"), stream(other, "opportunities")
    deal = admin.made("opportunities", name="Rights", company=company["id"], direction="cloud")
    assert mine.wait()[0]["data"]["id"] == deal["id"]
    hardware = admin.made("opportunities", name="Rights", company=company["id"], direction="hardware")
    assert theirs.wait()[0]["data"]["id"] == hardware["id"]


def test_rights_taken_away_are_gone_for_the_next_event_and_in_a_replay(admin, server, stream, company):
    someone = server.user("sse_moving", "crm_sales", "--direction", "cloud")
    user = someone.get("me").json["id"]
    s = stream(someone, "opportunities")
    deal = admin.made("opportunities", name="Before", company=company["id"], direction="cloud")
    assert s.wait()[0]["data"]["id"] == deal["id"]
    assert admin.patch("users/" + user, {"directions": ["hardware"], "direction": "hardware"}).status == 200
    admin.patch("opportunities/" + deal["id"], {"name": "After"})
    seen = admin.made("opportunities", name="Now mine", company=company["id"], direction="hardware")
    assert s.wait()[0]["data"]["id"] == seen["id"]
    replayed = stream(someone, "opportunities", last=s.position)
    assert replayed.wait()[0]["data"]["id"] == seen["id"]


def test_hidden_fields_are_not_named(admin, server, stream, company):
    firm = admin.made("partners", name="Event partner")
    partner = server.user("sse_supervisor", "crm_partner_supervisor")
    admin.patch("users/" + partner.get("me").json["id"], {"partner": firm["id"]})
    s = stream(partner, "opportunities")
    deal = admin.made("opportunities", name="Shown", company=company["id"], direction="cloud", partner=firm["id"])
    s.wait()
    admin.patch("opportunities/" + deal["id"], {"competitor": "Rival", "name": "Renamed"})
    [event] = s.wait()
    assert event["data"]["changed"] == ["name"]


def test_a_token_taken_back_ends_its_stream(admin, server, stream):
    someone = server.user("sse_revoked", "crm_sales", "--direction", "cloud")
    token = someone.post("tokens", {"name": "second"}).json
    from conftest import Client
    second = Client(server.port, token["token"])
    s = stream(second, "companies")
    assert someone.delete("tokens/" + token["id"]).status == 204
    admin.made("companies", name="Ends it", direction="cloud")
    s.wait_end()


def test_a_deactivated_user_hears_no_more(admin, server, stream):
    someone = server.user("sse_leaver", "crm_sales", "--direction", "cloud")
    s = stream(someone, "companies")
    assert admin.patch("users/" + someone.get("me").json["id"], {"active": False}).status == 200
    admin.made("companies", name="Unheard", direction="cloud")
    s.wait_end()
    assert s.events == []


def test_a_dry_run_and_a_refused_write_tell_nothing(admin, stream):
    s = stream(admin, "companies")
    admin.post("companies", {"name": "Dry"}, dry_run="true")
    admin.post("companies", {})
    admin.post("batch", {"atomic": True, "operations": [{"method": "POST", "path": "/api/v1/companies", "body": {"name": "x"}},
                                                        {"method": "POST", "path": "/api/v1/companies", "body": {}}]})
    real = admin.made("companies", name="Real")
    assert s.wait()[0]["data"]["id"] == real["id"]


# ---- many, slow, gone ----

def test_a_client_that_leaves_is_forgotten(admin, stream):
    before = gauge(admin, "perigee_event_streams")
    opened = [stream(admin, "companies") for _ in range(20)]
    eventually(lambda: gauge(admin, "perigee_event_streams") == before + 20)
    for s in opened:
        s.close()
    eventually(lambda: gauge(admin, "perigee_event_streams") == before)


def test_many_clients_all_hear_and_requests_stay_quick(admin, stream):
    opened = [stream(admin, "companies") for _ in range(400)]
    made = [admin.made("companies", name="Heard")["id"] for _ in range(5)]
    slowest = 0
    for _ in range(100):
        begun = time.monotonic()
        admin.get("me")
        slowest = max(slowest, time.monotonic() - begun)
    for s in opened:
        assert [e["data"]["id"] for e in s.wait(5)] == made
    assert slowest < 1, slowest


def test_a_client_that_does_not_read_costs_little_and_later_gets_everything(admin, stream):
    s = stream(admin, "contacts", receive=4096)
    memory = gauge(admin, "perigee_memory_bytes")
    wanted = []
    for _ in range(8):
        body = {"operations": [{"method": "POST", "path": "/api/v1/contacts", "body": {"name": "N"}} for _ in range(500)]}
        wanted += [r["body"]["id"] for r in admin.post("batch", body).json["results"]]
    assert gauge(admin, "perigee_memory_bytes") - memory < 20e6
    quick = stream(admin, "companies")
    made = admin.made("companies", name="Quick")
    assert quick.wait()[0]["data"]["id"] == made["id"]
    assert [e["data"]["id"] for e in s.wait(len(wanted))] == wanted


# ---- stop and reload ----

@pytest.fixture
def own(tmp_path):
    running = Server(tmp_path)
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


def test_a_stop_ends_the_streams_at_once_and_a_restart_replays(own, stream):
    admin = own.user("admin", "crm_admin")
    s = stream(admin, "companies")
    admin.made("companies", name="First")
    [first] = s.wait()
    begun = time.monotonic()
    own.process.terminate()
    s.wait_end()
    assert own.process.wait(30) == 0 and time.monotonic() - begun < 8
    own.start()
    admin = own.user("admin", "crm_admin")
    admin.port = own.port
    second = admin.made("companies", name="Second")
    assert stream(admin, "companies", last=first["id"]).wait()[0]["data"]["id"] == second["id"]


def test_a_stream_lives_through_a_reload(admin, stream):
    s = stream(admin, "companies")
    assert admin.post("reload").status == 204
    for i in range(5):
        made = admin.made("companies", name=f"Reloaded {i}")
        assert s.wait()[0]["data"]["id"] == made["id"]


def test_writes_of_another_process_are_told_too(own, stream):
    from conftest import perigee
    admin = own.user("admin", "crm_admin")
    s = stream(admin, "users")
    created = perigee("user", "create", "--data", own.data, "--login", "outsider", "--name", "Out", "--role", "crm_sales", "--password-stdin",
                      stdin="a long enough secret\n").stdout.strip()
    assert s.wait()[0]["data"]["id"] == created


def test_subscribing_while_others_write_loses_nothing(admin, stream):
    """From the position that a stream names first, there is no gap."""
    stop, made = threading.Event(), []

    def write():
        while not stop.is_set():
            made.append(admin.made("contacts", name="Race")["id"])
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(5):
            s = stream(admin, "contacts")
            got = [e["data"]["id"] for e in s.wait(10)]
            eventually(lambda: got[-1] in made)  # its answer comes a moment after its event
            at = made.index(got[0])
            assert made[at:at + 10] == got
    finally:
        stop.set()
        writer.join()


def test_a_comment_comes_every_15_seconds(quiet):
    quiet.until(lambda: "still here" in quiet.comments, 20)
    assert quiet.events == []
    if time.monotonic() - quiet.begun < 20:  # else it had come long before it was looked for
        assert 14 < time.monotonic() - quiet.begun < 17
