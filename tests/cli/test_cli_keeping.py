"""Looking after an installation: backups, restoring, the log's chain, the doctor, migrations."""
import shutil
import sqlite3
import subprocess
import threading

import pytest

from command import ROOT, call, http, open_database


def sql(data, *statements):
    with open_database(data) as database:
        for statement in statements:
            rows = database.execute(statement).fetchall()
    database.close()
    return rows


# ---- backup and restore ----

def test_a_backup_under_load_is_whole_and_comes_back(server, tmp_path):
    admin = server.user("admin", "crm_admin")
    company = admin.made("companies", name="With a file")
    contents = b"%PDF-1.4 contents " * 1000
    file = admin.raw("POST", f"/api/v1/files?name=a.pdf&entity=companies&record={company['id']}&kind=contract", contents, {"Content-Type": "application/pdf"})
    assert file.status == 201, file.body
    (server.data / "files/.receiving").write_bytes(b"half")
    before = [admin.made("companies", name=f"Before {i}")["id"] for i in range(20)]
    stop, written = threading.Event(), []

    def write():
        writer = server.user("admin", "crm_admin")
        while not stop.is_set():
            written.append(writer.made("companies", name="Meanwhile")["id"])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(3):
        said = call("backup", "--data", server.data, "--to", tmp_path / f"copy{i}")
        assert said.code == 0 and "written and checked" in said.out, said
    stop.set()
    for thread in threads:
        thread.join()
    assert sorted(f.name for f in (tmp_path / "copy0").iterdir()) == ["files", "perigee.db"]
    assert (tmp_path / "copy0").stat().st_mode & 0o777 == 0o700
    said = call("restore", "--from", tmp_path / "copy2", "--data", tmp_path / "again")
    assert said.code == 0, said
    copies = [f for f in (tmp_path / "again/files").rglob("*") if f.is_file()]
    assert [f.read_bytes() for f in copies] == [contents] and not (tmp_path / "again/files/.receiving").exists()
    assert call("doctor", "--data", tmp_path / "again").code == 0
    names = [row[0] for row in sql(tmp_path / "again", "SELECT name FROM company")]
    assert sum(n.startswith("Before") for n in names) == len(before) and names.count("Meanwhile") <= len(written)
    assert sql(tmp_path / "again", "SELECT count(*) FROM perigee_token") == [(1,)], "people and tokens come along"


def test_a_restored_folder_serves(data, tmp_path):
    call("user", "create", "--data", data, "--login", "anna", "--name", "Anna", "--role", "crm_admin", "--password-stdin", stdin="a long enough secret\n")
    token = call("token", "create", "--data", data, "--user", "anna").out.strip()
    assert call("backup", "--data", data, "--to", tmp_path / "copy/").code == 0
    assert call("restore", "--from", tmp_path / "copy/", "--data", tmp_path / "new/data/").code == 0
    server = http.Server(tmp_path / "new")
    answer = http.Client(server.port, token).get("me")
    assert answer.status == 200 and answer.json["login"] == "anna", answer.body
    assert server.stop() == 0


def test_nothing_that_exists_is_overwritten(data, tmp_path):
    assert call("backup", "--data", data, "--to", tmp_path / "copy").code == 0
    said = call("backup", "--data", data, "--to", tmp_path / "copy")
    assert said.code == 1 and "exists already" in said.err
    (tmp_path / "file").write_text("mine")
    assert "exists already" in call("backup", "--data", data, "--to", tmp_path / "file").err and (tmp_path / "file").read_text() == "mine"
    before = (data / "perigee.db").read_bytes()
    said = call("restore", "--from", tmp_path / "copy", "--data", data)
    assert said.code == 1 and "exists already" in said.err and (data / "perigee.db").read_bytes() == before


def test_an_empty_folder_may_be_filled(data, tmp_path):
    for name in ("copy", "new"):
        (tmp_path / name).mkdir()
    assert call("backup", "--data", data, "--to", tmp_path / "copy").code == 0
    assert call("restore", "--from", tmp_path / "copy", "--data", tmp_path / "new").code == 0


