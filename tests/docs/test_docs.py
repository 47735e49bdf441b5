"""What the documentation says is true: commands run, names exist, and the API reference knows every endpoint."""
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/http"))
from conftest import PERIGEE, Server, perigee  # noqa: E402

import pytest  # noqa: E402

DOCS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
NAMES = re.compile(r"`((?:core|scripts|workflows|masterdata|plugins|tools|tests|docs|packaging)/[\w./-]*)`")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("docs"))
    yield running
    assert running.stop() == 0


def block(path, name):
    found = re.search(r"<!-- test: %s -->\n```\w*\n(.*?)```" % re.escape(name), path.read_text(), re.S)
    assert found, f"{path.name} has no example named {name}"
    return found.group(1)


@pytest.mark.parametrize("page", DOCS, ids=lambda p: p.name)
def test_every_path_named_in_the_documentation_exists(page):
    made = re.findall(r"<!-- file: (\S+) -->", page.read_text())  # by the reader, as the page says
    missing = [n for n in NAMES.findall(page.read_text()) if not n.startswith("plugins/") and n not in made and not (ROOT / n).exists()]
    assert not missing


@pytest.mark.parametrize("page", DOCS, ids=lambda p: p.name)
def test_every_link_between_pages_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_architecture_page_names_every_folder_of_core():
    text = (ROOT / "docs/architecture.md").read_text()
    assert not [d.name for d in (ROOT / "core").iterdir() if d.is_dir() and f"core/{d.name}/" not in text]


def test_the_first_deal_of_the_readme_works(server, tmp_path):
    perigee("user", "create", "--data", server.data, "--login", "admin", "--name", "Administrator", "--role", "crm_admin", "--password-stdin",
            stdin="a long enough secret\n")
    script = block(ROOT / "README.md", "first deal").replace("build/perigee", PERIGEE).replace("--data data", f"--data {server.data}")
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
    done = subprocess.run(["bash", "-eu", "-o", "pipefail", "-c", script], capture_output=True, text=True, cwd=tmp_path, timeout=60,
                          env={**os.environ, "LANG": "C"})
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line]
    assert len(lines) == 7, done.stdout
    tasks, refused, patched, moved, timeline, listed, board = lines
    assert tasks.count('"number":"TSK') == 2
    assert '"gate_refused"' in refused and '"/contact"' in refused and '"/products"' in refused
    assert '"version":2' in patched and '"stage":"qualification"' in moved
    assert '"action":"move"' in timeline and '"total":1' in listed and '"key":"qualification"' in board


def test_the_api_reference_knows_every_endpoint_and_no_other(server):
    admin = server.user("root", "crm_admin")
    described = set()
    collections = {e["collection"] for e in admin.get("schema").json["entities"].values()}
    for path, item in admin.get("openapi.json").json["paths"].items():
        parts = path.split("/")
        if len(parts) > 3 and parts[3] in collections:
            parts[3] = "{collection}"
        described |= {f"{method.upper()} {'/'.join(parts)}" for method in item if method in ("get", "post", "patch", "put", "delete")}
    written = set(re.findall(r"^\| `((?:GET|POST|PATCH|PUT|DELETE) /\S+)`", (ROOT / "docs/api.md").read_text(), re.M))
    assert described - written == set(), "not in docs/api.md"
    assert written - described == set(), "in docs/api.md, but not served"
