"""What the product wrote for one request, turned into the statements that bare SQLite runs for the limit: the same rows in the same
tables, found by comparing the database before and after."""
import sqlite3

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
TABLES = ("opportunity", "company", "task", "stage_change", "perigee_log", "perigee_outbox")
GENERATED_BELOW = (1764000000000 - 1704067200000) << 21  # ids of the generator lie before, those of the server after


def id_text(number):
    return "".join(ALPHABET[number >> shift & 31] for shift in range(60, -1, -5))


def id_number(text):
    number = 0
    for c in text:
        number = number << 5 | ALPHABET.index(c)
    return number


def copy_database(source, target):
    with sqlite3.connect(f"file:{source}?mode=ro", uri=True) as a, sqlite3.connect(target) as b:
        b.execute("PRAGMA synchronous=OFF")
        a.backup(b)
        # The order of texts is the product's own function; bare SQLite has one of its own for letters of any case.
        for name, sql in b.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql LIKE '%COLLATE perigee%'").fetchall():
            b.execute(f'DROP INDEX "{name}"')
            b.execute(sql.replace("COLLATE perigee", "COLLATE NOCASE"))


class Numbers:
    """Ids of new rows become k: a base, a place for each, and a step for each write."""

    def __init__(self, new, moved, base):
        self.place = {old: base + i for i, old in enumerate(sorted(new))}
        self.moved = moved

    def __call__(self, column, value, row=None):
        if value is None:
            return "n"
        if isinstance(value, bytes):
            return "b " + value.hex()
        if isinstance(value, int):
            if value == self.moved:
                return "l"
            return f"k {self.place[value]}" if value in self.place else f"i {value}"
        if column == "number":
            return f"p {value[:3]}-{self.place[row]}-"
        return "s " + str(value)


def highest(db):
    return {t: db.execute(f'SELECT coalesce(max(rowid), 0) FROM "{t}"').fetchone()[0] for t in TABLES}


def new_rows(db, before):
    found = []
    for t in TABLES:
        cursor = db.execute(f'SELECT * FROM "{t}" WHERE rowid > ? ORDER BY rowid', (before[t],))
        names = [d[0] for d in cursor.description]
        found += [(t, dict(zip(names, row))) for row in cursor]
    return found


def insert(table, row, numbers):
    columns = [c for c in row if not (table in ("perigee_log", "perigee_outbox") and c in ("seq", "id"))]
    lines = [f'S INSERT INTO "{table}" ({", ".join(chr(34) + c + chr(34) for c in columns)}) VALUES ({", ".join("?" * len(columns))})']
    return lines + [numbers(c, row[c], row.get("id")) for c in columns]


def search_row(db, table, row, numbers):
    """The row of the search index, if that table has one."""
    try:
        names = [c[1] for c in db.execute(f"PRAGMA table_info(search_{table})")]
    except sqlite3.Error:
        names = []
    if not names:
        return []
    lines = [f'S INSERT INTO search_{table} (rowid, {", ".join(names)}) VALUES (?{", ?" * len(names)})', numbers("id", row["id"])]
    return lines + ["s " + str(row[c] or "").lower() for c in names]


def statements(db, rows, numbers):
    lines = []
    for table, row in rows:
        if "number" in row:
            lines += ["S UPDATE perigee_number SET last = last + 1 WHERE prefix = ?", "s " + row["number"][:3]]
        lines += insert(table, row, numbers)
        lines += search_row(db, table, row, numbers) if "perigee" not in table else []
        if table == "opportunity":
            for (target,) in db.execute('SELECT target FROM "opportunity.products" WHERE owner = ?', (row["id"],)):
                lines += ['S INSERT INTO "opportunity.products" (owner, target) VALUES (?, ?)', numbers("owner", row["id"]), "s " + target]
    return lines


def open_database(server):
    return sqlite3.connect(f"file:{server.folder.database}?mode=ro", uri=True, timeout=30)


def base_of(rows, turn):
    return max(r["id"] for t, r in rows if "perigee" not in t) + ((turn + 1) << 34)


def rows_of_create(server, collection, body, turn):
    """Makes one record through the API and tells what that wrote."""
    with open_database(server) as db:
        before = highest(db)
        server.ask("POST", f"/api/v1/{collection}", body)
        rows = new_rows(db, before)
        new = {r["id"] for t, r in rows if "perigee" not in t}
        return "\n".join(statements(db, rows, Numbers(new, None, base_of(rows, turn)))) + "\n"


def rows_of_move(server, record, stage):
    """Moves one record and tells what that wrote, as a function of the turn."""
    with open_database(server) as db:
        before = highest(db)
        server.ask("POST", f"/api/v1/opportunities/{id_text(record)}/actions/move", {"stage": stage})
        rows = new_rows(db, before)
        now = dict(zip([c[1] for c in db.execute("PRAGMA table_info(opportunity)")],
                       db.execute("SELECT * FROM opportunity WHERE id = ?", (record,)).fetchone()))
    if sum(t == "task" for t, _ in rows) != 5:
        raise RuntimeError("the move did not make five tasks")
    new = {r["id"] for t, r in rows if "perigee" not in t}
    update = ["S UPDATE opportunity SET stage = ?, lifecycle_step = ?, updated_at = ?, updated_by = ?, version = version + 1 WHERE id = ?",
              "s " + now["stage"], "s " + now["lifecycle_step"], f"i {now['updated_at']}", f"i {now['updated_by']}", "l"]

    def spec(turn):
        with open_database(server) as db:
            return "\n".join(update + statements(db, rows, Numbers(new, record, base_of(rows, turn)))) + "\n"

    return spec


def five_tasks(server):
    """The chain of the stage "qualification" gets three steps more, as an administrator would add them."""
    known = server.ask("GET", "/api/v1/chain_steps?limit=500")["items"]
    mine = [s for s in known if s["chain"] == "qualification"]
    for n in range(len(mine), 5):
        server.ask("POST", "/api/v1/chain_steps", {"code": f"qualification.bench{n}", "chain": "qualification", "order": n + 1, "due": f"{n}d",
                                                   "title": {"en": f"Step {n}", "ru": f"Шаг {n}"}})
