"""crash.py PERIGEE [ROUNDS] [SEED]: an answered write survives kill -9.

Each round: the server starts on the folder that the last kill left behind; what was answered before is compared with what is there now;
16 clients create, change, move, comment, send batches and repeat themselves under an Idempotency-Key; at a random moment the process is
killed. A request that was under way at that moment may have happened or not, but never by halves and never twice.

After each restart:
  every answered record has its answered content, or that and the one request that was under way
  no record that nobody asked for; a batch is there as a whole or not at all; a repeated create made one record
  a deal that moved has its history and its chain of tasks, once
  one outbox row for each deal and none without; numbers are unique; a version is the count of its log entries
  the log's hash chain, PRAGMA integrity_check and foreign_key_check
Ends with exit code 1 at the first broken promise and leaves the folder for a look.
"""
import collections
import http.client
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 16
ROUNDS_PER_FOLDER = 20  # the checks read the whole log: a fresh folder now and then keeps a round short
START_SECONDS = 30
ANSWER_SECONDS = 30
JOB = "crash_probe"


class Broken(Exception):
    """A promise that did not hold."""


def require(condition, *what):
    if not condition:
        raise Broken(" ".join(str(w) for w in what))


def id_text(id):
    """Crockford's base 32 in lower case, 13 digits: as the API shows ids."""
    return "".join("0123456789abcdefghjkmnpqrstvwxyz"[id >> shift & 31] for shift in range(60, -1, -5))


class Server:
    """One process on a data folder; started and killed by its own pid."""

    def __init__(self, perigee, folder):
        self.perigee, self.folder = perigee, folder
        self.data, self.workflows = folder / "data", folder / "workflows"
        shutil.copytree(ROOT / "workflows", self.workflows)
        shutil.copy(ROOT / "tests/crash/crash.lua", self.workflows / "crash.lua")
        self.run("import", "--masterdata", ROOT / "masterdata/crm.json")
        self.run("user", "create", "--login", "crash", "--name", "Crash", "--role", "crm_admin", "--password-stdin", stdin="a long enough secret\n")
        self.token = self.run("token", "create", "--user", "crash").strip()

    def run(self, *words, stdin=None):
        options = ["--data", self.data, "--workflows", self.workflows]
        done = subprocess.run([self.perigee, *map(str, [*words, *options])], input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=120)
        require(done.returncode == 0, "perigee", *words, "said:", done.stdout, done.stderr)
        return done.stdout

    def spawn(self):
        self.port_file = self.data / "perigee.port"
        self.port_file.unlink(missing_ok=True)
        with open(self.folder / "serve.log", "ab") as log:
            self.process = subprocess.Popen([self.perigee, "serve", "--data", str(self.data), "--workflows", str(self.workflows), "--listen", "127.0.0.1:0"],
                                            cwd=ROOT, stdout=log, stderr=log)

    def start(self):
        self.spawn()
        deadline = time.monotonic() + START_SECONDS
        while not (self.port_file.exists() and self.port_file.read_text().endswith("\n")):
            require(self.process.poll() is None, "the server does not start again; see", self.folder / "serve.log")
            require(time.monotonic() < deadline, "the server is not ready after", START_SECONDS, "s")
            time.sleep(0.002)
        self.port = int(self.port_file.read_text())

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Connection:
    """Keep-alive; an answer that did not come whole is an OSError or HTTPException."""

    def __init__(self, server):
        self.token = server.token
        self.http = http.client.HTTPConnection("127.0.0.1", server.port, timeout=ANSWER_SECONDS)

    def ask(self, method, path, body=None, **headers):
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json", **headers}
        self.http.request(method, "/api/v1/" + path, None if body is None else json.dumps(body), headers)
        answer = self.http.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text else None

    def every(self, collection, filter, fields):
        """All records, by pages; the cursor must bring each one once."""
        cursor, seen = None, set()
        while True:
            query = {"filter": filter, "fields": fields, "limit": 500, **({"cursor": cursor} if cursor else {})}
            status, page = self.ask("GET", collection + "?" + urllib.parse.urlencode(query))
            require(status == 200, "listing", collection, "answers", status, page)
            for item in page["items"]:
                require(item["id"] not in seen, "paging brings", item["id"], "twice")
                seen.add(item["id"])
                yield item
            cursor = page.get("next")
            if not cursor:
                return


