"""Scripts in a running server: limits over HTTP, rights inside hooks, order, reload (design §2, §3; scripting.md §2, §3)."""
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from conftest import PERIGEE, Client, Server, perigee

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = r"""
entity "thing" {
  plural = { en = "Things", ru = "Вещи", path = "things" },
  fields = {
    name = text { required = true, validate = function(value) if value == "loop validate" then while true do end end
      if value == "Bad" then return { en = "Not this name", ru = "Не это имя" } end end },
    count = integer { default = 0 },
    owner = ref { to = "user", default = "@me" },
    step = stage { pipeline = "things" },
    shown = computed { type = "text", expr = function(r)
      if r.name == "loop computed" then while true do end end
      if r.name == "flood computed" then for i = 1, 100 do crm.find("thing") end end
      return r.name .. "!"
    end },
  },
}
entity "secret" { plural = { en = "Secrets", ru = "Тайны", path = "secrets" }, fields = { name = text {} } }

pipeline "things" {
  entity = "thing",
  stage "first" {},
  stage "second" { gate = function(r) if r.name == "loop gate" then while true do end end end, chain = "work",
    on_enter = function(r) if r.name == "loop enter" then while true do end end end },
}
chain "work" {
  task "do" { title = "Do", assignee = function(r) if r.name == "loop assignee" then while true do end end end,
    on_done = function(task, r) if r.name == "loop done" then while true do end end end },
}

role "thing_user" { allow { { "create", "read", "update", "delete" }, "thing", where = "owner = @me" }, allow { { "read", "update" }, "task" },
  allow { "read", "user" } }

on("thing", "before_create", function(new)
  if new.name == "loop hook" then while true do end end
  if new.name == "memory" then local t = {} for i = 1, 1e9 do t[i] = {} end end
  if new.name == "flood" then for i = 1, 1e9 do crm.find("thing") end end
  if new.name == "half of it" then for i = 1, 15 do crm.find("thing", "id is null") end end
  if new.name == "error" then local x = nil .. "x" end
  if new.name == "reject" then reject("no_thing", { en = "No such things", ru = "Таких вещей не бывает" }, { field = "name" }) end
  if new.name == "find secrets" then new.count = #crm.find("secret") end
  if new.name == "system secrets" then new.count = crm.system("counting secrets", function() return #crm.find("secret") end) end
  if new.name == "caught" then
    local ok, problem = pcall(crm.create, "secret", { name = "x" })
    new.count = (not ok and problem.kind == "forbidden") and 1 or 2
  end
  if new.name == "half" then
    pcall(function() crm.system("x", function() crm.create("secret", { name = "left behind" }) end) error("undone?") end)
    reject("half")
  end
end)
on("thing", "before_change", function(new, old) if new.name == "twice" then new.count = (old.count or 0) + 1 end end)
on("thing", "before_change", function(new, old) if new.name == "twice" then new.count = new.count + 1 end end)
on("thing", "after_change", function(new) if new.name == "again" and new.count < 50 then crm.update(new, { count = new.count + 1 }) end end)
on("thing", "after_create", function(new)
  if new.name == "write in after" then new.count = 5 end
end)
action("thing", "loop", {}, function() while true do end end)
action("thing", "make", { fields = { name = text { required = true } } }, function(r, args)
  crm.create("thing", { name = args.name })
  r.count = r.count + 1
end)
route("GET", "/api/v1/x/loop", { allow = "*" }, function() while true do end end)
route("GET", "/api/v1/x/writes", { allow = "*" }, function() crm.create("thing", { name = "x" }) end)
route("GET", "/api/v1/x/mine", { allow = "*" }, function(request) return { count = #crm.find("thing"), query = request.query, login = crm.user.login } end)
route("POST", "/api/v1/x/make", { allow = { "crm_admin" } }, function(request)
  local made = crm.create("thing", { name = request.body.name })
  return { id = made.id }, 201
end)
route("POST", "/api/v1/x/undone", { allow = "*" }, function()
  crm.create("thing", { name = "undone" })
  error("after all")
end)
"""