def test_a_failed_copy_leaves_nothing(data, tmp_path):
    shutil.copytree(data, tmp_path / "bad")
    with open(tmp_path / "bad/perigee.db", "r+b") as file:
        file.seek(40 * 4096)
        file.write(b"\xff" * 4096 * 3)
    before = sorted(tmp_path.iterdir())
    said = call("backup", "--data", tmp_path / "bad", "--to", tmp_path / "copy")
    assert said.code == 1 and "damaged" in said.err
    said = call("restore", "--from", tmp_path / "bad", "--data", tmp_path / "new")
    assert said.code == 1 and "damaged" in said.err
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_that_lacks_a_file_is_none(server, tmp_path):
    admin = server.user("admin", "crm_admin")
    company = admin.made("companies", name="With a file")
    assert admin.raw("POST", f"/api/v1/files?name=a.pdf&entity=companies&record={company['id']}&kind=contract", b"%PDF-1.4", {"Content-Type": "application/pdf"}).status == 201
    assert call("backup", "--data", server.data, "--to", tmp_path / "copy").code == 0
    stored, = (f for f in (tmp_path / "copy/files").rglob("*") if f.is_file())
    stored.chmod(0o600)
    stored.write_bytes(b"other")
    said = call("restore", "--from", tmp_path / "copy", "--data", tmp_path / "new")
    assert said.code == 1 and stored.name in said.err and not (tmp_path / "new").exists(), said
    stored.unlink()
    said = call("restore", "--from", tmp_path / "copy", "--data", tmp_path / "new")
    assert said.code == 1 and stored.name in said.err and not (tmp_path / "new").exists(), said


def test_what_is_no_backup_is_refused(tmp_path):
    said = call("restore", "--from", tmp_path / "none", "--data", tmp_path / "new")
    assert said.code == 1 and "there is no" in said.err
    (tmp_path / "text").write_text("hello" * 1000)
    said = call("restore", "--from", tmp_path / "text", "--data", tmp_path / "new")
    assert said.code == 1 and "is not a database" in said.err and not (tmp_path / "new").exists()


# ---- the log ----

TAMPERING = {
    "changed": ['UPDATE perigee_log SET changes = \'{"x":[1,2]}\' WHERE seq = 20'],
    "who": ["UPDATE perigee_log SET who = 7 WHERE seq = 20"],
    "when": ["UPDATE perigee_log SET at = at + 1 WHERE seq = 20"],
    "deleted": ["DELETE FROM perigee_log WHERE seq = 20"],
    "first deleted": ["DELETE FROM perigee_log WHERE seq <= 20"],
    "reordered": ["UPDATE perigee_log SET seq = -1 WHERE seq = 20", "UPDATE perigee_log SET seq = 20 WHERE seq = 21", "UPDATE perigee_log SET seq = 21 WHERE seq = -1"],
    "inserted": ["INSERT INTO perigee_log SELECT max(seq) + 1, at, who, entity, record, action, changes, why, script, request, hash FROM perigee_log"],
    "moved between fields": ["UPDATE perigee_log SET entity = '', action = entity || action WHERE seq = 20"],
}


@pytest.mark.parametrize("how", TAMPERING)
def test_audit_verify_finds_what_was_tampered_with(data, how):
    assert call("audit", "verify", "--data", data).code == 0
    last = sql(data, "SELECT max(seq) FROM perigee_log")[0][0]
    sql(data, *TAMPERING[how])
    said = call("audit", "verify", "--data", data)
    at = {"inserted": last + 1, "first deleted": 1}.get(how, 20)
    assert said.code == 1 and f"entry {at} " in said.out, said
    assert call("doctor", "--data", data).code == 1
    assert call("serve", "--data", data, "--listen", "127.0.0.1:0").code == 1


def test_the_end_of_the_log_cannot_be_cut_off_unseen(data):
    """Deleting the last entries leaves a chain that follows from itself; the count of what was written tells."""
    sql(data, "DELETE FROM perigee_log WHERE seq > (SELECT max(seq) - 5 FROM perigee_log)")
    said = call("audit", "verify", "--data", data)
    assert said.code == 1 and "missing" in said.out, said


