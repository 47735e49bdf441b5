"""The rows of the benchmark: each a function that measures the product and its limit in turn and returns results."""
import json
import random
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass

import imports
import sameness
from world import ROOT, BareServer, Load, Server, median, path, spread

LARGE, MIDDLE, SMALL = 1000000, 100000, 10000
FIELDS16 = "number,name,company,contact,partner,direction,responsible,amount,currency,probability,close_date,stage,lifecycle_step,status,created_at"
STAGES = ("new", "qualification", "discovery", "presentation", "pilot", "proposal", "negotiation", "contract", "payment", "handover")
# What the product selects, as plain SQL; {where} is the rule of crm_pam and the filter.
COLUMNS = "SELECT t.id, t.version, " + ", ".join("t." + f for f in FIELDS16.split(",")) + " FROM opportunity AS t "
# The plus signs keep the planner from starting with the rule instead of the filter.
RULE = "(+t.direction = 'cloud' OR +t.partner IN (SELECT id FROM partner WHERE responsible = {pam})) AND t.active = 1"


@dataclass
class Result:
    title: str
    value: float
    limit: float
    unit: str
    ratio: float
    spread: float
    goal: str
    met: bool
    cpu_us: float = None
    note: str = ""


def at_least(title, product, limit, goal, unit="/s", cpu=None, note=""):
    """Throughput against the limit's, round by round: medians of both, the median of the ratios."""
    ratio = median([p / l for p, l in zip(product, limit)])
    return Result(title, median(product), median(limit), unit, ratio, spread(product), f"≥ {goal:.2f} of it", ratio >= goal, cpu, note)


def at_most(title, product, limit, goal, unit, cpu=None, note=""):
    ratio = median([p / l for p, l in zip(product, limit)])
    return Result(title, median(product), median(limit), unit, ratio, spread(product), f"≤ {goal:g} × it", ratio <= goal, cpu, note)


def under(title, values, most, unit, note="", cpu=None):
    value = median(values)
    return Result(title, value, None, unit, None, spread(values), f"< {most:g} {unit}", value < most, cpu, note)


def over(title, values, least, unit="/s", cpu=None, note=""):
    value = median(values)
    return Result(title, value, None, unit, None, spread(values), f"≥ {least:,} {unit}", value >= least, cpu, note)


def cpu_of(runs):
    return median([r["cpu_us"] for r in runs])


def ids(folder, n, where="1"):
    """Ids of opportunities all over the base, as the API writes them."""
    top = folder.rows("SELECT min(id), max(id) FROM opportunity")[0]
    chance, found = random.Random(1), []
    for _ in range(n):
        at = chance.randint(*top)
        got = folder.rows(f"SELECT id FROM opportunity WHERE id >= ? AND {where} ORDER BY id LIMIT 1", at)
        found += [sameness.id_text(got[0][0])] if got else []
    return found


def rule(server):
    return RULE.format(pam=server.folder.rows("SELECT id FROM user WHERE login = 'pam'")[0][0])


def reads(server, user="pam", n=2000):
    where = "direction = 'cloud'" if user == "pam" else "1"
    return [("r", server.raw("GET", path(f"opportunities/{i}"), user=user)) for i in ids(server.folder, n, where)]


def large(world, a):
    return world.server(a.records)


# ---- reading ----


def point_read(world, a):
    server = large(world, a)
    requests = reads(server)
    bare = BareServer(world, server.whole_answer(requests[0][1]), 2)
    load = Load(world, requests)
    product, limit = [], []
    for _ in range(a.rounds):
        product.append(load.run(server, 64))
        limit.append(load.run(bare, 64))
    bare.stop()
    rate = [r["rate"] for r in product]
    note = f"the bare server: {cpu_of(limit):.1f} µs CPU; p99 {median([r['kinds']['r']['p99'] for r in product]):.0f} µs"
    return [at_least("read one opportunity by id, 64 connections", rate, [r["rate"] for r in limit], 0.70, cpu=cpu_of(product), note=note),
            over("  as a rate", rate, 50000)]