CONFIG = 'return { limits = { hook = { time_ms = %d, memory_mb = 16, rows = 500, queries = 20 }, action = { time_ms = 80 }, ' \
         'route = { time_ms = 120 }, computed = { time_ms = 40, queries = 5 } }, workflows = "workflows", %s }'


class Scripted(Server):
    """A server with the repository's workflows and what a test adds."""

    def __init__(self, folder, script, *options, config="", hook_ms=60):
        self.folder = Path(folder)
        shutil.copytree(ROOT / "workflows", self.folder / "workflows")
        self.script = self.folder / "workflows/zz.lua"
        self.script.write_text(script)
        settings = self.folder / "config.lua"
        settings.write_text(CONFIG % (hook_ms, config))
        super().__init__(folder, "--config", settings, *options)

    def user(self, login, role, *options):
        """With the same scripts: a command that knows others would let the database follow those."""
        config = ("--config", self.folder / "config.lua", "--data", self.data)
        if login not in self.tokens:
            perigee("user", "create", *config, "--login", login, "--name", login.title(), "--role", role, "--password-stdin", stdin="a long enough secret\n")
            self.tokens[login] = perigee("token", "create", *config, "--user", login).stdout.strip()
        return Client(self.port, self.tokens[login])

    def said(self):
        return (self.data.parent / "serve.log").read_text()

    def wait_for(self, text, times=1):
        deadline = time.monotonic() + 20
        while self.said().count(text) < times:
            assert time.monotonic() < deadline, self.said()[-3000:]
            time.sleep(0.01)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    running = Scripted(tmp_path_factory.mktemp("scripts"), SCRIPT)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def boss(own):
    return own.user("boss", "crm_admin")


@pytest.fixture(scope="module")
def anna(own):
    return own.user("anna", "thing_user")


def stopped(answer, line_of, limit):
    problem = answer.json
    assert answer.status == 422 and problem["code"] == "script_limit" and limit in problem["detail"], answer.body
    assert problem["file"] == "workflows/zz.lua" and problem["line"] == 1 + SCRIPT[: SCRIPT.index(line_of)].count("\n"), problem
    return problem


@pytest.mark.parametrize("name,line,limit", [
    ("loop hook", 'if new.name == "loop hook"', "time limit of 60 ms for a hook"),
    ("loop validate", 'if value == "loop validate"', "time limit of 60 ms for a hook"),
    ("memory", 'if new.name == "memory"', "a hook is crossed"),
    ("flood", 'if new.name == "flood"', "limit of 20 queries for a hook"),
])
def test_a_hook_that_does_not_end_is_stopped_and_nothing_of_it_stays(boss, name, line, limit):
    started = time.monotonic()
    answer = boss.post("things", {"name": name})
    assert time.monotonic() - started < 2
    stopped(answer, line, limit)
    assert boss.get("things", filter=f'name = "{name}"').json["items"] == []
    assert boss.post("things", {"name": "good"}).status == 201


def test_gates_entering_assignees_and_finished_tasks_are_stopped_too(boss):
    for name, line in (("loop gate", 'if r.name == "loop gate"'), ("loop enter", 'if r.name == "loop enter"'), ("loop assignee", 'if r.name == "loop assignee"')):
        thing = boss.made("things", name=name)
        stopped(boss.patch("things/" + thing["id"], {"step": "second"}), line, "time limit of 60 ms for a hook")
        assert boss.get("things/" + thing["id"]).json["step"] == "first"
    thing = boss.made("things", name="loop done")
    assert boss.patch("things/" + thing["id"], {"step": "second"}).status == 200
    task = boss.get("tasks", filter=f'record = "{thing["id"]}"').json["items"][0]
    stopped(boss.patch("tasks/" + task["id"], {"status": "done"}), 'if r.name == "loop done"', "time limit of 60 ms for a hook")
    assert boss.get("tasks/" + task["id"]).json["status"] == task["status"]


def test_actions_routes_and_computed_fields_are_stopped(boss):
    thing = boss.made("things", name="x")
    stopped(boss.post(f"things/{thing['id']}/actions/loop"), 'action("thing", "loop"', "time limit of 80 ms for a action")
    stopped(boss.get("x/loop"), 'route("GET", "/api/v1/x/loop"', "time limit of 120 ms for a route")


