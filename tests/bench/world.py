"""What the benchmark runs: data folders, servers, load, and the programs that measure the limits."""
import http.client
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


class World:
    """A folder of its own for everything; removed at the end."""

    def __init__(self, build, seconds):
        self.build, self.seconds = Path(build).resolve(), seconds
        self.perigee = self.build / "perigee"
        self.bench = self.build / "tests/bench"
        self.place = Path(tempfile.mkdtemp(prefix="perigee-bench-"))
        self.servers, self.data = {}, {}
        self.serial = 0

    def close(self):
        for server in list(self.servers.values()):
            server.stop()
        shutil.rmtree(self.place, ignore_errors=True)

    def file(self, content, name="file"):
        self.serial += 1
        path = self.place / f"{name}-{self.serial}"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def cli(self, *args, stdin=None):
        done = subprocess.run([self.perigee, *map(str, args)], input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"perigee {args}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def folder(self, count):
        """A data folder with `count` opportunities, made once."""
        if count not in self.data:
            folder = Folder(self, count)
            self.data[count] = folder
        return self.data[count]

    def server(self, count, *options, name=None):
        """The running server over that folder; with a name, another one over a copy of it."""
        key = (count, name)
        if key not in self.servers:
            folder = self.folder(count) if name is None else self.folder(count).copy(name)
            self.servers[key] = Server(self, folder, *options)
        return self.servers[key]

    def tool(self, name, *args, timeout=600):
        done = subprocess.run([self.bench / name, *map(str, args)], capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise RuntimeError(f"{name} {args}: {done.returncode}\n{done.stderr}")
        return json.loads(done.stdout)


class Folder:
    def __init__(self, world, count, path=None):
        self.world, self.count = world, count
        self.path = path or world.place / f"data-{count}"
        self.tokens = {}
        self.seconds = 0.0
        if path is None:
            self.make()

    def make(self):
        begin = time.monotonic()
        self.world.cli("import", "--data", self.path, "--masterdata", ROOT / "masterdata/crm.json")
        for login, role in (("admin", "crm_admin"), ("pam", "crm_pam")):
            self.world.cli("user", "create", "--data", self.path, "--login", login, "--name", login.title(), "--role", role, "--direction", "cloud",
                           "--password-stdin", stdin="a long enough secret\n")
            self.tokens[login] = self.world.cli("token", "create", "--data", self.path, "--user", login)
        subprocess.run([self.world.bench / "generate", self.database, str(self.count)], check=True, timeout=3600)
        self.seconds = time.monotonic() - begin

    @property
    def database(self):
        return self.path / "perigee.db"

    def copy(self, name):
        """Another folder with the same contents; nobody may be writing this one."""
        path = self.world.place / f"data-{self.count}-{name}"
        path.mkdir(mode=0o700)
        subprocess.run(["cp", "--sparse=never", self.database, path], check=True)
        other = Folder(self.world, self.count, path)
        other.tokens = self.tokens
        return other

    def rows(self, sql, *args):
        import sqlite3
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30) as db:
            return db.execute(sql, args).fetchall()


class Server:
    def __init__(self, world, folder, *options):
        self.world, self.folder = world, folder
        self.log_path = folder.path / "serve.log"
        self.start(*options)

    def start(self, *options):
        port_file = self.folder.path / "perigee.port"
        port_file.unlink(missing_ok=True)
        self.log = open(self.log_path, "ab")
        begin = time.monotonic()
        self.process = subprocess.Popen([self.world.perigee, "serve", "--data", str(self.folder.path), "--listen", "127.0.0.1:0", *options], cwd=ROOT,
                                        stdout=self.log, stderr=self.log)
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.process.poll() is not None or time.monotonic() - begin > 120:
                raise RuntimeError(self.log_path.read_text()[-400:])
            time.sleep(0.0005)
        self.started_in = time.monotonic() - begin
        self.port = int(port_file.read_text())
        self.pid = self.process.pid

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(120)
        self.log.close()

    def cpu(self):
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """kB that are this process's own, and kB resident with what it maps of files (the database too)."""
        status = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return tuple(int(status[k].split()[0]) for k in ("RssAnon", "VmRSS"))

    def raw(self, method, path, body=None, user="admin", **headers):
        """A request as it goes over the wire."""
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {self.folder.tokens[user]}"]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items()]
        content = b""
        if body is not None:
            content = json.dumps(body, ensure_ascii=False).encode()
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + content

    def ask(self, method, path, body=None, user="admin", ok=True, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        fields = {"Authorization": "Bearer " + self.folder.tokens[user], **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            fields["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body).encode(), fields)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        if ok and response.status // 100 != 2:
            raise RuntimeError(f"{method} {path}: {response.status} {content[:2000].decode()}")
        return json.loads(content) if content else None

    def whole_answer(self, request):
        """The bytes that answer a request, head and body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(request)
            got = b""
            while b"\r\n\r\n" not in got:
                got += s.recv(65536)
            head, body = got.split(b"\r\n\r\n", 1)
            length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            while len(body) < length:
                body += s.recv(65536)
            return head + b"\r\n\r\n" + body

    def metrics(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            text = b""
            while chunk := s.recv(65536):
                text += chunk
        lines = text.decode().split("\r\n\r\n", 1)[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line and line[0] != "#")}


class Load:
    """Requests for the load client, written once, run as often as one likes."""

    def __init__(self, world, requests, order="random"):
        self.world, self.order = world, order
        self.path = world.file(b"".join(b"%s %d\n%s" % (kind.encode(), len(r), r) for kind, r in requests), "load")

    def run(self, server, connections, seconds=None, port=None):
        before = server.cpu() if server else 0
        got = self.world.tool("load", port or server.port, seconds or self.world.seconds, connections, self.order, self.path)
        if got["errors"]:
            raise RuntimeError(f"{got['errors']} answers were errors: {got['statuses']}")
        got["rate"] = got["answers"] / got["seconds"]
        got["cpu_us"] = ((server.cpu() - before) / got["answers"] * 1e6) if server else 0
        return got


class BareServer:
    """limits/http with a fixed answer."""

    def __init__(self, world, answer, threads):
        self.process = subprocess.Popen([world.bench / "limits/http", str(threads), world.file(answer, "answer")], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid

    cpu = Server.cpu

    def stop(self):
        self.process.stdin.close()
        self.process.wait(10)


def path(name, **query):
    return f"/api/v1/{name}" + ("?" + urllib.parse.urlencode(query) if query else "")


def median(values):
    return statistics.median(values)


def spread(values):
    """How far the rounds were apart, in per cent of the median."""
    m = statistics.median(values)
    return (max(values) - min(values)) / m * 100 if m else 0


def allow_many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