def against_sql(world, a, server, title, requests, sql, goal, connections=64, threads=2):
    """Product and limit in turn; the limit runs all of `sql` in a round, which stands for len(requests) answers."""
    load, file = Load(world, [("r", r) for r in requests]), world.file(sql, "sql")
    product, limit = [], []
    for _ in range(a.rounds):
        product.append(load.run(server, connections))
        got = world.tool("limits/query", server.folder.database, threads, a.seconds, file)
        limit.append({"rate": got["rounds"] * len(requests) / got["seconds"], "cpu_us": got["cpu"] / got["rounds"] / len(requests) * 1e6})
    note = f"the SQL alone: {cpu_of(limit):.0f} µs CPU; p50 {median([r['kinds']['r']['p50'] for r in product]):.0f} µs"
    return product, at_least(title, [r["rate"] for r in product], [r["rate"] for r in limit], goal, cpu=cpu_of(product), note=note)


def same_answers(server, request, world, sql, user="pam"):
    """The limit must give the very records that the product gives."""
    head, body = server.whole_answer(request).split(b"\r\n\r\n", 1)
    items = [i["id"] for i in json.loads(body)["items"]]
    first = world.tool("limits/query", server.folder.database, 0, 0, world.file(sql, "sql"))["first"]
    mine = [sameness.id_text(int(i)) for i in first]
    if items != mine[:len(items)]:
        raise RuntimeError(f"limit and product do not read the same records: {items[:3]} and {mine[:3]}")


def list_rows(world, a, count, goal):
    server = world.server(count)
    requests = [server.raw("GET", path("opportunities", filter=f'stage = "{s}"', fields=FIELDS16), user="pam") for s in STAGES]
    sql = [COLUMNS + f"WHERE {rule(server)} AND t.stage = '{s}' ORDER BY t.id DESC LIMIT 51" for s in STAGES]
    same_answers(server, requests[0], world, sql[0])
    return against_sql(world, a, server, f"list 50 of {count:,} by filter, crm_pam", requests, "\n--\n".join(sql), goal)


def list_middle(world, a):
    return [list_rows(world, a, MIDDLE, 0.60)[1]]


def list_large(world, a):
    product, row = list_rows(world, a, a.records, 0.60)
    return [row, over("  as a rate", [r["rate"] for r in product], 6000)]


WORDS = ("server storage", "migration licence", "rollout support", "backup network", "security database", "contract delivery", "платформа сервер",
         "обучение договор", "проект модернизация", "поставка хранилище")


def search(world, a):
    server = large(world, a)
    requests = [server.raw("GET", path("opportunities", q=q, fields=FIELDS16, limit=20), user="pam") for q in WORDS]
    match = ['{"number" "name" "description"} : "%s"* AND {"number" "name" "description"} : "%s"*' % tuple(q.split()) for q in WORDS]
    sql = [COLUMNS.replace("FROM opportunity AS t", "FROM search_opportunity AS s CROSS JOIN opportunity AS t ON t.id = s.rowid") +
           f"WHERE s.search_opportunity MATCH '{m}' AND {rule(server)} ORDER BY s.rowid DESC LIMIT 21" for m in match]
    same_answers(server, requests[0], world, sql[0])
    return [against_sql(world, a, server, f"search over {a.records:,}, 20 hits", requests, "\n--\n".join(sql), 0.60, 8)[1]]


def board(world, a):
    server = large(world, a)
    request = server.raw("GET", path("opportunities/board", group_by="stage", limit=20, fields=FIELDS16), user="pam")
    sql = [f"SELECT t.stage, count(*), sum(t.amount) FROM opportunity AS t WHERE {rule(server)} GROUP BY t.stage"]
    sql += [COLUMNS + f"WHERE {rule(server)} AND t.stage = '{s}' ORDER BY t.id DESC LIMIT 21" for s in STAGES]
    product, row = against_sql(world, a, server, f"board 10 × 20, counts and sums, {a.records:,}", [request], "\n--\n".join(sql), 0.60, 2)
    alone = Load(world, [("r", request)])
    times = [alone.run(server, 1)["kinds"]["r"]["p50"] / 1000 for _ in range(a.rounds)]
    return [row, under("  one at a time", times, 50, "ms")]