class Expected:
    """What was answered about one deal; `maybe` is the change that was under way at the kill."""

    def __init__(self, record):
        self.content = {k: record[k] for k in ("id", "number", "version", "name", "amount", "stage")}
        self.maybe = None
        self.comments, self.maybe_comment = set(), None

    def allows(self, found):
        return found == self.content or (self.maybe is not None and found == {**self.content, **self.maybe, "version": self.content["version"] + 1})


class Client(threading.Thread):
    """One person at work until the connection breaks. Each owns the deals it made, so what they must look like is known."""

    def __init__(self, server, seed, mark, setting):
        super().__init__(daemon=True)
        self.server, self.random, self.mark, self.setting = server, random.Random(seed), mark, setting
        self.deals, self.count = {}, 0
        self.answered = collections.Counter()
        self.creating = []  # names under way: one, or all of a batch
        self.key = None  # Idempotency-Key of the create under way, or of the one repeated
        self.error = None

    def run(self):
        try:
            self.connection = Connection(self.server)
            while True:
                self.step()
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            pass  # the kill
        except Exception as error:  # an answer that must not be
            self.error = error

    def step(self):
        work = [self.create, self.create_twice, self.batch]
        if self.deals:
            work += [self.change, self.change, self.move, self.comment]
        act = self.random.choice(work)
        act()
        self.answered[act.__name__] += 1

    def deal(self):
        self.count += 1
        amount = self.random.randrange(0, 10**11) / 100
        return {"name": f"{self.mark}-{self.count}", "amount": amount, **self.setting}

    def create(self, key=None):
        body = self.deal()
        self.creating, self.key, self.body = [body["name"]], key, body
        headers = {"Idempotency-Key": key} if key else {}
        status, record = self.connection.ask("POST", "opportunities", body, **headers)
        require(status == 201, "create answers", status, record)
        self.deals[body["name"]] = Expected(record)
        self.creating = []
        return record

    def create_twice(self):
        key = f"{self.mark}-{self.count}-once"
        record = self.create(key)
        status, again = self.connection.ask("POST", "opportunities", self.body, **{"Idempotency-Key": key})
        require(status == 201 and again == record, "the repeated create answers", status, again, "and not", record)

    def batch(self):
        bodies = [self.deal() for _ in range(3)]
        self.creating, self.key = [b["name"] for b in bodies], None
        operations = [{"method": "POST", "path": "/api/v1/opportunities", "body": b} for b in bodies]
        status, answer = self.connection.ask("POST", "batch", {"atomic": True, "operations": operations})
        require(status == 200 and [r["status"] for r in answer["results"]] == [201] * 3, "the batch answers", status, answer)
        for result in answer["results"]:
            self.deals[result["body"]["name"]] = Expected(result["body"])
        self.creating = []

    def apply(self, deal, method, path, body, maybe):
        deal.maybe = maybe
        status, record = self.connection.ask(method, path, body)
        require(status == 200, method, path, "answers", status, record)
        deal.content = Expected(record).content
        deal.maybe = None

    def any_deal(self):
        return self.random.choice(list(self.deals.values()))

    def change(self):
        deal = self.any_deal()
        amount = self.random.randrange(0, 10**11) / 100
        if amount != deal.content["amount"]:
            self.apply(deal, "PATCH", "opportunities/" + deal.content["id"], {"amount": amount}, {"amount": amount})

    def move(self):
        deal = self.any_deal()
        if deal.content["stage"] == "new":
            self.apply(deal, "POST", f"opportunities/{deal.content['id']}/actions/move", {"stage": "qualification"}, {"stage": "qualification"})

    def comment(self):
        deal = self.any_deal()
        text = f"{self.mark} says {len(deal.comments)}"
        deal.maybe_comment = text
        status, record = self.connection.ask("POST", f"opportunities/{deal.content['id']}/comments", {"text": text})
        require(status == 201, "comment answers", status, record)
        deal.comments.add(text)
        deal.maybe_comment = None


