"""Every command explains itself, and refuses what it does not understand with the nearest name and exit code 2."""
import subprocess

import pytest

from command import PERIGEE, ROOT, call

COMMANDS = ["serve", "check", "plan", "migrate", "import", "user", "token", "backup", "restore", "access", "audit", "doctor", "reload", "version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    for words in ([command, "--help"], [command, "-h"], ["help", command]):
        said = call(*words)
        assert said.code == 0 and said.out.startswith(f"usage: perigee {command}") and said.err == ""


def test_the_list_of_commands_names_them_all():
    said = call("--help")
    assert said.code == 0 and all(f"\n  {c} " in said.out for c in COMMANDS)
    assert call().code == 2 and "usage:" in call().err


def test_version_says_name_and_number():
    assert call("version").out == call("--version").out and call("version").out.startswith("perigee ")


WRONG = [
    (["servee"], 'there is no command "servee"; did you mean "serve"?'),
    (["zzzzzz"], 'there is no command "zzzzzz"'),
    (["serve", "--lisen", "x"], "did you mean --listen?"),
    (["serve", "--listen"], 'a value is missing behind "--listen"'),
    (["serve", "--listen", "--dev"], 'a value is missing behind "--listen"'),
    (["serve", "extra"], 'nothing is known to do with "extra"'),
    (["serve", "--dev=1"], 'no value belongs to "--dev=1"'),
    (["serve", "--data", "a", "--data", "b"], 'given twice: "--data"'),
    (["import", "--data", "/nowhere"], "--masterdata is needed"),
    (["user", "creat"], 'did you mean "user create"?'),
    (["user"], "usage: perigee user"),
    (["user", "create", "--data", "/nowhere", "--login", "x"], "--password-stdin is needed"),
    (["user", "list", "--login", "x"], 'there is no option "--login"'),
    (["token", "create", "--data", "/nowhere"], "--user is needed"),
    (["token", "revoke", "--data", "/nowhere"], "--id is needed"),
    (["audit", "verfy"], 'did you mean "audit verify"?'),
    (["audit", "verify", "more"], 'nothing is known to do with "more"'),
    (["access", "why", "--user", "x"], "--record is needed"),
    (["backup", "--data", "/nowhere"], "--to is needed"),
    (["restore", "--data", "/nowhere"], "--from is needed"),
    (["version", "1"], 'nothing is known to do with "1"'),
]


@pytest.mark.parametrize("words,expected", WRONG, ids=[" ".join(w) for w, _ in WRONG])
def test_wrong_usage_is_exit_2_with_a_reason(words, expected):
    said = call(*words)
    assert said.code == 2 and expected in said.err and said.out == ""


def test_reasons_are_in_russian_for_russian_admins():
    assert "может быть, --listen?" in call("serve", "--lisen", language="ru_RU.UTF-8").err


@pytest.mark.parametrize("address", ["8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x", "999.0.0.1:80", "[::1:80", "::1:80", "example:80", ""])
def test_an_address_that_is_none_is_refused_before_anything_happens(tmp_path, address):
    said = call("serve", "--data", tmp_path / "data", "--listen", address)
    assert said.code == 2 and "must be ADDRESS:PORT" in said.err and not (tmp_path / "data").exists()


def test_a_command_works_from_any_folder(tmp_path):
    assert call("check", cwd=tmp_path).code == 0
    assert call("check", "--workflows", ROOT / "workflows", cwd=tmp_path).code == 0


def test_a_folder_of_scripts_where_one_stands_is_not_believed(tmp_path):
    (tmp_path / "scripts/words").mkdir(parents=True)
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/evil.lua").write_text("this is no script")
    assert call("check", cwd=tmp_path).code == 0


def test_an_answer_that_nobody_can_read_is_a_failure(data):
    with open("/dev/full", "w") as full:
        done = subprocess.run([PERIGEE, "user", "list", "--data", data], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0 or "cannot be written" in done.stderr
        done = subprocess.run([PERIGEE, "version"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "cannot be written" in done.stderr


def test_mistakes_in_scripts_are_exit_2_with_file_and_line(tmp_path):
    (tmp_path / "a.lua").write_text('entity "thing" {\n')
    (tmp_path / "b.lua").write_text("\n\nlocal x = = 1\n")
    said = call("check", "--workflows", tmp_path)
    assert said.code == 2 and "a.lua:" in said.err and "b.lua:3:" in said.err