# ---- writing ----


def new_opportunity(server, company, contact, n):
    return {"name": f"Renewal of platform licences {n}", "company": company, "contact": contact, "amount": 125000.5, "currency": "RUB", "probability": 10,
            "close_date": "2027-03-01", "products": ["platform"], "description": "Two hundred seats, support for a year, rollout in spring"}


def creates(server, n=500):
    company, contact = (sameness.id_text(server.folder.rows(f"SELECT min(id) FROM {t}")[0][0]) for t in ("company", "contact"))
    return [("w", server.raw("POST", path("opportunities"), new_opportunity(server, company, contact, i))) for i in range(n)]


def changes(server, n, field):
    """Twenty different values for each of n records: a change that changes nothing would write nothing."""
    return [("w", server.raw("PATCH", path(f"opportunities/{i}"), {field: f"value {k}"})) for i in ids(server.folder, n) for k in range(20)]


def limit_database(world, server):
    """A copy of the database for the limits to write into; the product never sees it."""
    folder = server.folder
    key = ("limit", folder.count)
    if key not in world.data:
        target = world.place / f"limit-{folder.count}.db"
        sameness.five_tasks(server)
        sameness.copy_database(folder.database, target)
        world.data[key] = target
    return world.data[key]


def grouped(server, load, connections, seconds=None):
    before = server.metrics()
    got = load.run(server, connections, seconds)
    after = server.metrics()
    jobs, commits = (after[f"perigee_writer_{k}_total"] - before[f"perigee_writer_{k}_total"] for k in ("jobs", "commits"))
    got["group"] = jobs / commits
    return got


def durable(world, a, connections, goal, title, requests, collection, body, server):
    database = limit_database(world, server)
    load = Load(world, requests)
    product, limit, group = [], [], 1
    for n in range(a.rounds):
        got = grouped(server, load, connections)
        product.append(got)
        group = max(1, round(got["group"]))
        rows = sameness.rows_of_create(server, collection, body, n + connections * 100)
        done = world.tool("limits/commit", database, a.seconds, group, world.file(rows, "rows"))
        limit.append({"rate": done["writes"] / done["seconds"], "cpu_us": done["cpu"] / done["writes"] * 1e6})
    tail = median([r["kinds"]["w"]["p99"] for r in product]) / 1000
    note = f"{median([r['group'] for r in product]):.1f} a commit; p99 {tail:.1f} ms; bare SQLite: {cpu_of(limit):.0f} µs CPU"
    return product, at_least(title, [r["rate"] for r in product], [r["rate"] for r in limit], goal, cpu=cpu_of(product), note=note)


def create(world, a):
    server = world.server(MIDDLE)
    requests = creates(server)
    body = json.loads(requests[0][1].split(b"\r\n\r\n", 1)[1])
    out = []
    for connections in (64, 32, 16):
        product, row = durable(world, a, connections, 0.50, f"durable create with two tasks, {connections} connections", requests, "opportunities", body,
                               server)
        out.append(row)
    return out


def create_plain(world, a):
    """A record with hooks, rules, search and log, but without a chain of tasks."""
    server = world.server(MIDDLE)
    body = {"name": "North shipyard", "industry": "manufacturing", "size": 1200, "address": "Embankment 1"}
    requests = [("w", server.raw("POST", path("companies"), body))]
    product, row = durable(world, a, 32, 0.50, "durable create of a company, 32 connections", requests, "companies", body, server)
    return [row, over("  as a rate", [r["rate"] for r in product], 12000),
            under("  p99", [r["kinds"]["w"]["p99"] / 1000 for r in product], 12, "ms")]


def create_alone(world, a):
    server = world.server(MIDDLE)
    load = Load(world, creates(server))
    product, limit = [], []
    for _ in range(a.rounds):
        product.append(load.run(server, 1))
        limit.append(world.tool("limits/fsync", world.place, a.seconds, 4096)["p50"])
    return [at_most("durable create, 1 connection, against one fsync", [r["kinds"]["w"]["p50"] for r in product], limit, 1.5, "µs",
                    cpu_of(product))]