def check_deals(connection, mark, clients):
    """Over the API: what was answered is there, what is there was asked for."""
    found = {d["name"]: d for d in connection.every("opportunities", f'name starts "{mark}-"', "id,number,version,name,amount,stage")}
    for client in clients:
        for name, deal in client.deals.items():
            require(name in found, "answered and lost:", name, deal.content)
            require(deal.allows(found[name]), name, "is", found[name], "answered was", deal.content, "under way", deal.maybe)
        there = [name for name in client.creating if name in found]
        require(len(there) in (0, len(client.creating)), "half a batch:", client.creating, "of which there are", there)
    asked = {name for client in clients for name in (*client.deals, *client.creating)}
    require(set(found) <= asked, "nobody asked for", set(found) - asked)
    return found


def check_comments(connection, mark, clients):
    found = {(c["record"], c["text"]) for c in connection.every("comments", f'text starts "{mark}-"', "id,record,text")}
    answered, under_way = set(), set()
    for client in clients:
        for deal in client.deals.values():
            answered |= {(deal.content["id"], text) for text in deal.comments}
            under_way |= {(deal.content["id"], deal.maybe_comment)}
    require(answered <= found, "answered and lost:", answered - found)
    require(found <= answered | under_way, "comments that nobody wrote:", found - answered - under_way)


def check_repeats(connection, clients, found):
    """The client's own recovery: ask again under the same key; it must have been done once."""
    for client in clients:
        if not (client.key and client.creating):
            continue
        status, record = connection.ask("POST", "opportunities", client.body, **{"Idempotency-Key": client.key})
        require(status == 201, "the repeat after the restart answers", status, record)
        before = found.get(record["name"])
        require(before is None or before["id"] == record["id"], "the repeat made a second", record["name"])


QUERIES = {
    "numbers given twice": "SELECT number, count(*) FROM opportunity GROUP BY number HAVING count(*) > 1",
    "numbers beyond the last one given": "SELECT max(number) FROM opportunity HAVING max(CAST(substr(number, 4) AS INTEGER)) > "
                                         "(SELECT last FROM perigee_number WHERE prefix = 'OPP')",
    "versions that the log does not tell": "SELECT o.number, o.version FROM opportunity AS o WHERE o.version <> (SELECT count(*) FROM perigee_log AS l "
                                           "WHERE l.record = o.id AND l.entity = 'opportunity' AND l.action IN ('create', 'update', 'move'))",
    "moves without history": "SELECT o.number FROM opportunity AS o WHERE o.stage = 'qualification' AND NOT EXISTS "
                             "(SELECT 1 FROM stage_change AS s WHERE s.opportunity = o.id AND s.\"to\" = 'qualification')",
    "chains begun twice": "SELECT record, chain_step FROM task WHERE chain_step IS NOT NULL GROUP BY record, chain_step HAVING count(*) > 1",
    "chains by halves": "SELECT o.number, (SELECT count(*) FROM task AS t JOIN chain_step AS c ON c.code = t.chain_step WHERE t.record = o.id AND c.chain = o.stage) AS has "
                        "FROM opportunity AS o WHERE has <> (SELECT count(*) FROM chain_step AS c WHERE c.chain = o.stage AND c.active = 1)",
    "references that lead nowhere": "PRAGMA foreign_key_check",
}


