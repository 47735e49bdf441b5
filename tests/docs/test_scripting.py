"""Every example of docs/scripting.md runs, and the page knows every word, function, type and limit."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PERIGEE = os.environ.get("PERIGEE", str(ROOT / "build" / "perigee"))
PAGE = (ROOT / "docs/scripting.md").read_text()
BLOCKS = re.findall(r"<!-- (workflow|file|tests|broken)(?:: (.*?))? -->\n```lua\n(.*?)```", PAGE, re.S)


def perigee(folder, *args):
    return subprocess.run([PERIGEE, *args, "--config", "config.lua"], cwd=folder, capture_output=True, text=True, timeout=240, env={**os.environ, "LANG": "C"})


@pytest.fixture
def crm(tmp_path):
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows", ignore=shutil.ignore_patterns("tests"))
    shutil.copytree(ROOT / "masterdata", tmp_path / "masterdata")
    (tmp_path / "workflows/tests").mkdir()
    (tmp_path / "config.lua").write_text('return { scripts = "%s", workflows = "workflows", plugin_folder = "plugins", plugins = { "acme_discounts" } }'
                                         % (ROOT / "scripts"))
    for kind, name, text in BLOCKS:
        if kind in ("workflow", "file"):
            path = tmp_path / (name if kind == "file" else f"workflows/doc_{name}.lua")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return tmp_path


def test_every_example_is_marked_as_what_it_is():
    assert len(re.findall(r"^```lua", PAGE, re.M)) == len(BLOCKS)


def test_the_examples_load(crm):
    done = perigee(crm, "check")
    assert done.returncode == 0 and all(": warning: " in line for line in done.stderr.splitlines()), done.stderr


def test_the_tests_of_the_page_pass(crm):
    for i, (kind, _, text) in enumerate(BLOCKS):
        if kind == "tests":
            (crm / f"workflows/tests/doc{i}_test.lua").write_text(text)
    done = perigee(crm, "test")
    assert done.returncode == 0 and "ok 1 - " in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("message,text", [(name, text) for kind, name, text in BLOCKS if kind == "broken"])
def test_a_broken_example_says_what_the_page_says(crm, message, text):
    (crm / "workflows/zz.lua").write_text(text)
    done = perigee(crm, "check")
    assert done.returncode == 2 and [line for line in done.stderr.splitlines() if ": warning: " not in line] == [f"workflows/zz.lua:{message}"]


def test_the_page_knows_every_word():
    words = set()
    for path in (ROOT / "scripts/words").glob("*.lua"):
        words |= set(re.findall(r'core\.export\("(\w+)"', path.read_text()))
    words |= set(re.findall(r"^  (?:extra = \{)?\s*(\w+) = \{", (ROOT / "scripts/words/02_fields.lua").read_text(), re.M)) & {"text", "integer", "money"}
    missing = [w for w in sorted(words) if not re.search(r"\b%s\b" % w, PAGE)]
    assert not missing


def test_the_page_knows_every_function_of_crm():
    names = set()
    for file in (ROOT / "core/script").glob("bind_*.c"):
        names |= set(re.findall(r'\{"(\w+)", (?:bind_)?crm_\w+\}', file.read_text()))
    assert len(names) > 25
    assert not [n for n in sorted(names) if f"`crm.{n}" not in PAGE]


def test_the_page_knows_every_function_of_tests():
    text = (ROOT / "scripts/testing.lua").read_text()
    names = set(re.findall(r"function t\.(\w+)", text)) | set(re.findall(r"function p\.(\w+)", text))
    assert not [n for n in sorted(names) if f"`t.{n}" not in PAGE]


def test_the_limits_are_those_of_the_program():
    source = (ROOT / "core/script/script.c").read_text()
    found = re.findall(r"\[SCRIPT_(\w+)\] = \{\.time_ms = (\d+), \.memory = \(size_t\)(\d+) << 20(?:, \.rows = (\d+), \.queries = (\d+))?", source)
    assert len(found) == 6
    for kind, time_ms, memory, rows, queries in found:
        line = next(row for row in PAGE.splitlines() if re.match(rf"\| `{kind.lower()}`.*\| {time_ms} \|", row))
        assert [c.strip() for c in line.split("|")[2:6]] == [time_ms, memory, rows, queries]
