"""Running the command line as an admin does. Server and Client are those of tests/http."""
import importlib.util
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

HTTP = Path(__file__).resolve().parents[1] / "http" / "conftest.py"
sys.path.insert(0, str(HTTP.parent))
specification = importlib.util.spec_from_file_location("perigee_http", HTTP)
http = importlib.util.module_from_spec(specification)
sys.modules["perigee_http"] = http
specification.loader.exec_module(http)

ROOT, PERIGEE = http.ROOT, http.PERIGEE
MASTERDATA = ROOT / "masterdata" / "crm.json"


def open_database(data, **more):
    """The file itself, with any SQLite: nothing of Perigee's own is needed for it."""
    return sqlite3.connect(data / "perigee.db", **more)


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
