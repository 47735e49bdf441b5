"""The command line as an admin meets it. Server, Client and the `perigee` function are those of tests/http."""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

HTTP = Path(__file__).resolve().parents[1] / "http" / "conftest.py"
sys.path.insert(0, str(HTTP.parent))
specification = importlib.util.spec_from_file_location("perigee_http", HTTP)
http = importlib.util.module_from_spec(specification)
sys.modules["perigee_http"] = http
specification.loader.exec_module(http)

ROOT, PERIGEE = http.ROOT, http.PERIGEE
MASTERDATA = ROOT / "masterdata" / "crm.json"


class Said:
    """What a command answered: exit code, standard output, standard error."""

    def __init__(self, done):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return f"exit {self.code}\n{self.out}{self.err}"


def call(*words, stdin="", cwd="/", language="C", user=None, timeout=60):
    """Runs the command in a folder that has nothing to do with it; `user` drops to that uid first."""
    drop = {"user": user, "group": user, "extra_groups": []} if user else {}
    return Said(subprocess.run([PERIGEE, *map(str, words)], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=timeout,
                               env={**os.environ, "LANG": language, "LC_ALL": ""}, **drop))


@pytest.fixture
def perigee():
    return call


@pytest.fixture
def data(tmp_path):
    """A data folder with the shipped master data."""
    folder = tmp_path / "data"
    said = call("import", "--data", folder, "--masterdata", MASTERDATA)
    assert said.code == 0, said
    return folder


@pytest.fixture
def server(tmp_path):
    running = http.Server(tmp_path)
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0