def move(world, a):
    server = world.server(MIDDLE)
    database = limit_database(world, server)
    rows = server.folder.rows("SELECT id FROM opportunity WHERE stage = 'new' AND direction = 'cloud' AND id < ?", sameness.GENERATED_BELOW)
    each = len(rows) // (a.rounds + 1)
    example, product, limit = rows.pop()[0], [], []
    spec = sameness.rows_of_move(server, example, "qualification")
    for n in range(a.rounds):
        mine = [r[0] for r in rows[n * each:(n + 1) * each]]
        requests = [("w", server.raw("POST", path(f"opportunities/{sameness.id_text(i)}/actions/move"), {"stage": "qualification"})) for i in mine]
        product.append(grouped(server, Load(world, requests, "once"), 64))
        done = world.tool("limits/commit", database, 60, max(1, round(product[-1]["group"])), world.file(spec(n), "rows"),
                          world.file("\n".join(map(str, mine)), "ids"))
        limit.append({"rate": done["writes"] / done["seconds"], "cpu_us": done["cpu"] / done["writes"] * 1e6})
    note = f"{median([r['group'] for r in product]):.1f} a commit; bare SQLite: {cpu_of(limit):.0f} µs CPU"
    return [at_least("stage move, gate and five tasks, 64 connections", [r["rate"] for r in product], [r["rate"] for r in limit], 0.40,
                     cpu=cpu_of(product), note=note)]


def mixed(world, a):
    server = world.server(MIDDLE)
    point, made = reads(server, "admin", 640), creates(server, 100)
    lists = [("l", server.raw("GET", path("opportunities", filter=f'stage = "{s}"', fields=FIELDS16))) for s in STAGES] * 16
    patches = random.Random(2).sample(changes(server, 100, "competitor"), 100)
    load = Load(world, point + lists + made + patches)
    runs = [load.run(server, 64, a.seconds * 2) for _ in range(a.rounds)]
    out = []
    for kind, name in (("r", "read by id"), ("l", "list of 50"), ("w", "write")):
        p50, p99 = ([r["kinds"][kind][q] for r in runs] for q in ("p50", "p99"))
        out.append(at_most(f"mixed 64/16/20, 64 connections: {name}, p99 / p50", p99, p50, 10, "µs"))
    out.append(over("  as a rate", [r["rate"] for r in runs], 12000, cpu=cpu_of(runs)))
    return out


def slow_lane(world, a):
    """Two clients ask nothing but silly questions, one after the other; the others read one record each."""
    server = large(world, a)
    load = Load(world, reads(server))
    silly = Load(world, [("s", server.raw("GET", path("opportunities", filter=f'company.name contains "nobody {i}"', count="exact"))) for i in range(500)])
    quiet, beside = [], []
    for _ in range(a.rounds):
        quiet.append(load.run(server, 16)["kinds"]["r"]["p99"])
        asking = subprocess.Popen([world.bench / "load", str(server.port), str(a.seconds * 1.5), "2", "random", silly.path], stdout=subprocess.PIPE, text=True)
        beside.append(load.run(server, 16)["kinds"]["r"]["p99"])
        got = json.loads(asking.communicate(timeout=60)[0])
        if got["errors"]:
            raise RuntimeError("a silly question was refused")
    return [at_most("read by id beside two silly queries: p99 against the quiet p99", beside, quiet, 3, "µs")]


# ---- scripts ----


def hook(world, a):
    """Seconds in hooks for each PATCH, with and without one more hook; what is over the bare function is ours."""
    folder = world.place / "workflows"
    shutil.copytree(ROOT / "workflows", folder)
    source = (ROOT / "tests/bench/hook.lua").read_text().replace("return function(deal)", "local function check(deal)")
    (folder / "zz_bench.lua").write_text(source + '\non("opportunity", "before_change", check)\n')
    plain, hooked = world.server(SMALL), None
    patches = changes(plain, 300, "description")
    hooked = Server(world, plain.folder.copy("hooked"), "--workflows", str(folder))
    world.servers["hooked"] = hooked
    load, product, limit = Load(world, patches), [], []
    for _ in range(a.rounds):
        per = []
        for server in (plain, hooked):
            before = server.metrics()["perigee_script_seconds_total{kind=\"hook\"}"]
            got = load.run(server, 16)
            per.append((server.metrics()["perigee_script_seconds_total{kind=\"hook\"}"] - before) / got["answers"] * 1e6)
        bare = world.tool("limits/lua", 0.3, ROOT / "tests/bench/hook.lua")["nanoseconds"] / 1000
        product.append(per[1] - per[0] - bare)
        limit.append(bare)
    hooked.stop()
    r = under("a Lua hook of twenty lines: overhead", product, 2, "µs", note=f"the function alone {median(limit):.2f} µs")
    r.limit = median(limit)
    return [r]


