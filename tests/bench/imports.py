"""Importing companies, with rules and hooks off and on, against `.import` of the sqlite3 shell into the same table with the same indices."""
import csv
import http.client
import json
import re
import shutil
import subprocess
import time

from world import ROOT, Folder, Server

WEIGHTS = (2, 4, 10, 3, 5, 9, 4, 6, 8)
HEAD = ("name", "legal_name", "tax_id", "size", "site", "address", "direction")


def company(i):
    digits = f"{100000000 + i:09d}"
    tax_id = digits + str(sum(int(a) * b for a, b in zip(digits, WEIGHTS)) % 11 % 10)
    return f"Company {i} of many", f"Company {i}, Ltd", tax_id, i % 5000, f"https://c{i}.example.com", f"Street {i % 900}, City", "cloud"


def write_rows(world, n):
    """What the product imports."""
    path = world.place / "companies.csv"
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        out.writerow(HEAD)
        out.writerows(company(i) for i in range(n))
    return path


def write_table_rows(world, columns, n):
    """The same as whole rows of the table, as the shell imports them."""
    path = world.place / "companies-whole.csv"
    now = int(time.time() * 1000)
    with open(path, "w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        for i in range(n):
            made = dict(zip(HEAD, company(i)))
            made |= {"id": 2 ** 40 + i * 977, "created_at": now, "updated_at": now, "version": 1, "active": 1, "status": "prospect",
                     "name_key": made["name"].lower(), "domain": made["site"][8:]}
            out.writerow([made.get(c, "") for c in columns])
    return path


def empty_folder(world):
    folder = Folder(world, 0, world.place / "data-imports")
    world.cli("import", "--data", folder.path, "--masterdata", ROOT / "masterdata/crm.json")
    world.cli("user", "create", "--data", folder.path, "--login", "admin", "--name", "Admin", "--role", "crm_admin", "--password-stdin",
              stdin="a long enough secret\n")
    folder.tokens["admin"] = world.cli("token", "create", "--data", folder.path, "--user", "admin")
    return folder


def run_product(world, empty, rows, n, automation):
    folder = empty.copy("run")
    server = Server(world, folder)
    try:
        before, begin = server.cpu(), time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
        fields = {"Authorization": "Bearer " + folder.tokens["admin"], "Content-Type": "text/csv", "Content-Length": str(rows.stat().st_size)}
        with open(rows, "rb") as body:
            connection.request("POST", f"/api/v1/imports?collection=companies&automation={automation}", body, fields)
        answer = connection.getresponse()
        state = json.loads(answer.read())
        if answer.status != 202:
            raise RuntimeError(state)
        while state["state"] in ("queued", "running"):
            time.sleep(0.02)
            state = server.ask("GET", "/api/v1/imports/" + state["id"])
        seconds = time.monotonic() - begin
        if state["counts"]["created"] != n:
            raise RuntimeError(state)
        return n / seconds, (server.cpu() - before) / n * 1e6, server.memory()[0]
    finally:
        server.stop()
        shutil.rmtree(folder.path, ignore_errors=True)


def table(empty):
    """The statements of the table and its indices. The shell has not our collation, and gives empty texts for missing values."""
    made = [sql for (sql,) in empty.rows("SELECT sql FROM sqlite_schema WHERE tbl_name = 'company' AND sql IS NOT NULL")]
    plain = [re.sub(r' REFERENCES "\w+"\([^)]*\)( ON UPDATE CASCADE)?', "", s).replace("COLLATE perigee", "COLLATE NOCASE") for s in made]
    return ";\n".join(re.sub(r"\) STRICT$", ")", s) for s in plain) + ";"


def run_shell(world, empty, rows, n):
    path = world.place / "shell.db"
    shell = lambda text: subprocess.run(["sqlite3", path], input=text, text=True, check=True, capture_output=True)
    shell("PRAGMA journal_mode = WAL;\n" + table(empty))
    begin = time.monotonic()
    shell(f"PRAGMA synchronous = FULL;\n.import --csv {rows} company\n")
    seconds = time.monotonic() - begin
    found = subprocess.run(["sqlite3", path, "SELECT count(*) FROM company"], text=True, check=True, capture_output=True).stdout.strip()
    if found != str(n):
        raise RuntimeError(f"the shell imported {found} rows")
    for end in ("", "-wal", "-shm"):
        (world.place / f"shell.db{end}").unlink(missing_ok=True)
    return n / seconds


def measure(world, n, rounds):
    """Rows a second: with automation off, on, and the shell's; CPU for each row; the most memory of its own."""
    empty = empty_folder(world)
    columns = [name for (name,) in empty.rows("SELECT name FROM pragma_table_info('company')")]
    rows, whole = write_rows(world, n), write_table_rows(world, columns, n)
    got = {"off": [], "run": [], "shell": []}
    for _ in range(rounds):
        got["shell"].append(run_shell(world, empty, whole, n))
        for automation in ("off", "run"):
            got[automation].append(run_product(world, empty, rows, n, automation))
    return got