def check_database(server):
    """In the file itself, beside the server that runs on it."""
    database = sqlite3.connect(f"file:{server.data}/perigee.db?mode=ro", uri=True)
    try:
        for what, sql in QUERIES.items():
            rows = database.execute(sql).fetchmany(3)
            require(not rows, what + ":", rows)
        deals = sorted(id_text(row[0]) for row in database.execute("SELECT id FROM opportunity"))
        jobs = sorted(row[0] for row in database.execute("SELECT key FROM perigee_outbox WHERE job = ?", (JOB,)))
        require(deals == jobs, "deals and outbox rows differ:", set(deals) ^ set(jobs) or "some twice")
        said = database.execute("PRAGMA integrity_check").fetchall()
        require(said == [("ok",)], "integrity_check says", said)
    finally:
        database.close()
    server.run("audit", "verify")


def prepare(server):
    connection = Connection(server)
    status, company = connection.ask("POST", "companies", {"name": "Crash test", "direction": "cloud"})
    require(status == 201, "company answers", status, company)
    status, contact = connection.ask("POST", "contacts", {"name": "Ivan Petrov", "company": company["id"]})
    require(status == 201, "contact answers", status, contact)
    return {"company": company["id"], "contact": contact["id"], "direction": "cloud", "products": ["cloud_server"], "probability": 10}


def load(server, mark, chance, setting):
    clients = [Client(server, chance.random(), f"{mark}-{i}", setting) for i in range(CLIENTS)]
    for client in clients:
        client.start()
    time.sleep(chance.uniform(0.02, 0.7))
    server.kill()
    for client in clients:
        client.join(ANSWER_SECONDS + 5)
        require(not client.is_alive(), "a client hangs although the server is dead")
        if client.error:
            raise client.error
    return clients


def restart(server, chance, totals):
    """Now and then the next kill comes while the last one is being recovered from."""
    if chance.random() < 0.2:
        server.spawn()
        time.sleep(chance.uniform(0, 0.05))
        server.kill()
        totals["kills"] += 1
    server.start()


def play(perigee, folder, rounds, first, chance, totals):
    server = Server(perigee, folder)
    server.start()
    try:
        setting = prepare(server)
        for number in range(first, first + rounds):
            mark = f"r{number}"
            clients = load(server, mark, chance, setting)
            totals["kills"] += 1
            restart(server, chance, totals)
            connection = Connection(server)
            found = check_deals(connection, mark, clients)
            check_comments(connection, mark, clients)
            check_repeats(connection, clients, found)
            check_database(server)
            for client in clients:
                totals.update(client.answered)
            totals["rounds"] += 1
            if sys.stderr.isatty():
                print(f"\rround {totals['rounds']}", end="", file=sys.stderr)
    finally:
        server.kill()


def main(perigee, rounds="20", seed=None):
    seed = int(seed) if seed else int.from_bytes(os.urandom(4), "big")
    chance, totals, left, began = random.Random(seed), collections.Counter(), int(rounds), time.monotonic()
    folder = None
    try:
        while left > 0:
            now = min(left, ROUNDS_PER_FOLDER)
            folder = Path(tempfile.mkdtemp(prefix="perigee-crash-"))
            play(perigee, folder, now, int(rounds) - left + 1, chance, totals)
            shutil.rmtree(folder)
            left -= now
    except (Broken, OSError, http.client.HTTPException, subprocess.TimeoutExpired) as broken:
        print(f"\ncrash: BROKEN in round {totals['rounds'] + 1}, seed {seed}: {broken}\nthe folder: {folder}", file=sys.stderr)
        return 1
    kinds = ("create", "create_twice", "batch", "change", "move", "comment")
    writes = sum(totals[k] for k in kinds)
    print(f"crash: {totals['rounds']} rounds, {totals['kills']} kills, {writes} answered requests "
          f"({', '.join(f'{totals[k]} {k}' for k in kinds)}), 0 lost, {time.monotonic() - began:.0f} s, seed {seed}")
    return 0


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__.splitlines()[0])
    sys.exit(main(*sys.argv[1:]))