# ---- migrations ----

THING = '''entity "thing" {{ label = {{ en = "Thing", ru = "Вещь" }}, plural = {{ en = "Things", ru = "Вещи" }},
  fields = {{ name = text {{ required = true, label = {{ en = "Name", ru = "Имя" }} }}, {more} }} }}
'''


class Workshop:
    """The shipped workflows and one entity more, whose fields change from test to test."""

    def __init__(self, folder, data):
        self.folder, self.data = folder / "workflows", data
        shutil.copytree(ROOT / "workflows", self.folder)

    def fields(self, more=""):
        (self.folder / "thing.lua").write_text(THING.format(more=more))
        return self

    def remove(self):
        (self.folder / "thing.lua").unlink()

    def run(self, *words):
        return call(*words, "--data", self.data, "--workflows", self.folder)

    def add(self, **row):
        names = "".join(f', "{k}"' for k in row)
        sql(self.data, f"INSERT INTO thing (id, created_at, updated_at{names}) VALUES (abs(random()), 1, 1{''.join(', ' + repr(v) for v in row.values())})")

    def columns(self):
        return {row[1]: row for row in sql(self.data, "PRAGMA table_info(thing)")}


@pytest.fixture
def workshop(tmp_path, data):
    return Workshop(tmp_path, data)


LABEL = "label = { en = \"X\", ru = \"Х\" }"


def test_a_plan_shows_and_changes_nothing_and_migrate_does_it(workshop):
    said = workshop.fields().run("plan")
    assert said.code == 0 and "create table thing" in said.out
    assert workshop.columns() == {}
    assert workshop.run("migrate").code == 0 and "name" in workshop.columns()
    assert workshop.run("plan").out == "nothing to change\n"
    said = workshop.fields(f"size = integer {{ {LABEL} }}, code2 = text {{ unique = true, {LABEL} }}").run("migrate")
    assert said.code == 0 and "add field thing.size (integer)" in said.out and "size" in workshop.columns()
    assert "nothing to change" in workshop.run("plan").out


def test_a_type_change_is_refused_with_the_place(workshop):
    workshop.fields(f"size = integer {{ {LABEL} }}").run("migrate")
    for command in ("plan", "migrate"):
        said = workshop.fields(f"size = text {{ {LABEL} }}").run(command)
        assert said.code == 2 and "thing.lua:2" in said.err and "thing.size" in said.err, said


def test_a_required_field_over_rows_that_lack_it_is_refused(workshop):
    workshop.fields().run("migrate")
    workshop.add(name="old")
    said = workshop.fields(f"size = integer {{ required = true, {LABEL} }}").run("migrate")
    assert said.code == 2 and "thing.lua:2" in said.err and "thing.size" in said.err and "default" in said.err, said
    assert "size" not in workshop.columns()
    said = workshop.fields(f"size = integer {{ required = true, default = 7, {LABEL} }}").run("migrate")
    assert said.code == 0 and sql(workshop.data, "SELECT size FROM thing") == [(7,)]


def test_a_required_field_over_no_rows_is_not_null(workshop):
    workshop.fields().run("migrate")
    assert workshop.fields(f"size = integer {{ required = true, {LABEL} }}").run("migrate").code == 0


def test_a_unique_field_over_equal_rows_is_refused_and_nothing_half_done(workshop):
    workshop.fields(f"kind = text {{ {LABEL} }}").run("migrate")
    workshop.add(name="a", kind="same")
    workshop.add(name="b", kind="same")
    said = workshop.fields(f"kind = text {{ unique = true, {LABEL} }}, extra = text {{ {LABEL} }}").run("migrate")
    assert said.code == 1 and "same value" in said.err, said
    assert "extra" not in workshop.columns()