def wait_reloaded(server, before):
    deadline = time.monotonic() + 30
    while server.log_path.read_bytes().count(b'"scripts reloaded"') <= before:
        if time.monotonic() > deadline:
            raise RuntimeError("the scripts were not reloaded")
        time.sleep(0.0005)


def reload(world, a):
    server = large(world, a)
    load, times, worst, quiet = Load(world, reads(server)), [], [], []
    for _ in range(a.rounds):
        quiet.append(load.run(server, 32)["kinds"]["r"])
        process = subprocess.Popen([world.bench / "load", str(server.port), str(a.seconds), "32", "random", load.path], stdout=subprocess.PIPE, text=True)
        time.sleep(a.seconds / 4)
        before, begin = server.log_path.read_bytes().count(b'"scripts reloaded"'), time.monotonic()
        server.process.send_signal(1)
        wait_reloaded(server, before)
        times.append((time.monotonic() - begin) * 1000)
        got = json.loads(process.communicate(timeout=60)[0])
        if process.returncode or got["errors"]:
            raise RuntimeError("requests were lost during a reload")
        worst.append(got["kinds"]["r"])
    allowed = median([q["p99"] for q in quiet]) / 1000 + 20
    slowest = [r["max"] / 1000 for r in worst]
    return [under("reload of all scripts, under load", times, 100, "ms"),
            under("  slowest request meanwhile", slowest, allowed, "ms", note=f"p99 of quiet times + 20 ms; quiet max {median([q['max'] for q in quiet]) / 1000:.1f}")]


# ---- the process ----


def start(world, a):
    server = large(world, a)
    times = []
    for _ in range(a.rounds):
        server.stop()
        server.start()
        times.append(server.started_in * 1000)
    return [under(f"start with {a.records:,} records", times, 200, "ms")]


def held(server, request, n, until):
    """n connections that sent one request and stay; memory in kB for each."""
    before = server.memory()
    all_of_them = []
    for _ in range(n):
        s = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        all_of_them.append(s)
        s.sendall(request)
        got = b""
        while until not in got:
            chunk = s.recv(65536)
            got += chunk
            if not chunk or not got.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"connection {len(all_of_them)} was refused: {got[:300]!r}")
    after = server.memory()
    for s in all_of_them:
        s.close()
    return (after[0] - before[0]) / n, (after[1] - before[1]) / n


