"""`perigee new plugin`, `lua-meta`, `shell`: scripting.md §5."""
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PERIGEE = os.environ.get("PERIGEE", str(ROOT / "build" / "perigee"))


def perigee(folder, *args, stdin=""):
    done = subprocess.run([PERIGEE, *map(str, args)], cwd=folder, input=stdin, capture_output=True, text=True, timeout=240, env={**os.environ, "LANG": "C"})
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def crm(tmp_path):
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows")
    shutil.copytree(ROOT / "masterdata", tmp_path / "masterdata")
    (tmp_path / "config.lua").write_text('return { scripts = "%s", workflows = "workflows", plugin_folder = "plugins", data = "data", %%s }' % (ROOT / "scripts") % "")
    return tmp_path


def test_a_new_plugin_passes_its_own_test_and_loads(crm):
    code, out, err = perigee(crm, "new", "plugin", "acme_notes", "--config", "config.lua")
    assert (code, err) == (0, "") and "plugins/acme_notes" in out
    assert not [p for p in (crm / "plugins/acme_notes").rglob("*") if p.is_file() and "NAME" in p.read_text() + p.name]
    code, out, err = perigee(crm, "test", "plugins/acme_notes", "--config", "config.lua")
    assert code == 0 and "ok 1 - a note is kept, and a long one refused" in out and "# 1 passed, 0 failed" in out, out + err
    (crm / "config.lua").write_text((crm / "config.lua").read_text().replace("return {", 'return { plugins = { "acme_notes" }, plugin_config = { acme_notes = { longest = 5 } },'))
    assert perigee(crm, "check", "--config", "config.lua")[0] == 0
    assert "not ok" in perigee(crm, "test", "plugins/acme_notes", "--config", "config.lua")[1], "its setting is taken"


def test_a_new_plugin_does_not_write_over_another_and_has_a_good_name(crm):
    assert perigee(crm, "new", "plugin", "acme", "--config", "config.lua")[0] == 0
    code, _, err = perigee(crm, "new", "plugin", "acme", "--config", "config.lua")
    assert code == 1 and "File exists" in err
    for name in ("Acme", "../x", "a", "9lives"):
        assert perigee(crm, "new", "plugin", name, "--config", "config.lua")[0] == 2
    assert perigee(crm, "new", "--config", "config.lua")[0] == 2 and perigee(crm, "new", "thing", "x", "--config", "config.lua")[0] == 2


def test_lua_meta_describes_words_functions_and_every_entity(tmp_path):
    code, out, err = perigee(ROOT, "lua-meta")
    assert (code, err) == (0, "")
    for line in ("---@meta perigee", "---@class perigee.opportunity: perigee.record", "---@field amount number? Amount", "---@field name string Name",
                 '---@overload fun(entity: "company", id: string?): perigee.company?', "crm = {}", "entity = nil"):
        assert line in out.splitlines(), line
    file = tmp_path / "meta.lua"
    file.write_text(out)
    done = subprocess.run(["luacheck", str(file), "-q", "--no-color", "--only", "0"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def data(crm):
    assert perigee(crm, "import", "--masterdata", "masterdata/crm.json", "--config", "config.lua")[0] == 0
    assert perigee(crm, "user", "create", "--login", "anna", "--name", "Anna", "--role", "crm_sales", "--password-stdin", "--config", "config.lua",
                   stdin="a long enough secret\n")[0] == 0
    return crm


def shell(data, *lines, user=None):
    return perigee(data, "shell", "--config", "config.lua", *(("--user", user) if user else ()), stdin="\n".join(lines) + "\n")


def test_the_shell_keeps_nothing_unless_it_is_told_to(data):
    code, out, err = shell(data, "1 + 1", 'c = crm.create("company", { name = "Alpha" })', "c.name", 'crm.update(c, { size = 5 })', '#crm.find("company", "size = 5")')
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "2" and lines[1] == '"Alpha"' and lines[2].startswith("company {") and "size = 5" in lines[2] and lines[3] == "1"
    assert shell(data, '#crm.find("company")')[1] == "0\n"
    assert shell(data, 'crm.create("company", { name = "Beta" }).name', ":commit", 'crm.create("company", { name = "Gamma" }).name', ":rollback")[1] == \
        '"Beta"\ncommitted\n"Gamma"\nrolled back\n'
    assert shell(data, 'for _, c in ipairs(crm.find("company")) do print(c.name) end', '#crm.find("company")')[1].splitlines()[-1] == "1"


def test_a_line_that_fails_is_undone_and_the_prompt_goes_on(data):
    code, out, err = shell(data, 'crm.create("company", { name = "Half" }) error("no")', '#crm.find("company")', "x = ", "nonsense()", 'crm.create("compny", {})', "while true do end", "7")
    assert code == 0 and out.splitlines() == ["0", "7"]
    assert "no" in err and "did you mean" in err and "time limit" in err


def test_the_shell_has_the_rights_of_a_user_when_it_is_told_to(data):
    shell(data, 'crm.create("company", { name = "Hidden" })', ":commit")
    assert shell(data, '#crm.find("company")', user="anna")[1] == "0\n"
    assert "may not be written" in shell(data, 'crm.create("user", { login = "eve", name = "Eve" })', user="anna")[2] or \
        "do not allow" in shell(data, 'crm.create("user", { login = "eve", name = "Eve" })', user="anna")[2]
    assert shell(data, "crm.user.login", user="anna")[1] == '"anna"\n'
    assert shell(data, "1", user="nobody")[0] == 1


def test_scripts_in_the_shell_are_those_of_the_server(data):
    code, out, err = shell(data, 'crm.create("company", { name = "x", tax_id = "1" })')
    assert out == "" and "/tax_id" in err, (out, err)
    assert json.dumps(code) == "0"
