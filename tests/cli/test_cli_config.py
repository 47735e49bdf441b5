"""config.lua: what it may say, and what is said about what it may not."""
import re

import pytest

from command import ROOT, call, http

WRONG = [
    ("return {", "/config.lua:1: unexpected symbol"),
    ("return 5", "must return a table of settings"),
    ("", "must return a table of settings"),
    ('return { adress = "127.0.0.1:80" }', 'there is no setting "adress"; did you mean "address"?'),
    ('return { threads = "4" }', '"threads" must be a whole number from 0 to 64, not 4 (string)'),
    ("return { threads = 1.5 }", '"threads" must be a whole number'),
    ("return { threads = -1 }", '"threads" must be a whole number'),
    ("return { body_bytes = 0/0 }", '"body_bytes" must be a whole number'),
    ("return { session_days = 1e300 }", '"session_days" must be a whole number'),
    ("return { data = 5 }", '"data" must be a text'),
    ('return { data = "" }', '"data" must be a text'),
    ('return { plugins = "one" }', '"plugins" must be a list of texts'),
    ('return { plugins = { name = "one" } }', '"plugins" must be a list of texts'),
    ("return { trusted_proxies = { 1 } }", '"trusted_proxies" must be a list of texts'),
    ('return { address = "nowhere" }', '"address" must be ADDRESS:PORT'),
    ('return { time_zone = "Mars/Olympus" }', '"time_zone" must be a zone of the IANA database'),
    ('return { mail = { url = "smtp://a" } }', "mail needs both url and from"),
    ('return { mail = { ulr = "smtp://a" } }', 'there is no setting "ulr"; did you mean "url"?'),
    ('return { mail = { plain = 1 } }', '"plain" must be true or false'),
    ('return { http_open = { "ten" } }', '"http_open" must be a list of addresses or ranges'),
    ('return { "loose" }', "every setting has a name"),
    ('return { data = io.open("x") }', "config.lua:1:"),
    ("while true do end", "does not come to an end"),
    ('local s = "x" while true do s = s .. s end', "not enough memory"),
    ('local function f() return f() + 1 end return f()', "config.lua"),
    ('error({})', "config.lua"),
    ("\x1bLua", "config.lua"),
]


def write(folder, text):
    file = folder / "config.lua"
    file.write_text(text)
    return file


@pytest.mark.parametrize("text,expected", WRONG)
def test_a_mistake_is_named_and_exits_2(tmp_path, text, expected):
    said = call("check", "--config", write(tmp_path, text))
    assert said.code == 2 and expected in said.err and "config.lua" in said.err


def test_all_mistakes_are_told_at_once(tmp_path):
    said = call("serve", "--config", write(tmp_path, 'return { threads = "x", data = 1, pluginz = {} }'))
    assert said.code == 2 and len(said.err.splitlines()) == 3


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    for path in (tmp_path / "none.lua", tmp_path):
        said = call("check", "--config", path)
        assert said.code == 2 and str(path) in said.err


def test_the_shipped_file_shows_settings_that_exist_with_their_defaults(tmp_path):
    shipped = (ROOT / "config.lua").read_text()
    every = re.sub(r"^  -- (\w+ = .*,)$", r"  \1", shipped, flags=re.M)
    assert every.count("\n  address = ") == 1 and every != shipped
    every = re.sub(r"^  plugin_config = .*$", "  plugin_config = {},", every, flags=re.M)  # the example's plugin is not there
    for folder in ("scripts", "workflows"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    assert call("check", "--config", write(tmp_path, every)).code == 0
    source = (ROOT / "core/cli/config.c").read_text()
    known = set(re.findall(r'\{"(\w+)", take_', source[source.index("static const struct setting settings[]"):]))
    assert known == set(re.findall(r"^  (?:-- )?(\w+) = ", shipped, flags=re.M))


def test_folders_are_relative_to_the_file_and_options_are_stronger(tmp_path):
    file = write(tmp_path, 'return { data = "mine" }')
    said = call("import", "--config", file, "--masterdata", ROOT / "masterdata/crm.json")
    assert said.code == 0 and (tmp_path / "mine/perigee.db").exists()
    assert call("user", "list", "--config", file, "--data", tmp_path / "other").code == 1


def test_limits_of_the_file_are_in_force(tmp_path):
    server = http.Server(tmp_path, "--config", str(write(tmp_path, "return { body_bytes = 2048, threads = 1 }")))
    try:
        admin = server.user("admin", "crm_admin")
        assert admin.post("companies", {"name": "x" * 3000}).status == 413
        assert admin.post("companies", {"name": "x" * 100}).status == 201
    finally:
        assert server.stop() == 0