def test_a_removal_needs_allow_drop(workshop):
    workshop.fields(f"size = integer {{ {LABEL} }}").run("migrate")
    workshop.add(name="a", size=3)
    said = workshop.fields().run("plan")
    assert "DROP field thing.size with its data (only with --allow-drop)" in said.out
    assert workshop.run("migrate").code == 0 and "size" in workshop.columns()
    assert sql(workshop.data, "SELECT size FROM thing") == [(3,)], "what is no longer declared keeps its data"
    assert workshop.run("migrate", "--allow-drop").code == 0 and "size" not in workshop.columns()
    workshop.remove()
    assert "DROP table thing" in workshop.run("plan").out
    assert workshop.run("migrate").code == 0 and workshop.columns()
    assert workshop.run("migrate", "--allow-drop").code == 0 and not workshop.columns()


def test_a_field_that_returns_finds_its_data(workshop):
    workshop.fields(f"size = integer {{ {LABEL} }}").run("migrate")
    workshop.add(name="a", size=3)
    workshop.fields().run("migrate")
    assert workshop.fields(f"size = integer {{ {LABEL} }}").run("migrate").code == 0
    assert sql(workshop.data, "SELECT size FROM thing") == [(3,)]


# ---- what the database itself refuses ----

REFUSED = {
    "FOREIGN KEY": "INSERT INTO contact (id, created_at, updated_at, name, company) VALUES (1, 1, 1, 'x', 999)",
    "FOREIGN KEY of a setting": "INSERT INTO company (id, created_at, updated_at, name, direction) VALUES (1, 1, 1, 'x', 'none')",
    "NOT NULL": "INSERT INTO company (id, created_at, updated_at) VALUES (1, 1, 1)",
    "UNIQUE code": "INSERT INTO direction (id, created_at, updated_at, code, name) SELECT 1, 1, 1, code, name FROM direction",
    "UNIQUE login": "INSERT INTO user (id, created_at, updated_at, login, name) VALUES (1, 1, 1, 'x', 'x'), (2, 1, 1, 'x', 'x')",
    "UNIQUE number": "INSERT INTO lead (id, created_at, updated_at, subject, number) VALUES (1, 1, 1, 'x', 'L1'), (2, 1, 1, 'x', 'L1')",
    "CHECK of a boolean": "INSERT INTO company (id, created_at, updated_at, name, active) VALUES (1, 1, 1, 'x', 5)",
    "CHECK of a percentage": "INSERT INTO stage (id, created_at, updated_at, code, name, probability) VALUES (1, 1, 1, 'x', 'x', 10001)",
    "type": "INSERT INTO company (id, created_at, updated_at, name) VALUES (1, 'soon', 1, 'x')",
    "money as a fraction": "INSERT INTO registration (id, created_at, updated_at, amount) VALUES (1, 1, 1, 0.5)",
}


@pytest.mark.parametrize("what", REFUSED)
def test_constraints_are_in_the_database_itself(data, what):
    with open_database(data) as database:
        database.execute("PRAGMA foreign_keys = ON")
        with pytest.raises(sqlite3.IntegrityError):
            database.execute(REFUSED[what])


def test_any_sqlite_can_check_the_file(server):
    """No index needs a collation or function of ours."""
    admin = server.user("admin", "crm_admin")
    for name in ("Ёж", "еж", "Яма", "apple", "Apple", "äpfel"):
        admin.made("companies", name=name)
    done = subprocess.run(["sqlite3", server.data / "perigee.db", "PRAGMA integrity_check; PRAGMA foreign_key_check;"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
    assert [c["name"] for c in admin.get("companies", sort="name").json["items"]] == ["Apple", "apple", "äpfel", "Ёж", "еж", "Яма"]


def test_the_order_of_titles_is_written_down_when_a_migration_adds_it(workshop):
    workshop.fields().run("migrate")
    for name in ("b", "A"):
        workshop.add(name=name)
    sql(workshop.data, 'DROP INDEX ix_thing_name_order', 'ALTER TABLE thing DROP COLUMN "name~order"', "DELETE FROM perigee_schema WHERE kind IN ('order', 'index') AND entity = 'thing' AND name IN ('name', 'ix_thing_name_order')")
    said = workshop.run("migrate")
    assert said.code == 0 and "write down the order of thing.name" in said.out, said
    assert sql(workshop.data, 'SELECT name FROM thing ORDER BY "name~order"') == [("A",), ("b",)]
    assert workshop.run("plan").out == "nothing to change\n"
