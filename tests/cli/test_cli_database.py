"""Every database that is not what it should be is refused with words and exit code 1, and left as it was."""
import os
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import pytest

from command import MASTERDATA, PERIGEE, call, http

NOBODY = 65534


def database_of(data):
    return data / "perigee.db"


def refused(said, *words):
    assert said.code == 1, said
    assert all(w in said.err for w in words), said
    assert not [line for line in said.err.splitlines() if line.startswith("perigee:") and "SELECT" in line]


def every_command(data):
    """What opens a data folder in each of the three ways: reading, working, serving."""
    yield call("serve", "--data", data, "--listen", "127.0.0.1:0", timeout=30)
    yield call("import", "--data", data, "--masterdata", MASTERDATA)
    yield call("user", "list", "--data", data)
    yield call("backup", "--data", data, "--to", data.parent / "copy")
    assert not (data.parent / "copy").exists()


def test_a_database_of_another_program(data):
    file = database_of(data)
    file.unlink()
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = file.read_bytes()
    for said in every_command(data):
        refused(said, "is a database of another program")
    assert file.read_bytes() == before


def test_a_database_of_a_newer_perigee(data):
    with sqlite3.connect(database_of(data)) as newer:
        newer.execute("PRAGMA user_version = 1000")
    for said in every_command(data):
        refused(said, "written by a newer Perigee (format 1000")


def test_a_file_that_is_no_database(data):
    for content in (b"hello\n" * 1000, os.urandom(8192), b"\x00" * 4096):
        database_of(data).write_bytes(content)
        for said in every_command(data):
            refused(said, "is not a database, or its head is damaged")
        assert database_of(data).read_bytes() == content


def test_a_damaged_head(data):
    with open(database_of(data), "r+b") as file:
        file.write(b"X" * 100)
    for said in every_command(data):
        refused(said, "is not a database, or its head is damaged")


