"""`perigee test`: scripting.md §5."""
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PERIGEE = os.environ.get("PERIGEE", str(ROOT / "build" / "perigee"))

WORKFLOW = """
entity "user" { fields = { login = text { required = true, unique = true }, name = text {}, roles = refs { to = "role" } } }
entity "role" { fields = { code = text { required = true, unique = true }, name = text {} } }
entity "thing" {
  fields = { name = text { required = true }, state = option { "new", "done", default = "new" }, count = integer { default = 0 }, at = datetime {}, day = date {} },
}
role "maker" { allow { { "create", "read", "update" }, "thing" } }
role "reader" { allow { "read", "thing" } }
on("thing", "before_create", function(new)
  if new.name == "bad" then reject("bad_name", "not this one", { field = "name" }) end
  new.at, new.day = crm.now(), crm.today()
end)
on("thing", "after_change", function(new, old)
  if new.state == "done" and old.state ~= "done" then crm.enqueue("report", { id = new.id, name = new.name }, { key = new.id }) end
end)
job("report", { retry = "1m..1h", attempts = 3 }, function(args)
  local answer = http.request { method = "POST", url = "https://example.com/report", json = args }
  if answer.status ~= 200 then error("status " .. answer.status) end
  crm.update("thing", args.id, { count = 1 })
  mail.send { to = "boss@example.com", subject = args.name, text = "done" }
end)
every("1d at 06:00", "count_up", function()
  for _, thing in ipairs(crm.find("thing", "")) do crm.update(thing, { count = thing.count + 1 }) end
end)
action("thing", "finish", { when = "state = 'new'", fields = { note = text {} } }, function(thing, args)
  thing.state = "done"
  if args.note then thing.name = args.note end
end)
"""


def run(tmp_path, tests, *paths, workflow=WORKFLOW):
    (tmp_path / "workflows/tests").mkdir(parents=True, exist_ok=True)
    (tmp_path / "workflows/x.lua").write_text(workflow)
    (tmp_path / "workflows/tests/x_test.lua").write_text(tests)
    done = subprocess.run([PERIGEE, "test", "--workflows", "workflows", *paths], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "LANG": "C"})
    return done.returncode, done.stdout.splitlines(), done.stderr


def passes(tmp_path, body):
    code, out, err = run(tmp_path, 'test("it holds", function(t)\n%s\nend)' % body)
    assert code == 0, (out, err)


def fails(tmp_path, body):
    code, out, err = run(tmp_path, 'test("it holds", function(t)\n%s\nend)' % body)
    assert code == 1 and out[1] == "not ok 1 - it holds", (out, err)
    return out[2]


