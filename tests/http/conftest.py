"""A server of its own for the test run: started on a free port of the loopback, stopped by its own pid."""
import http.client
import json
import os
import subprocess
import time
import urllib.parse
from pathlib import Path

import pytest

from described import Described

ROOT = Path(__file__).resolve().parents[2]
PERIGEE = os.environ.get("PERIGEE", str(ROOT / "build" / "perigee"))


def perigee(*args, stdin=None, check=True, cwd=ROOT):
    done = subprocess.run([PERIGEE, *map(str, args)], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=120,
                          env={**os.environ, "LANG": "C"})
    if check and done.returncode != 0:
        raise AssertionError(f"perigee {args}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, response.headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Client:
    """One person over HTTP. Every JSON answer is validated against the OpenAPI description that this person gets."""

    def __init__(self, port, token=None, language=None):
        self.port, self.token, self.language, self.described = port, token, language, None

    def raw(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        fields = dict(headers or {})
        if self.token:
            fields.setdefault("Authorization", "Bearer " + self.token)
        if self.language:
            fields.setdefault("Accept-Language", self.language)
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
            fields.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        connection.request(method, path, body, fields)
        response = connection.getresponse()
        answer = Answer(response, response.read())
        connection.close()
        return answer

    def __call__(self, method, path, body=None, headers=None, **query):
        if not path.startswith("/"):
            path = "/api/v1/" + path
        if query:
            path += "?" + urllib.parse.urlencode(query)
        answer = self.raw(method, path, body, headers)
        self.validate(method, path.split("?")[0], answer)
        return answer

    def validate(self, method, path, answer):
        if not self.token or not path.startswith("/api/v1/"):
            return
        if self.described is None:
            got = self.raw("GET", "/api/v1/openapi.json")
            if got.status != 200:  # a token that is not good (any more): its answers are problems
                assert answer.status >= 400
                return
            self.described = Described(got.json)
        self.described.check(method, urllib.parse.unquote(path), answer)

    def get(self, path, **query):
        return self("GET", path, **query)

    def post(self, path, body=None, headers=None, **query):
        return self("POST", path, {} if body is None else body, headers, **query)

    def patch(self, path, body, headers=None, **query):
        return self("PATCH", path, body, headers, **query)

    def delete(self, path, headers=None, **query):
        return self("DELETE", path, None, headers, **query)

    def made(self, collection, **fields):
        answer = self.post(collection, fields)
        assert answer.status == 201, answer.body
        return answer.json


class Server:
    def __init__(self, folder, *options):
        self.data = Path(folder) / "data"
        self.tokens, self.users = {}, {}
        if not self.data.exists():
            perigee("import", "--data", self.data, "--masterdata", ROOT / "masterdata/crm.json")
        self.options = options
        self.start()

    def start(self):
        port_file = self.data / "perigee.port"
        port_file.unlink(missing_ok=True)
        self.log = open(self.data.parent / "serve.log", "ab")
        self.process = subprocess.Popen([PERIGEE, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0", *self.options], cwd=ROOT,
                                        stderr=self.log, stdout=self.log)
        deadline = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().strip()):
            assert self.process.poll() is None, (self.data.parent / "serve.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.port = int(port_file.read_text())

    def stop(self):
        self.process.terminate()
        code = self.process.wait(60)
        self.log.close()
        return code

    def user(self, login, role, *options):
        if login not in self.tokens:
            self.users[login] = perigee("user", "create", "--data", self.data, "--login", login, "--name", login.title(), "--role", role, *options,
                                        "--password-stdin", stdin="a long enough secret\n").stdout.strip()
            self.tokens[login] = perigee("token", "create", "--data", self.data, "--user", login).stdout.strip()
        return Client(self.port, self.tokens[login])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One for each file of tests: they do not stumble over each other's records."""
    running = Server(tmp_path_factory.mktemp("perigee"))
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def admin(server):
    return server.user("admin", "crm_admin")


@pytest.fixture(scope="module")
def manager(server):
    return server.user("manager", "crm_manager", "--direction", "cloud")


@pytest.fixture(scope="module")
def seller(server, manager):
    return server.user("seller", "crm_sales", "--direction", "cloud", "--manager", "manager")


@pytest.fixture(scope="module")
def other(server):
    return server.user("other", "crm_sales", "--direction", "hardware")


@pytest.fixture(scope="module")
def company(admin):
    return admin.made("companies", name="Roga i Kopyta", direction="cloud")