def test_a_computed_field_that_does_not_end_is_stopped(boss):
    good = boss.made("things", name="x")
    assert good["shown"] == "x!"
    for name, limit in (("loop computed", "time limit of 40 ms for a computed"), ("flood computed", "limit of 5 queries for a computed")):
        answer = boss.post("things", {"name": name}, {"Prefer": "return=minimal"})
        assert answer.status == 201
        path = answer.headers["Location"]
        assert limit in stopped(boss.get(path), f'if r.name == "{name}"', limit)["detail"]
        assert boss.get(path, fields="name").json["name"] == name
        assert boss.delete(path).status == 204


def test_more_than_half_of_a_limit_is_a_warning_in_the_log(own, boss):
    assert boss.post("things", {"name": "half of it"}).status == 201
    own.wait_for('"message":"a script used more than half of a limit"')


def test_only_developers_see_where_it_was(anna):
    problem = anna.post("things", {"name": "loop hook"}).json
    assert problem["code"] == "script_limit" and "file" not in problem and "line" not in problem
    problem = anna.post("things", {"name": "error"}).json
    assert problem["code"] == "script_error" and "file" not in problem and "zz.lua" not in json.dumps(problem)


def test_a_failing_hook_is_500_with_file_and_line_for_developers(boss, own):
    answer = boss.post("things", {"name": "error"})
    assert answer.status == 500 and answer.json["code"] == "script_error"
    assert answer.json["file"] == "workflows/zz.lua" and "attempt to concatenate a nil value" in answer.json["errors"][0]["message"]
    assert '"message":"script failed","request":"%s"' % answer.json["request_id"] in own.said() or answer.json["request_id"] in own.said()


