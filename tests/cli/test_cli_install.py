"""From a fresh clone to a signed-in administrator, and an installation that does not need the clone."""
import configparser
import os
import re
import socket
import subprocess
import time

from command import PERIGEE, ROOT, call, http


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class FirstRun:
    """`make run` without the compiling."""

    def __init__(self, data):
        self.port = free_port()
        self.process = subprocess.Popen([ROOT / "tools/first-run", PERIGEE, str(data), f"127.0.0.1:{self.port}"], cwd=ROOT, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, env={**os.environ, "LANG": "C"})
        self.said = ""
        while '"listening"' not in self.said:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said += line

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.process.stdout.close()


def test_the_first_run_makes_an_administrator_and_the_second_changes_nothing(tmp_path):
    data = tmp_path / "data"
    first = FirstRun(data)
    password = re.search(r"password  (\S{24})\n", first.said).group(1)
    assert f"http://127.0.0.1:{first.port}/" in first.said and "token create" in first.said
    client = http.Client(first.port)
    answer = client.raw("POST", "/api/v1/sessions", {"login": "admin", "password": password})
    assert answer.status == 201, answer.body
    admin = http.Client(first.port, call("token", "create", "--data", data, "--user", "admin").out.strip())
    stage = admin.get("stages", filter='code = "qualification"').json["items"][0]
    assert admin.patch("stages/" + stage["id"], {"probability": 15}).status == 200
    first.stop()
    second = FirstRun(data)
    assert "password  " not in second.said and password not in second.said
    admin.port = second.port
    assert admin.get("stages/" + stage["id"]).json["probability"] == 15, "what was changed in Settings stays"
    second.stop()


def test_an_installation_works_without_the_clone(tmp_path):
    for _ in range(2):  # again over itself
        subprocess.run(["make", "-s", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    program = tmp_path / "usr/bin/perigee"
    done = subprocess.run([program, "check"], cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (tmp_path / "usr/lib/perigee/workflows/broken.lua").write_text("oops")
    done = subprocess.run([program, "check"], cwd="/", capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "broken.lua:1" in done.stderr, "its own workflows are in force"


def test_the_service_unit_says_what_the_program_does():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "tools/perigee.service")
    service = unit["Service"]
    assert service["Type"] == "notify" and service["User"] == "perigee" and service["NoNewPrivileges"] == "yes"
    words = service["ExecStart"].split()
    assert words[1] == "serve" and set(words[2::2]) == {"--config", "--data"}


def test_systemd_is_told_when_the_server_is_ready_and_when_it_stops(tmp_path, data):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(30)
        server = subprocess.Popen([PERIGEE, "serve", "--data", data, "--listen", "127.0.0.1:0"], env={**os.environ, "NOTIFY_SOCKET": path},
                                  stderr=subprocess.DEVNULL)
        assert systemd.recv(100) == b"READY=1"
        port = int((data / "perigee.port").read_text())
        assert http.Client(port).raw("GET", "/readyz").status == 200, "ready means that it answers"
        server.terminate()
        assert systemd.recv(100) == b"STOPPING=1"
        assert server.wait(30) == 0


def test_a_stop_empties_the_wal(server):
    admin = server.user("admin", "crm_admin")
    admin.made("companies", name="Last words")
    began = time.monotonic()
    assert server.stop() == 0 and time.monotonic() - began < 10
    wal = server.data / "perigee.db-wal"
    assert not wal.exists() or wal.stat().st_size == 0


def test_the_commands_of_the_operations_page_are_those_of_the_program():
    page = (ROOT / "docs/operations.md").read_text()
    told = set(re.findall(r"`(\w+)", page[page.index("## Commands"):page.index("## Starting")]))
    listed = set(re.findall(r"^  (\w+) ", call("--help").out, flags=re.M)) - {"perigee"}
    assert len(listed) > 12 and listed <= told, listed - told


def test_the_words_of_the_operations_page_are_said_by_the_program():
    page = (ROOT / "docs/operations.md").read_text()
    source = "\n".join(f.read_text() for f in (ROOT / "core").rglob("*.c"))
    source = re.sub(r'"\s*\n\s*"', "", source)
    quoted = re.findall(r'^\| "([^"|]+)"', page, flags=re.M)
    assert len(quoted) >= 9
    for words in quoted:
        for part in re.split("…|N", words):
            assert part.strip(" ;") in source, words


def test_the_backup_of_the_operations_page_works(data, tmp_path):
    page = (ROOT / "docs/operations.md").read_text()
    block = re.search(r"## Backups\n\n```sh\n(.*?)```", page, flags=re.S).group(1)
    script = block.replace("/var/lib/perigee-again", str(tmp_path / "again")).replace("/var/lib/perigee", str(data)).replace("/backup", str(tmp_path))
    done = subprocess.run(["sh", "-eu", "-c", script.replace("perigee ", f"{PERIGEE} ")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert call("doctor", "--data", tmp_path / "again").code == 0


def test_the_settings_of_the_operations_page_are_read(tmp_path):
    page = (ROOT / "docs/operations.md").read_text()
    text = re.search(r"```lua\n(.*?)```", page, flags=re.S).group(1).replace("/usr/local/lib/perigee", str(ROOT))
    (tmp_path / "workflows").symlink_to(ROOT / "workflows")
    (tmp_path / "config.lua").write_text(text)
    said = call("check", "--config", tmp_path / "config.lua")
    assert said.code == 0, said