def test_the_tests_of_the_workflows_pass():
    done = subprocess.run([PERIGEE, "test"], cwd=ROOT, capture_output=True, text=True, timeout=240, env={**os.environ, "LANG": "C"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_results_are_tap_with_coverage(tmp_path):
    code, out, _ = run(tmp_path, 'test("one", function(t) t.as("anna", "maker").create("thing", { name = "x" }) end)\ntest("two", function(t) t.equal(1, 2) end)')
    assert code == 1
    assert out == ["# workflows/tests/x_test.lua", "ok 1 - one", "not ok 2 - two", "  # workflows/tests/x_test.lua:2: got 1, wanted 2", "1..2",
                   "# hooks: 1 of 2 ran", "#   not: workflows/x.lua:13", "# rules: 1 of 4 were asked", "# 1 passed, 1 failed"]


def test_rights_are_those_of_the_one_who_acts(tmp_path):
    passes(tmp_path, """
    local anna = t.as("anna", "maker")
    local x = anna.create("thing", { name = "x" })
    local rita = t.as("rita", "reader")
    t.equal(rita.get(x).name, "x")
    t.rejects("forbidden", function() rita.update(x, { name = "y" }) end)
    t.rejects("forbidden", function() t.create("thing", { name = "y" }) end)
    anna.update(x, { name = "y" })
    t.equal(t.find("thing", "name = $1", "y")[1].id, x.id)
    t.equal(t.get(x).updated_by, t.system().find("user", "login = 'anna'")[1].id)
    t.remove(x)
    """)


def test_refusals_are_known_by_kind_and_by_code(tmp_path):
    passes(tmp_path, """
    t.rejects("bad_name", function() t.create("thing", { name = "bad" }) end)
    local problem = t.rejects("rejected", function() t.create("thing", { name = "bad" }) end)
    t.equal({ problem.code, problem.field, problem.message }, { "bad_name", "name", "not this one" })
    t.rejects("required", function() t.create("thing", {}) end)
    t.equal(t.count("thing"), 0)
    """)
    assert fails(tmp_path, 't.rejects("x", function() t.create("thing", { name = "bad" }) end)') == \
        '  # workflows/tests/x_test.lua:2: refused with rejected (bad_name), not "x": not this one; /name: not this one'
    assert fails(tmp_path, 't.rejects("x", function() end)') == '  # workflows/tests/x_test.lua:2: nothing was refused; "x" expected'


def test_each_test_begins_anew_at_the_same_moment(tmp_path):
    code, out, err = run(tmp_path, """
    local seen
    for i = 1, 2 do
      test("turn " .. i, function(t)
        t.equal(t.count("thing"), 0)
        local x = t.create("thing", { name = "x" })
        t.equal(x.at, "2026-11-05T08:00:00.000Z")
        t.equal(x.day, "2026-11-05")
        if seen then t.ok(not pcall(function() return seen.name end), "a record of another test is dead") end
        seen = x
        t.advance("3d")
        t.equal(t.now(), "2026-11-08T08:00:00.000Z")
        t.equal(t.create("thing", { name = "y" }).day, "2026-11-08")
      end)
    end""")
    assert (code, err) == (0, ""), out


def test_jobs_run_when_the_clock_has_come_so_far(tmp_path):
    passes(tmp_path, """
    local asked = {}
    t.http(function(request)
      asked[#asked + 1] = request
      return { status = #asked < 3 and 503 or 200 }
    end)
    local x = t.create("thing", { name = "x" })
    t.action(x, "finish", { note = "z" })
    t.equal(#t.jobs("report"), 1)
    t.equal(t.jobs("report")[1].state, "waiting")
    t.equal(t.run(), 1)
    t.equal(t.run(), 0)
    t.advance("1h")
    t.equal(#asked, 3)
    t.equal(asked[1].json.name, "z")
    t.equal(t.jobs("report")[1].state, "done")
    t.equal(t.get(x).count, 1)
    t.equal(t.mails()[1].subject, "z")
    """)


def test_a_job_that_never_succeeds_is_dead(tmp_path):
    passes(tmp_path, """
    t.http(function() return { status = 500 } end)
    t.action(t.create("thing", { name = "x" }), "finish")
    t.advance("1d")
    local job = t.jobs("report")[1]
    t.equal({ job.state, job.attempts }, { "dead", 3 })
    """)


def test_timers_run_at_their_time_of_day(tmp_path):
    passes(tmp_path, """
    local x = t.create("thing", { name = "x" })
    t.advance("12h")
    t.equal(t.get(x).count, 0)
    t.advance("3d")
    t.equal(t.get(x).count, 3)
    """)


def test_a_job_that_reaches_out_without_a_fake_says_what_to_write(tmp_path):
    passes(tmp_path, """
    t.action(t.create("thing", { name = "x" }), "finish")
    t.run()
    t.ok(t.jobs("report")[1].error:find("say t.http(function(request)", 1, true))
    """)


def test_what_is_wrong_with_a_test_is_told_with_its_line(tmp_path):
    assert fails(tmp_path, "\nlocal x = nil + 1") == "  # workflows/tests/x_test.lua:3: attempt to perform arithmetic on a nil value"
    assert fails(tmp_path, "t.equal({ a = 1 }, { a = 2 }, 'tables')") == "  # workflows/tests/x_test.lua:2: tables: got { a = 1 }, wanted { a = 2 }"
    assert fails(tmp_path, "t.ok(false)") == "  # workflows/tests/x_test.lua:2: a true value expected, not false"
    assert fails(tmp_path, "error({})") == "  # workflows/tests/x_test.lua:2: an error object that is not a text was raised"
    assert fails(tmp_path, "t.create('thing', { nmae = 'x' })") == '  # workflows/tests/x_test.lua:2: thing has no field "nmae"; did you mean "name"?'
    assert fails(tmp_path, "t.create('thing', { name = 'bad' })") == "  # workflows/tests/x_test.lua:2: not this one; /name: not this one"
    assert fails(tmp_path, "x = 1") == '  # workflows/tests/x_test.lua:2: "x" is not declared: write "local x"'


def test_a_hook_that_fails_or_does_not_end_fails_the_test_and_no_other(tmp_path):
    workflow = WORKFLOW + "on('thing', 'before_create', function(new) if new.name == 'loop' then while true do end end end)\n"
    code, out, _ = run(tmp_path, 'test("one", function(t) t.create("thing", { name = "loop" }) end)\ntest("two", function(t) t.create("thing", { name = "x" }) end)',
                       workflow=workflow)
    assert code == 1 and out[1] == "not ok 1 - one" and "time limit of 100 ms for a hook" in out[2] and out[3] == "ok 2 - two"


def test_broken_scripts_exit_2_and_a_broken_test_file_1(tmp_path):
    code, _, err = run(tmp_path, "", workflow="entity 'x' {}")
    assert code == 2 and 'workflows/x.lua:1: entity "x" needs "fields"' in err
    code, out, _ = run(tmp_path, "local x =")
    assert code == 1 and out[1] == "not ok 1 - workflows/tests/x_test.lua" and out[2] == "  # workflows/tests/x_test.lua:1: unexpected symbol near <eof>"
    code, _, err = run(tmp_path, "", "nowhere")
    assert code == 1 and "there is no nowhere" in err


def test_one_file_or_folder_may_be_asked_for(tmp_path):
    code, out, _ = run(tmp_path, 'test("one", function() end)', "workflows/tests/x_test.lua")
    assert code == 0 and "ok 1 - one" in out
    code, _, err = run(tmp_path, "", "workflows/x.lua")
    assert code == 1