def memory(world, a):
    server = Server(world, world.folder(SMALL).copy("memory"))
    world.servers["memory"] = server
    rest = server.memory()
    n = 10000
    idle = held(server, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", n, b"\r\n\r\n")
    server.stop()
    server.start()
    streams = held(server, server.raw("GET", path("events", topics="opportunities"), user="admin"), n, b"\r\n\r\n")
    server.stop()
    return [under("memory at rest", [rest[1] / 1024], 40, "MB", note=f"{rest[0] / 1024:.1f} of its own, the rest mapped files"),
            under(f"memory of an idle connection, {n:,} at once", [idle[0]], 4, "kB"),
            under(f"memory of an idle event stream, {n:,} at once", [streams[0]], 8, "kB")]


def drain(server, request):
    """Reads a chunked answer to its end; seconds, bytes and the server's greatest memory meanwhile."""
    begin, total, most, tail = time.monotonic(), 0, 0, b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as s:
        s.sendall(request)
        buffer = bytearray(1 << 18)
        while not tail.endswith(b"0\r\n\r\n"):
            n = s.recv_into(buffer)
            if n == 0:
                raise RuntimeError("the export ended early")
            tail = (tail + bytes(buffer[max(0, n - 5):n]))[-5:]
            total += n
            if total % 64 < 2:
                most = max(most, server.memory()[0])
    return time.monotonic() - begin, total, most


def export(world, a):
    server = large(world, a)
    request = server.raw("GET", path("opportunities", fields=FIELDS16), user="admin", Accept="text/csv")
    sql = COLUMNS.replace("t.id, t.version, ", "t.id, ") + "WHERE t.active = 1 ORDER BY t.id"
    product, limit, most = [], [], 0
    for _ in range(min(2, a.rounds)):
        seconds, total, peak = drain(server, request)
        product.append(a.records / seconds)
        most = max(most, peak)
        begin = time.monotonic()
        shell = subprocess.Popen(["sqlite3", "-readonly", "-csv", server.folder.database, sql], stdout=subprocess.PIPE)
        while shell.stdout.read1(1 << 18):
            continue
        if shell.wait() != 0:
            raise RuntimeError("sqlite3 failed")
        limit.append(a.records / (time.monotonic() - begin))
    return [at_least(f"export of {a.records:,} as CSV against sqlite3 -csv", product, limit, 0.70, "rows/s", note=f"memory {most / 1024:.0f} MB meanwhile")]


# ---- import ----


def import_rows(world, a, n=None):
    """A tenth of the base by default: `.import` and the product slow down alike with size, as their indices grow."""
    n = n or a.records // 10
    got = imports.measure(world, n, min(3, a.rounds))
    out = []
    for automation, words, goal in (("off", "rules and hooks off", 0.50), ("run", "rules and hooks on", 0.15)):
        rates, cpu, memory = zip(*got[automation])
        out.append(at_least(f"import of {n:,} companies, {words}", list(rates), got["shell"], goal, "rows/s", median(cpu),
                            f"memory {max(memory) / 1024:.0f} MB"))
    return out


def import_long(world, a):
    return import_rows(world, a, 1000000)


# ---- growth ----


def walk(server, pages):
    """The cursor of the page behind `pages` pages of 500."""
    cursor = None
    for _ in range(pages):
        query = {"limit": 500, "fields": "id"} | ({"cursor": cursor} if cursor else {})
        cursor = server.ask("GET", path("opportunities", **query))["next"]
    return cursor


def growth_loads(world, server, count):
    deep = walk(server, min(200, count // 500 - 1))
    return {
        "read by id": (reads(server, "admin", 1000), 16),
        "first page": ([("r", server.raw("GET", path("opportunities", fields=FIELDS16)))], 16),
        "page at depth 100,000": ([("r", server.raw("GET", path("opportunities", fields="id", limit=500, cursor=deep)))], 16),
        "create": (creates(server), 16),
        "board": ([("r", server.raw("GET", path("opportunities/board", group_by="stage", limit=20, fields=FIELDS16), user="pam"))], 2),
    }


def growth(world, a, count=None):
    count = count or a.records
    small, big = world.server(SMALL), world.server(count)
    loads = [growth_loads(world, s, n) for s, n in ((small, SMALL), (big, count))]
    out = []
    for name in loads[0]:
        times = [[], []]
        sides = [(Load(world, loads[i][name][0]), s) for i, s in enumerate((small, big))]
        for _ in range(a.rounds):
            for i, (load, server) in enumerate(sides):
                times[i].append(1e6 / load.run(server, loads[i][name][1], a.seconds / 2)["rate"])
        out.append(at_most(f"growth {SMALL:,} → {count:,}: {name}", times[1], times[0], 1.5, "µs each"))
    return out


def growth_long(world, a):
    return growth(world, a, 10000000)


# The order matters: what writes into a base comes after what only reads it.
ALL = [point_read, list_middle, list_large, search, board, reload, start, memory, export, import_rows, create, create_plain, create_alone, move, mixed, slow_lane, hook, growth]
LONG = [import_long, growth_long]


def names(long):
    return [r.__name__ for r in ALL + (LONG if long else [])]


def chosen(only, long):
    return [r for r in ALL + LONG if (r.__name__ in only if only else r in ALL or long)]