def test_a_file_that_was_cut(data):
    size = database_of(data).stat().st_size
    os.truncate(database_of(data), size // 2)
    said = call("serve", "--data", data, "--listen", "127.0.0.1:0", timeout=30)
    refused(said, "damaged")
    refused(call("doctor", "--data", data), "damaged")


def pages_of(data, table):
    with sqlite3.connect(database_of(data)) as database:
        size, = database.execute("PRAGMA page_size").fetchone()
        pages = [row[0] for row in database.execute("SELECT pageno FROM dbstat WHERE name = ?", (table,))] if has_dbstat(database) else []
        root, = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    return size, pages or [root]


def has_dbstat(database):
    try:
        database.execute("SELECT 1 FROM dbstat LIMIT 1")
        return True
    except sqlite3.OperationalError:
        return False


@pytest.mark.parametrize("table", ["sqlite_schema", "perigee_log", "role", "user"])
def test_a_damaged_page_is_found_by_the_server_or_the_doctor(data, table):
    if table == "sqlite_schema":
        place = 100
        size = 4096
    else:
        size, pages = pages_of(data, table)
        place = (pages[0] - 1) * size
    with open(database_of(data), "r+b") as file:
        file.seek(place)
        file.write(os.urandom(size - 100))
    refused(call("doctor", "--data", data), "damaged")
    refused(call("serve", "--data", data, "--listen", "127.0.0.1:0", timeout=30), "damaged")


def test_a_wal_of_garbage_is_not_believed(data):
    """SQLite reads of a WAL what its checksums prove; the rest of the file is as if it were not there."""
    before = call("user", "list", "--data", data)
    Path(str(database_of(data)) + "-wal").write_bytes(os.urandom(100000))
    assert call("doctor", "--data", data).code == 0
    assert call("user", "list", "--data", data).out == before.out


def test_an_empty_file_becomes_a_database(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    database_of(data).touch()
    refused(call("backup", "--data", data, "--to", tmp_path / "copy"), "is an empty database")
    assert call("import", "--data", data, "--masterdata", MASTERDATA).code == 0
    assert call("doctor", "--data", data).code == 0


def test_a_folder_in_the_place_of_the_database(tmp_path):
    (tmp_path / "data/perigee.db").mkdir(parents=True)
    for said in every_command(tmp_path / "data"):
        refused(said, "is a folder, not a database")


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "data").write_text("x")
    for said in every_command(tmp_path / "data"):
        refused(said, "is not a folder")


def test_a_folder_that_is_not_there_is_made_by_what_fills_it_alone(tmp_path):
    missing = tmp_path / "a/b"
    for words in (["user", "list"], ["token", "create", "--user", "x"], ["audit", "verify"], ["doctor"], ["plan"], ["backup", "--to", tmp_path / "copy"]):
        refused(call(*words, "--data", missing), "there is no data folder")
        assert not missing.exists()
    assert call("import", "--data", missing, "--masterdata", MASTERDATA).code == 0
    assert missing.stat().st_mode & 0o777 == 0o700
    assert {f.name: f.stat().st_mode & 0o77 for f in missing.iterdir()} == dict.fromkeys((f.name for f in missing.iterdir()), 0)


@pytest.fixture
def shared():
    """A data folder of an ordinary user: root may do everything, so these tests are done by nobody."""
    folder = Path(tempfile.mkdtemp(prefix="perigee-cli-"))
    folder.chmod(0o711)
    home = folder / "home"
    home.mkdir()
    if os.getuid() == 0:
        binary = subprocess.run([PERIGEE, "version"], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True)
        if binary.returncode != 0:
            pytest.skip("an ordinary user cannot reach the program that is tested")
        os.chown(home, NOBODY, NOBODY)
    yield home
    subprocess.run(["chmod", "-R", "u+rwX", folder])
    shutil.rmtree(folder)


def as_user(*words, **more):
    return call(*words, user=NOBODY if os.getuid() == 0 else None, **more)


def test_a_folder_that_may_not_be_written(shared):
    shared.chmod(0o500)
    refused(as_user("import", "--data", shared / "data", "--masterdata", MASTERDATA), "is not writable")
    assert not (shared / "data").exists()


def test_a_database_that_may_only_be_read(shared):
    data = shared / "data"
    assert as_user("import", "--data", data, "--masterdata", MASTERDATA).code == 0
    database_of(data).chmod(0o400)
    refused(as_user("import", "--data", data, "--masterdata", MASTERDATA), "no permission to write the database")
    refused(as_user("serve", "--data", data, "--listen", "127.0.0.1:0"), "no permission to write the database")
    database_of(data).chmod(0)
    refused(as_user("backup", "--data", data, "--to", shared / "copy"), "no permission to read the database")
    database_of(data).chmod(0o600)
    data.chmod(0o500)
    refused(as_user("import", "--data", data, "--masterdata", MASTERDATA), "is not writable")


def test_a_master_data_file_that_may_not_be_read(shared):
    file = shared / "crm.json"
    shutil.copy(MASTERDATA, file)
    file.chmod(0)
    if os.getuid() == 0:
        os.chown(file, 0, 0)
    said = as_user("import", "--data", shared / "data", "--masterdata", file)
    assert said.code == 1 and "cannot be read" in said.err


def test_a_locked_database_is_told_after_a_wait(data):
    """Another program holds the write lock for good."""
    other = sqlite3.connect(database_of(data), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(call("import", "--data", data, "--masterdata", MASTERDATA), "locked by another process")
    other.execute("ROLLBACK")
    other.close()
    assert call("import", "--data", data, "--masterdata", MASTERDATA).code == 0


def test_two_servers_do_not_share_a_folder(server):
    said = call("serve", "--data", server.data, "--listen", "127.0.0.1:0", timeout=30)
    refused(said, "another perigee serves the folder")
    assert server.user("admin", "crm_admin").get("me").status == 200
    assert (server.data / "perigee.pid").read_text().strip() == str(server.process.pid)


def test_a_port_in_use(data):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(call("serve", "--data", data, "--listen", f"127.0.0.1:{port}", timeout=30), f"127.0.0.1:{port}", "in use")


def test_an_address_that_this_machine_does_not_have(data):
    refused(call("serve", "--data", data, "--listen", "192.0.2.1:0", "--insecure", timeout=30), "192.0.2.1:0")


def test_more_than_loopback_is_said_aloud(data):
    refused(call("serve", "--data", data, "--listen", "0.0.0.0:0", timeout=30), "is not loopback", "--insecure")


class Small:
    """A file system of its own that is soon full."""

    def __init__(self, folder, size):
        self.folder = folder
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "perigee-test", folder], capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip("no right to mount a small file system: " + done.stderr.strip())

    def fill(self, leave=0):
        self.filler = self.folder / "filler"
        left = os.statvfs(self.folder)
        with open(self.filler, "wb") as file:
            try:
                file.write(b"x" * max(0, left.f_bavail * left.f_bsize - leave))
                file.flush()
            except OSError:
                pass

    def unmount(self):
        subprocess.run(["umount", self.folder], check=True)


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    disk = Small(folder, "24m")
    yield disk
    disk.unmount()


def test_a_disk_that_is_full_at_the_start(small):
    small.fill()
    said = call("import", "--data", small.folder / "data", "--masterdata", MASTERDATA)
    refused(said, "disk is full")
    small.filler.unlink()
    assert call("import", "--data", small.folder / "data", "--masterdata", MASTERDATA).code == 0
    assert call("doctor", "--data", small.folder / "data").code == 0


def test_a_disk_that_fills_up_half_way_through_an_import(small):
    small.fill(leave=600000)
    refused(call("import", "--data", small.folder / "data", "--masterdata", MASTERDATA), "disk is full")
    small.filler.unlink()
    said = call("import", "--data", small.folder / "data", "--masterdata", MASTERDATA)
    assert said.code == 0 and " 7 created" in said.out, "the first import was all or nothing"


def test_a_disk_that_fills_up_under_the_server_and_recovers(small):
    running = http.Server(small.folder)
    admin = running.user("admin", "crm_admin")
    kept = [admin.made("companies", name="Before")["id"]]
    small.fill()
    refusals = 0
    for i in range(400):
        answer = admin.post("companies", {"name": f"While {i}", "address": "x" * 500})
        if answer.status == 201:
            kept.append(answer.json["id"])
            continue
        assert answer.status in (503, 507), answer.body
        assert answer.json["code"] == "unavailable" and "disk is full" in answer.json["detail"]
        assert int(answer.headers["Retry-After"]) > 0
        refusals += 1
        if refusals == 5:
            break
    assert refusals == 5, "the disk never became full"
    assert admin.get("companies/" + kept[0]).status == 200, "reading goes on"
    assert admin("GET", "/healthz").status == 200
    small.filler.unlink()
    assert admin.post("companies", {"name": "After"}).status == 201, "recovers by itself"
    names = {c["id"] for c in admin.get("companies", limit=500, fields="id,name").json["items"]}
    assert set(kept) <= names and len(names) == len(kept) + 1
    assert running.stop() == 0
    assert call("doctor", "--data", running.data).code == 0