def test_others_are_served_while_a_script_runs_into_its_limit(own, boss, anna):
    mine = anna.made("things", name="mine")
    stop, took = threading.Event(), []

    def loop():
        while not stop.is_set():
            boss.post("things", {"name": "loop hook"})

    threads = [threading.Thread(target=loop) for _ in range(2)]
    for t in threads:
        t.start()
    for _ in range(40):
        begun = time.monotonic()
        assert anna.get("things/" + mine["id"], fields="name").status == 200
        took.append(time.monotonic() - begun)
    assert anna.patch("things/" + mine["id"], {"count": 7}).status == 200
    stop.set()
    for t in threads:
        t.join()
    took.sort()
    assert took[len(took) // 2] < 0.1, took


def test_a_rejection_says_code_field_and_the_callers_language(own, boss):
    for language, words in (("en", "No such things"), ("ru", "Таких вещей не бывает")):
        client = own.user("boss", "crm_admin")
        client.language = language
        answer = client.post("things", {"name": "reject"})
        assert answer.status == 422 and answer.json["code"] == "rejected"
        entry = answer.json["errors"][0]
        assert (entry["pointer"], entry["code"], entry["message"]) == ("/name", "no_thing", words)
        assert client.post("things", {"name": "Bad"}).json["errors"][0]["message"] == {"en": "Not this name", "ru": "Не это имя"}[language]


def test_inside_a_hook_the_callers_rights_hold_unless_it_asks_for_the_systems(own, boss, anna):
    boss.made("secrets", name="a")
    assert boss.made("things", name="find secrets")["count"] >= 1
    refused = anna.post("things", {"name": "find secrets"})
    assert refused.status == 201 and refused.json["count"] == 0 or refused.status == 403, refused.body
    assert anna.made("things", name="system secrets")["count"] >= 1
    assert "system rights" in own.said() and "counting secrets" in own.said()


def test_a_refusal_that_a_script_catches_is_forgotten(anna):
    assert anna.made("things", name="caught")["count"] == 1


def test_what_a_refused_hook_wrote_is_undone(boss):
    before = len(boss.get("secrets").json["items"])
    assert boss.post("things", {"name": "half"}).json["errors"][0]["code"] == "half"
    assert len(boss.get("secrets").json["items"]) == before


def test_a_changed_record_is_one_write_whatever_the_hooks_did(boss):
    thing = boss.made("things", name="x")
    changed = boss.patch("things/" + thing["id"], {"name": "twice"}).json
    assert (changed["version"], changed["count"]) == (2, 2)
    changes = [e for e in boss.get(f"things/{thing['id']}/timeline").json["items"] if e.get("action") == "update"]
    assert len(changes) == 1


def test_recursion_is_bounded_and_the_error_names_the_chain(boss):
    thing = boss.made("things", name="x")
    answer = boss.patch("things/" + thing["id"], {"name": "again"})
    line = 1 + SCRIPT[: SCRIPT.index('on("thing", "after_change"')].count("\n")
    assert answer.status == 500 and answer.json["code"] == "script_error"
    assert answer.json["detail"] == "scripts call each other more than 8 deep: " + " → ".join([f"workflows/zz.lua:{line}"] * 8 + [
        "workflows/zz.lua:%d" % (1 + SCRIPT[: SCRIPT.index('on("thing", "before_change"')].count("\n"))])
    assert boss.get("things/" + thing["id"]).json["version"] == 1


def test_after_hooks_do_not_assign(boss):
    answer = boss.post("things", {"name": "write in after"})
    assert answer.status == 500 and "this record is read-only here: use crm.update" in answer.json["errors"][0]["message"]


def test_actions_write_and_say_what_they_made(boss):
    thing = boss.made("things", name="x")
    done = boss.post(f"things/{thing['id']}/actions/make", {"name": "child"}).json
    assert done["count"] == 1 and [c["entity"] for c in done["created"]] == ["thing"]
    assert boss.get("things/" + done["created"][0]["id"]).json["name"] == "child"
    assert boss.post(f"things/{thing['id']}/actions/make", {}).status == 422
    assert boss.post(f"things/{thing['id']}/actions/mkae", {"name": "x"}).status == 404


def test_routes_answer_what_they_return_under_the_callers_rights(boss, anna):
    anna.made("things", name="mine")
    mine = anna.get("x/mine", a="b").json
    assert mine["login"] == "anna" and mine["query"] == "a=b" and 0 < mine["count"] < boss.get("x/mine").json["count"] + 1
    made = boss.post("x/make", {"name": "by route"})
    assert made.status == 201 and boss.get("things/" + made.json["id"]).json["name"] == "by route"
    assert anna.post("x/make", {"name": "x"}).status == 403
    assert boss.get("x/nothing").status == 404 and boss("DELETE", "x/mine").status == 405


def test_a_route_that_fails_leaves_nothing_and_one_that_reads_cannot_write(boss):
    assert boss.post("x/undone").status == 500
    assert boss.get("things", filter='name = "undone"').json["items"] == []
    answer = boss.get("x/writes")
    assert answer.status == 500 and "only hooks, actions, jobs and routes other than GET write" in answer.json["errors"][0]["message"]


def test_dry_runs_run_the_hooks_and_leave_nothing(boss):
    assert boss.post("things", {"name": "reject"}, dry_run="true").status == 422
    assert boss.post("things", {"name": "dry"}, dry_run="true").status == 201
    assert boss.get("things", filter='name = "dry"').json["items"] == []


# ---- reload ----

FIELD = 'extend "thing" { fields = { colour = text { label = "Colour" } }, index = { { "colour" } } }\n'


@pytest.fixture
def changing(tmp_path):
    running = Scripted(tmp_path, SCRIPT, hook_ms=5000)
    yield running
    assert running.stop() == 0


def test_a_reload_brings_new_fields_and_a_broken_set_leaves_the_old_in_force(changing):
    boss = changing.user("boss", "crm_admin")
    assert boss.post("things", {"name": "x", "colour": "red"}).status == 400
    changing.script.write_text(SCRIPT + FIELD)
    os.kill(changing.process.pid, signal.SIGHUP)
    changing.wait_for("scripts reloaded")
    boss = changing.user("boss", "crm_admin")
    assert boss.made("things", name="x", colour="red")["colour"] == "red"
    assert "colour" in boss.get("schema").json["entities"]["thing"]["fields"]

    changing.script.write_text(SCRIPT + FIELD + "entity 'broken' {}\n")
    line = (SCRIPT + FIELD).count("\n") + 1
    refused = boss.post("reload")
    assert refused.status == 422 and refused.json["errors"][0]["file"] == "workflows/zz.lua" and refused.json["errors"][0]["line"] == line
    assert refused.json["errors"][0]["message"] == 'entity "broken" needs "fields"'
    done = perigee("reload", "--data", changing.data)
    assert done.returncode == 0
    changing.wait_for("the scripts were not reloaded; the old ones stay in force")
    assert '"line":%d' % line in changing.said()
    assert boss.made("things", name="x", colour="blue")["colour"] == "blue"

    changing.script.write_text(SCRIPT)
    assert boss.post("reload").status == 204
    changing.wait_for("scripts reloaded", 2)
    boss = changing.user("boss", "crm_admin")
    assert boss.post("things", {"name": "x", "colour": "red"}).status == 400
    changing.script.write_text(SCRIPT + FIELD)
    assert boss.post("reload").status == 204
    changing.wait_for("scripts reloaded", 3)
    boss = changing.user("boss", "crm_admin")
    assert {t["colour"] for t in boss.get("things").json["items"]} == {"red", "blue"}, "a removal is never automatic"


def test_only_administrators_reload(changing):
    assert changing.user("anna", "thing_user").post("reload").status == 403


def test_no_request_is_dropped_by_reloads(changing):
    boss = changing.user("boss", "crm_admin")
    thing = boss.made("things", name="x")
    stop, answers = threading.Event(), []

    def work(write):
        client = changing.user("boss", "crm_admin")
        while not stop.is_set():
            try:
                answers.append((client.raw("PATCH", "/api/v1/things/" + thing["id"], {"count": len(answers)}) if write
                                else client.raw("GET", "/api/v1/things/" + thing["id"])).status)
            except OSError as problem:
                answers.append(problem)

    threads = [threading.Thread(target=work, args=(i % 2,)) for i in range(4)]
    for t in threads:
        t.start()
    for i in range(8):
        changing.script.write_text(SCRIPT + f"-- {i}\n" + (FIELD if i % 2 else ""))
        os.kill(changing.process.pid, signal.SIGHUP)
        changing.wait_for("scripts reloaded", i + 1)
    stop.set()
    for t in threads:
        t.join()
    assert len(answers) > 50 and set(answers) == {200}, set(answers)


def test_dev_reloads_when_a_script_changes(tmp_path):
    running = Scripted(tmp_path, SCRIPT, "--dev")
    running.script.write_text(SCRIPT + FIELD)
    running.wait_for("scripts reloaded")
    assert running.user("boss", "crm_admin").made("things", name="x", colour="red")["colour"] == "red"
    assert running.stop() == 0


def test_a_plan_says_what_would_change_and_what_would_be_lost(tmp_path):
    running = Scripted(tmp_path, SCRIPT + FIELD)
    running.user("boss", "crm_admin").made("things", name="x", colour="red")
    assert running.stop() == 0
    where = ("--data", running.data, "--config", tmp_path / "config.lua")
    assert perigee("plan", *where).stdout == "nothing to change\n"
    running.script.write_text(SCRIPT + 'entity "gadget" { fields = { name = text {} } }\n')
    plan = perigee("plan", *where).stdout
    assert "gadget" in plan and "colour" in plan and "only with --allow-drop" in plan
    perigee("migrate", *where)
    assert "gadget" not in perigee("plan", *where).stdout and "colour" in perigee("plan", *where).stdout
    perigee("migrate", "--allow-drop", *where)
    assert perigee("plan", *where).stdout == "nothing to change\n"


# ---- plugins ----

def plugin(folder, name, main, **manifest):
    (folder / "plugins" / name).mkdir(parents=True)
    said = ", ".join(f"{k} = {v}" for k, v in manifest.items())
    (folder / "plugins" / name / "plugin.lua").write_text('return { name = "%s", version = "1.0", api = "1", %s }' % (name, said))
    (folder / "plugins" / name / "main.lua").write_text(main)


def test_hooks_run_entity_first_then_plugins_by_dependency_then_name(tmp_path):
    append = 'on("thing", "before_create", function(new) if new.name:find("^order") then new.name = new.name .. " %s" end end)'
    plugin(tmp_path, "aa", append % "aa", requires='{ zz = ">=1" }')
    plugin(tmp_path, "bb", append % "bb")
    plugin(tmp_path, "zz", append % "zz" + '\nextend "thing" { fields = { zz_code = text {} } }')
    running = Scripted(tmp_path, SCRIPT + append % "workflow", config='plugins = { "bb", "aa", "zz" }, plugin_folder = "plugins"')
    boss = running.user("boss", "crm_admin")
    assert boss.made("things", name="order", zz_code="c")["name"] == "order workflow zz aa bb"
    assert running.stop() == 0


def test_a_broken_plugin_is_refused_and_the_rest_is_in_force(tmp_path):
    plugin(tmp_path, "good", 'extend "thing" { fields = { good_code = text {} } }')
    plugin(tmp_path, "bad", 'extend "thing" { fields = {\n  code = text {} } }')
    running = Scripted(tmp_path, SCRIPT, config='plugins = { "bad", "good" }, plugin_folder = "plugins"')
    assert running.user("boss", "crm_admin").made("things", name="x", good_code="c")["good_code"] == "c"
    assert "plugins/bad/main.lua" in running.said() and "a plugin is refused" in running.said()
    assert running.stop() == 0
    done = subprocess.run([PERIGEE, "check", "--config", str(tmp_path / "config.lua")], capture_output=True, text=True, timeout=60, env={**os.environ, "LANG": "C"})
    assert done.returncode == 2 and "plugins/bad/main.lua:2: a plugin's field begins with its name" in done.stderr
    done = perigee("migrate", "--allow-drop", "--data", running.data, "--config", tmp_path / "config.lua", check=False)
    assert done.returncode == 2 and "plugins/bad/main.lua:2" in done.stderr, "what a broken plugin keeps is not dropped"


def test_migrations_of_a_plugin_run_once_in_order_and_with_the_load(tmp_path):
    plugin(tmp_path, "mig", 'extend "thing" { fields = { mig_level = integer {} } }')
    (tmp_path / "plugins/mig/migrations").mkdir()
    running = Scripted(tmp_path, SCRIPT, config='plugins = { "mig" }, plugin_folder = "plugins"')
    boss = running.user("boss", "crm_admin")
    thing = boss.made("things", name="x")
    (tmp_path / "plugins/mig/migrations/001_fill.lua").write_text('for _, t in ipairs(crm.find("thing")) do crm.update(t, { mig_level = 1 }) end')
    (tmp_path / "plugins/mig/migrations/002_more.lua").write_text('for _, t in ipairs(crm.find("thing")) do crm.update(t, { mig_level = t.mig_level + 10 }) end')
    where = ("--data", running.data, "--config", tmp_path / "config.lua")
    assert perigee("plan", *where).stdout == "run plugins/mig/migrations/001_fill.lua\nrun plugins/mig/migrations/002_more.lua\n"
    assert boss.post("reload").status == 204
    running.wait_for("scripts reloaded")
    assert boss.get("things/" + thing["id"]).json["mig_level"] == 11
    assert perigee("plan", *where).stdout == "nothing to change\n"
    assert running.stop() == 0
    running.start()
    assert running.user("boss", "crm_admin").get("things/" + thing["id"]).json["mig_level"] == 11

    (tmp_path / "plugins/mig/migrations/003_bad.lua").write_text('crm.create("thing", { name = "left behind" })\nerror("cannot")')
    boss = running.user("boss", "crm_admin")
    boss.post("reload")
    running.wait_for("the scripts were not reloaded; the old ones stay in force")
    assert "plugins/mig/migrations/003_bad.lua" in running.said()
    assert boss.get("things", filter='name = "left behind"').json["items"] == []
    assert running.stop() == 0
