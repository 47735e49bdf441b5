"""Broken scripts and what is said about them: every message with file and line, all of them at once (design §2)."""
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PERIGEE = os.environ.get("PERIGEE", str(ROOT / "build" / "perigee"))

A = """entity "a" {
  number = "A",
  fields = {
    name = text { required = true },
    amount = money {},
    b = ref { to = "b" },
  },
}
"""
B = """entity "b" {
  fields = { name = text {}, stage = stage { pipeline = "p" }, code = text {} },
}
entity "stage" { fields = { code = text { required = true, unique = true }, name = text {} } }
"""
GOOD = {"workflows/a.lua": A, "workflows/b.lua": B, "workflows/p.lua": 'pipeline "p" { entity = "b", stage "one" {}, stage "two" {} }\n'}


def check(tmp_path, files, *config):
    for name, text in {**GOOD, **files}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, bytes):
            path.write_bytes(text)
        elif text is not None:
            path.write_text(text)
    (tmp_path / "workflows").mkdir(exist_ok=True)
    settings = 'return { scripts = "%s", workflows = "workflows", plugin_folder = "plugins", %s }' % (ROOT / "scripts", ", ".join(config))
    (tmp_path / "config.lua").write_text(settings)
    done = subprocess.run([PERIGEE, "check", "--config", "config.lua"], cwd=tmp_path, capture_output=True, text=True, timeout=60, env={**os.environ, "LANG": "C"})
    return done.returncode, done.stderr.splitlines(), done.stdout


def test_good_scripts_are_said_to_be_good(tmp_path):
    assert check(tmp_path, {}) == (0, [], "3 entities, 0 roles, 1 pipelines, 0 chains: no mistakes\n")


# text of workflows/x.lua → lines of the answer, without "workflows/x.lua:"
BROKEN = [
    # Lua itself
    ("local x = ", ["1: unexpected symbol near <eof>"]),
    ("\n\nfoo bar", ["3: syntax error near 'bar'"]),
    ("local t = {}\nt.x.y = 1", ["2: attempt to index a nil value (field 'x')"]),
    ("error('own words')", ["1: own words"]),
    ("error({})", ["1: raised an error that is not a text"]),
    ("x = 1", ['1: "x" is not declared: write "local x"']),
    ("entiti 'c' {}", ['1: there is no "entiti"; did you mean "entity"?']),
    ("io.open('x')", ['1: there is no "io"']),
    ("crm.find('a')", ["1: crm functions work at run time, not while scripts are loaded"]),
    ("reject('x')", ["1: crm functions work at run time, not while scripts are loaded"]),

    # entity
    ("entity 'c'\n{\n  fields = { x = text {} },\n  lable = 'C',\n}", ['1: entity has no attribute "lable"; did you mean "label"?']),
    ("entity 'c' {}", ['1: entity "c" needs "fields"']),
    ("entity 'c' { fields = 5 }", ['1: entity: "fields" is a table, not a number']),
    ("entity 'c' 'x'", ['1: entity "c" needs "fields"', "1: entity takes a table: entity { … }, not a string"]),
    ("entity 'Bad Name' { fields = {} }", ['1: entity: "Bad Name" is not a good name: use small letters, digits and _']),
    ("entity 'perigee_x' { fields = {} }", ['1: entity: "perigee_x" is not a good name: use small letters, digits and _']),
    ("entity(5) { fields = {} }", ['1: entity: "5" is not a good name: use small letters, digits and _']),
    ("entity 'a' { fields = {} }", ['1: entity "a" is declared already in workflows/a.lua line 1']),
    ("entity 'c' { plural = { path = 'as' }, fields = {} }", ['1: entity "c": the path "as" belongs to "a" already',
                                                              '1: warning: plural: the label lacks "en"']),
    ("entity 'c' { plural = { en = 'C', ru = 'C', path = 'sessions' }, fields = {} }", ['1: plural: the path "sessions" belongs to the server']),
    ("entity 'c' { plural = { en = 'C', ru = 'C', path = 'A/B' }, fields = {} }", ['1: plural: "path" is made of small letters, digits and _, not "A/B"']),
    ("entity 'c' { delete = 'alow', fields = {} }", ['1: entity: "delete" is one of deactivate, allow, forbid, not "alow"; did you mean "allow"?']),
    ("entity 'c' { number = 'opp', fields = {} }", ['1: entity: "number" is a prefix of one to eight capital letters and digits, not "opp"']),
    ("entity 'c' { number = 'A', fields = {} }", ['1: entity: the number prefix "A" belongs to "a" already']),
    ("entity 'c' { title = 'nmae', fields = { name = text {} } }", ['1: title: c has no field "nmae"; did you mean "name"?']),
    ("entity 'c' { unique = { { 'nmae' } }, fields = { name = text {} } }", ['1: unique: c has no field "nmae"; did you mean "name"?']),
    ("entity 'c' { index = { { 'all' } }, fields = { name = text {}, all = refs { to = 'a' } } }", ['1: index: "all" is not stored in a column']),
    ("entity 'c' { setting = true, fields = { name = text {} } }",
     ['1: entity "c" is a setting: it needs code = text { required = true, unique = true }']),
    ("entity 'c' { label = { en = 'C', de = 'C' }, fields = {} }", ['1: entity "c": a label has "en" and "ru", not "de"',
                                                                   '1: warning: entity "c": the label lacks "ru"']),
    ("entity 'c' { label = { en = 5, ru = 'C' }, fields = {} }", ['1: entity "c": the label "en" is not a text']),
    ("entity 'c' { fields = { name = text {} }, views = { list = { 'nmae' } } }", ['1: views.list: c has no field "nmae"; did you mean "name"?']),
    ("entity 'c' { fields = { name = text {} }, views = { board = { group_by = 'x', card = { 'y' } } } }",
     ['1: views.board: c has no field "x"', '1: views.board: c has no field "y"']),
    ("entity 'c' { fields = { name = text {} }, views = { form = { { fields = { 'name', 5 } } } } }",
     ["1: views.form: a field is named by a text, not by a number"]),

    # fields
    ("entity 'c' { fields = {\n  x = 5,\n} }", ['1: entity: field "x" is not a field type: write x = text { … }']),
    ("entity 'c' { fields = {\n  id = text {},\n} }", ['2: entity: "id" is a field that every entity has']),
    ("entity 'c' { fields = {\n  Bad = text {},\n} }", ['2: field: "Bad" is not a good name: use small letters, digits and _']),
    ("entity 'c' { fields = {\n  x = text { requird = true },\n} }", ['2: text has no attribute "requird"; did you mean "required"?']),
    ("entity 'c' { fields = {\n  x = text { required = 'yes' },\n} }", ['2: text: "required" is a boolean, not a string']),
    ("entity 'c' { fields = {\n  x = text { max = 'many' },\n} }", ['2: text: "max" is a integer, not a string']),
    ("entity 'c' { fields = {\n  x = text 'x',\n} }", ["2: text takes a table: text { … }, not a string"]),
    ("entity 'c' { fields = {\n  x = integer { search = true },\n} }", ['2: "x" is not text: it cannot be searched']),
    ("entity 'c' { fields = {\n  x = decimal { scale = 9 },\n} }", ['2: "scale" is from 0 to 6']),
    ("entity 'c' { fields = {\n  x = money { currency = 'curency' },\n  currency = text {},\n} }",
     ['2: currency of "x": there is no field "curency"; did you mean "currency"?']),
    ("entity 'c' { fields = {\n  x = option {},\n} }", ['2: option needs its values: option { "a", "b" }']),
    ("entity 'c' { fields = {\n  x = option { 'a', 5 },\n} }", ["2: option: value 2 is not a text"]),
    ("entity 'c' { fields = {\n  x = option { 'a', 'a' },\n} }", ['2: option "a" stands twice']),
    ("entity 'c' { fields = {\n  x = option { 'a', labels = { b = 'B' } },\n} }", ['2: option: the label "b" belongs to no value']),
    ("entity 'c' { fields = {\n  x = ref {},\n} }", ['2: ref needs "to": the entity it leads to']),
    ("entity 'c' { fields = {\n  x = ref { to = 'zzz' },\n} }", ['2: x: there is no entity "zzz"']),
    ("entity 'company' { fields = {} } entity 'c' { fields = {\n  x = ref { to = 'compnay' },\n} }",
     ['2: x: there is no entity "compnay"; did you mean "company"?']),
    ("entity 'c' { fields = {\n  x = stage {},\n} }", ['2: stage needs "pipeline"']),
    ("pipeline 'sales' { entity = 'c', stage 'one' {} } entity 'c' { fields = {\n  x = stage { pipeline = 'slaes' },\n} }",
     ['2: there is no pipeline "slaes"; did you mean "sales"?']),
    ("entity 'c' { fields = {\n  x = formula { expr = '1' },\n} }", ['2: formula needs "type"']),
    ("entity 'c' { fields = {\n  x = formula { type = 'integer' },\n} }", ['2: formula needs "expr"']),
    ("entity 'c' { fields = {\n  x = formula { type = 'mony', expr = '1' },\n} }",
     ['2: formula: "type" is one of text, integer, decimal, money, percent, boolean, date, datetime, not "mony"; did you mean "money"?']),
    ("entity 'c' { fields = {\n  x = formula { type = 'integer', expr = 'coutn + 1' },\n  count = integer {},\n} }",
     ['2: formula "x": position 0: c has no field "coutn"; did you mean "count"?']),
    ("entity 'c' { fields = {\n  x = computed { type = 'text', expr = 'x' },\n} }", ['2: computed: "expr" is a function, not a string']),
    ("entity 'c' { fields = {\n  x = date { default = 'yesterday' },\n} }", ['2: default of "x": *']),
    ("entity 'c' { fields = {\n  x = text { when = 'coutn > 1' },\n  count = integer {},\n} }",
     ['2: when: position 0: c has no field "coutn"; did you mean "count"?']),
    ("entity 'c' { fields = {\n  x = text { validate = 'x' },\n} }", ['2: text: "validate" is a function, not a string']),
    ("entity 'c' { fields = {\n  record = ref { to = 'any' },\n  record_entity = text {},\n} }",
     ['3: field "record_entity" of c: the reference "record" keeps its entity under that name']),

    # extend
    ("extend 'zzz' { fields = { x = text {} } }", ['1: extend: there is no entity "zzz"']),
    ("extend 'a' { fields = {\n  name = text {},\n} }", ['2: field "name" of a is declared twice']),
    ("extend 'a' { feilds = {} }", ['1: extend has no attribute "feilds"; did you mean "fields"?']),

    # pipeline, stage
    ("pipeline 'q' { stage 'one' {} }", ['1: pipeline "q" needs "entity"']),
    ("pipeline 'p' { entity = 'b' }", ['1: pipeline "p" is declared twice']),
    ("pipeline 'q' { entity = 'zzz' }", ['1: pipeline: there is no entity "zzz"']),
    ("pipeline 'q' { entity = 'a',\n  stage 'one' {},\n  stage 'one' {},\n}", ['3: stage "one" is declared twice']),
    ("pipeline 'q' { entity = 'a', 'one' }", ['1: pipeline: member 1 is not a stage: write stage "code" { … }']),
    ("pipeline 'q' { entity = 'a', move = 'nmae = 1' }", ['1: move: position 0: a has no field "nmae"; did you mean "name"?']),
    ("pipeline 'q' { entity = 'a', skp = true }", ['1: pipeline has no attribute "skp"; did you mean "skip"?']),
    ("pipeline 'q' { entity = 'a',\n  stage 'one' { gaet = print },\n}", ['2: stage has no attribute "gaet"; did you mean "gate"?']),
    ("pipeline 'q' { entity = 'a',\n  stage 'one' { gate = 'x' },\n}", ['2: stage: "gate" is a function, not a string']),
    ("pipeline 'q' { entity = 'a',\n  stage 'one' { require = { 'nmae' } },\n}", ['2: require: a has no field "nmae"; did you mean "name"?']),
    ("pipeline 'q' { entity = 'a',\n  stage 'one' { probability = 120 },\n}", ['2: stage "one": "probability" is from 0 to 100, not 120']),
    ("chain 'qualify' {} pipeline 'q' { entity = 'a',\n  stage 'one' { chain = 'qualfy' },\n}",
     ['2: stage "one": there is no chain "qualfy"; did you mean "qualify"?']),

    # chain, task
    ("chain 'k' {\n  task 'call' { title = 'Call', after = 'cal' },\n}", ['2: task "call": there is no task "cal" to come after; did you mean "call"?']),
    ("chain 'k' {\n  task 'a' { after = 'b' },\n  task 'b' { after = 'a' },\n}", ['2: task "a" waits for itself: a after b after a']),
    ("chain 'k' {\n  task 'a' { after = 'a' },\n}", ['2: task "a" waits for itself: a after a']),
    ("chain 'k' {\n  task 'a' {},\n  task 'a' {},\n}", ['3: task "a" is declared twice']),
    ("chain 'k' {}\nchain 'k' {}", ['2: chain "k" is declared twice']),
    ("chain 'k' { 'a' }", ['1: chain: member 1 is not a task: write task "code" { … }']),
    ("chain 'k' { lable = 'K' }", ['1: chain has no attribute "lable"; did you mean "label"?']),
    ("chain 'k' {\n  task 'a' { due = 'soon' },\n}", ['2: task "a": due is "2d" or "5d after call" (m, h, d, w), not "soon"']),
    ("chain 'k' {\n  task 'a' { due = '5d after call' },\n}", ['2: task "a": there is no task "call" for "due" to count from']),
    ("chain 'k' {\n  task 'a' { titel = 'A' },\n}", ['2: task has no attribute "titel"; did you mean "title"?']),
    ("chain 'k' {\n  task 'a' { assignee = { roel = 'x' } },\n}", ['2: assignee has no attribute "roel"; did you mean "role"?']),
    ("chain 'k' {\n  task 'a' { on_done = 'x' },\n}", ['2: task: "on_done" is a function, not a string']),

    # role, allow
    ("role 'r' {\n  allow { 'raed', 'a' },\n}", ['2: allow: "action" is one of create, read, update, delete, import, all, not "raed"; did you mean "read"?']),
    ("role 'r' {\n  allow { 'read', 'zzz' },\n}", ['2: allow: there is no entity "zzz"']),
    ("role 'r' {\n  allow { 'read' },\n}", ['2: allow names no entity: allow { "read", "opportunity" }']),
    ("role 'r' {\n  allow { 'read', 'a', where = 'amuont > 5' },\n}", ['2: where: position 0: a has no field "amuont"; did you mean "amount"?']),
    ("role 'r' {\n  allow { 'read', 'a', where = 'amount >' },\n}", ["2: where: *"]),
    ("role 'r' {\n  allow { 'read', 'a', wher = 'x' },\n}", ['2: allow has no attribute "wher"; did you mean "where"?']),
    ("role 'r' {\n  allow { 'update', 'a', fields = except { 'amuont' } },\n}", ['2: allow: a has no field "amuont"; did you mean "amount"?']),
    ("role 'r' {\n  allow { 'read', 'a', follow = 'amount' },\n}", ['2: follow: "amount" is not a reference']),
    ("role 'r' {}\nrole 'r' {}", ['2: role "r" is declared twice']),
    ("role 'r' { 'x' }", ["1: role: member 1 is not a rule: write allow { … }"]),
    ("role 'r' { all = 'wirte' }", ['1: role: "all" is one of read, write, not "wirte"; did you mean "write"?']),
    ("role 'r' { lable = 'R' }", ['1: role has no attribute "lable"; did you mean "label"?']),

    # on, action, route, job, every, portal
    ("on('zzz', 'before_create', function() end)", ['1: on: there is no entity "zzz"']),
    ("on('a', 'before_crate', function() end)",
     ['1: on: "event" is one of before_create, after_create, before_change, after_change, before_delete, after_delete, not "before_crate"; '
      'did you mean "before_create"?']),
    ("on('a', 'before_create', 5)", ["1: on ends with a function, not a number"]),
    ("on('a', 'before_create')", ["1: on ends with a function, not a nil"]),
    ("action('zzz', 'go', {}, function() end)", ['1: action: there is no entity "zzz"']),
    ("action('a', 'go', { wehn = '' }, function() end)", ['1: action has no attribute "wehn"; did you mean "when"?']),
    ("action('a', 'go', { when = 'amuont > 5' }, function() end)", ['1: when: position 0: a has no field "amuont"; did you mean "amount"?']),
    ("action('a', 'move', {}, function() end)", ['1: "move" is an action of the server']),
    ("action('a', 'go', {}, function() end)\naction('a', 'go', {}, function() end)", ['2: action "go" of a is declared twice']),
    ("action('a', 'go', { fields = { x = 5 } }, function() end)", ['1: action: field "x" is not a field type']),
    ("role 'manager' {}\naction('a', 'go', { roles = { 'manger' } }, function() end)", ['2: action: there is no role "manger"; did you mean "manager"?']),
    ("action('a', 'go', { right = 'raed' }, function() end)", ['1: action: "right" is one of create, read, update, delete, not "raed"; did you mean "read"?']),
    ("route('GET', '/x', { allow = '*' }, function() end)", ['1: route: a path begins with /api/v1/x/, not "/x"']),
    ("route('FETCH', '/api/v1/x/y', { allow = '*' }, function() end)", ['1: route: "method" is one of GET, POST, PUT, PATCH, DELETE, not "FETCH"; did you mean "PATCH"?']),
    ("route('GET', '/api/v1/x/y', {}, function() end)", ['1: route needs "allow": the roles that may call it, or "*" for everybody signed in']),
    ("route('GET', '/api/v1/x/y', { allow = 'manger' }, function() end)", ['1: route: there is no role "manger"']),
    ("route('GET', '/api/v1/x/y', { allow = '*' }, function() end)\nroute('GET', '/api/v1/x/y', { allow = '*' }, function() end)",
     ["2: route GET /api/v1/x/y is declared twice"]),
    ("job('j', { retry = 'soon' }, function() end)", ['1: job: retry is a range such as "10s..6h", not "soon"']),
    ("job('j', {}, function() end)\njob('j', {}, function() end)", ['2: job "j" is declared twice']),
    ("job('j', { attempts = 'x' }, function() end)", ['1: job: "attempts" is a integer, not a string']),
    ("every('often', 'e', function() end)", ['1: every begins with "15m", "1d", "1d at 06:00" or is a cron expression, not "often"']),
    ("every('1d', 'e', function() end)\nevery('1d', 'e', function() end)", ['2: every "e" is declared twice']),
    ("every('1d at 25:00', 'e', function() end)", ['1: every begins with "15m", "1d", "1d at 06:00" or is a cron expression, not "1d at 25:00"']),
    ("portal 'o' {}", ['1: portal needs "path"']),

    # nonsense
    ("entity(nil)({})", ["1: entity \"x\" needs \"fields\"", "1: entity: nothing is not a good name: use small letters, digits and _"]),
    ("role({}){}", ["1: role: a table is not a good name: use small letters, digits and _"]),
    ("role 'r' 'x'", ["1: role takes a table: role \"code\" { … }, not a string"]),
    ("allow(5)", ['1: allow takes a table: allow { "read", "opportunity" }, not a number']),
    ("role 'r' { allow(5) }", ['1: allow takes a table: allow { "read", "opportunity" }, not a number']),
    ("on()", ['1: on: "event" is one of before_create, after_create, before_change, after_change, before_delete, after_delete, not nothing']),
    ("on({}, 'before_create', function() end)", ["1: on names an entity, not a table"]),
    ("every({}, 'x', function() end)", ['1: every begins with a text such as "15m", not with a table']),
    ("pipeline 'q' 'x'", ['1: pipeline takes a table: pipeline "code" { … }, not a string']),
    ("chain 'k' 'x'", ['1: chain takes a table: chain "code" { … }, not a string']),
    ("extend(5){}", ['1: extend: "5" is not a good name: use small letters, digits and _']),
    ("option(5)", ["1: option takes a table: option { … }, not a number"]),

    # all at once
    ("entity 'c' { fields = {\n  x = text { requird = true },\n  y = ref { to = 'zzz' },\n} }\nrole 'r' { allow { 'read', 'zz' } }\non('yy', 'before_create', print)",
     ['2: text has no attribute "requird"; did you mean "required"?', '3: y: there is no entity "zzz"', '5: allow: there is no entity "zz"',
      '6: on: there is no entity "yy"']),

    # an end of its own
    ("while true do end", ["1: the time limit of 300 ms for loading is crossed"]),
    ("pcall(function() while true do end end)", ["1: the time limit of 300 ms for loading is crossed"]),
    ("local t = {}\nwhile true do t[#t + 1] = string.rep('x', 1000000) .. #t end", ["2: the memory limit of 16 MiB for loading is crossed"]),
]


@pytest.mark.parametrize("text,expected", BROKEN, ids=[t[:60].replace("\n", " ") for t, _ in BROKEN])
def test_a_mistake_is_told_with_file_line_and_the_nearest_name(tmp_path, text, expected):
    code, lines, out = check(tmp_path, {"workflows/x.lua": text}, "limits = { load = { time_ms = 300, memory_mb = 16 } }")
    assert code == 2 and out == ""
    wanted = ["workflows/x.lua:" + line for line in expected]
    assert [want if want.endswith("*") and line.startswith(want[:-1]) and len(line) > len(want) else line for line, want in zip(lines, wanted)] == wanted
    assert len(lines) == len(wanted), lines


# files → lines of the answer
SETS = [
    ({"workflows/x.lua": b"\xff\xfe"}, ["workflows/x.lua:0: workflows/x.lua: is not Lua text in UTF-8"]),
    ({"workflows/x.lua": b"\x1bLuaT"}, ["workflows/x.lua:0: workflows/x.lua: is not Lua text in UTF-8"]),
    ({"workflows/x.lua": "-- " + "x" * 1048576}, ["workflows/x.lua:0: workflows/x.lua: is larger than 1 MiB"]),
    ({"workflows/x.lua": 'require "lib.nothing"'}, ['workflows/x.lua:1: there is no module "lib.nothing" here']),
    ({"workflows/x.lua": 'require "../../etc/passwd"'}, ["workflows/x.lua:1: a module is named by small letters, digits, _ and dots"]),
    ({"workflows/x.lua": 'require "a"'}, ['workflows/x.lua:1: there is no module "a" here']),
    ({"workflows/x.lua": 'require "lib.m"', "workflows/lib/m.lua": "local x ="}, ["workflows/lib/m.lua:1: unexpected symbol near <eof>"]),
    ({"workflows/x.lua": 'require "lib.m"', "workflows/lib/m.lua": 'require "lib.n"', "workflows/lib/n.lua": '\nrequire "lib.m"'},
     ["workflows/lib/n.lua:2: modules require each other: workflows/lib/m.lua → workflows/lib/n.lua → workflows/lib/m.lua"]),
    ({"workflows/x.lua": "x = 1", "workflows/y.lua": "\ny = 1"},
     ['workflows/x.lua:1: "x" is not declared: write "local x"', 'workflows/y.lua:2: "y" is not declared: write "local y"']),
]


@pytest.mark.parametrize("files,expected", SETS, ids=range(len(SETS)))
def test_mistakes_of_several_files(tmp_path, files, expected):
    code, lines, _ = check(tmp_path, files)
    assert (code, lines) == (2, expected)


def test_modules_run_once_and_are_shared(tmp_path):
    files = {"workflows/lib/m.lua": "local n = 0\nreturn { next = function() n = n + 1 return n end }",
             "workflows/x.lua": 'assert(require "lib.m".next() == 1)', "workflows/y.lua": 'assert(require "lib.m".next() == 2)'}
    assert check(tmp_path, files)[:2] == (0, [])


def test_a_folder_that_is_missing_is_said(tmp_path):
    done = subprocess.run([PERIGEE, "check", "--workflows", str(tmp_path / "none")], capture_output=True, text=True, cwd=ROOT, timeout=60, env={**os.environ, "LANG": "C"})
    assert done.returncode == 2 and "there is no such folder" in done.stderr


PLUGIN = {"plugins/acme/plugin.lua": 'return { name = "acme", version = "1.2.3", api = "1" }',
          "plugins/acme/main.lua": "extend 'a' { fields = { acme_code = text {} } }"}

PLUGINS = [
    ({}, []),
    ({"plugins/acme/plugin.lua": None}, ["plugins/acme/plugin.lua:0: plugin acme has no plugin.lua"]),
    ({"plugins/acme/main.lua": None}, ["plugins/acme/main.lua:0: plugin acme has no main.lua"]),
    ({"plugins/acme/plugin.lua": "local x ="}, ["plugins/acme/plugin.lua:1: unexpected symbol near <eof>"]),
    ({"plugins/acme/plugin.lua": "return 5"},
     ['plugins/acme/plugin.lua:1: plugin.lua returns a table: return { name = "acme", version = "1.0", api = "1" }']),
    ({"plugins/acme/plugin.lua": 'return { name = "other", version = "1.2.3", api = "1" }'},
     ['plugins/acme/plugin.lua:1: plugin: its name is that of its folder, "acme", not "other"']),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", api = "1" }'}, ['plugins/acme/plugin.lua:1: plugin needs "version", such as "1.0.2"']),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", version = "1", api = "2" }'},
     ['plugins/acme/plugin.lua:1: plugin: it is made for api "2"; this server has api "1"']),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", version = "1", api = "1", requires = { perigee = ">=99" } }'},
     ["plugins/acme/plugin.lua:1: plugin needs perigee >=99; this is *"]),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", version = "1", api = "1", requires = { other = "^2" } }'},
     ["plugins/acme/plugin.lua:1: plugin acme requires other ^2, which is not enabled"]),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", version = "1", api = "1", requires = { other = "newest" } }'},
     ['plugins/acme/plugin.lua:1: plugin: "newest" is no range of versions: write ">=1.0", "^2" or "~1.2"']),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", version = "1", api = "1", permissions = { "everything" } }'},
     ['plugins/acme/plugin.lua:1: plugin: "everything" is no permission: read:ENTITY, write:ENTITY, http:HOST, mail, sharepoint or system']),
    ({"plugins/acme/plugin.lua": 'return { name = "acme", verison = "1", api = "1" }'},
     ['plugins/acme/plugin.lua:1: plugin has no attribute "verison"; did you mean "version"?', 'plugins/acme/plugin.lua:1: plugin needs "version", such as "1.0.2"']),
    ({"plugins/acme/main.lua": "extend 'a' { fields = {\n  code = text {} } }"},
     ['plugins/acme/main.lua:2: a plugin\'s field begins with its name: "acme_code"']),
    ({"plugins/acme/main.lua": "x = 1"}, ['plugins/acme/main.lua:1: "x" is not declared: write "local x"']),
    ({"plugins/acme/main.lua": 'require "lib.m"', "workflows/lib/m.lua": ""}, ['plugins/acme/main.lua:1: there is no module "lib.m" here']),
    ({"plugins/acme/main.lua": 'require "part"', "plugins/acme/part.lua": "x = 1"}, ['plugins/acme/part.lua:1: "x" is not declared: write "local x"']),
]


@pytest.mark.parametrize("files,expected", PLUGINS, ids=range(len(PLUGINS)))
def test_a_plugin_that_is_broken_is_told_with_file_and_line(tmp_path, files, expected):
    code, lines, _ = check(tmp_path, {**PLUGIN, **files}, 'plugins = { "acme" }')
    assert code == (2 if expected else 0)
    assert [want if want.endswith("*") and line.startswith(want[:-1]) else line for line, want in zip(lines, expected)] == expected
    assert len(lines) == len(expected)


CONFIG = 'return { name = "acme", version = "1", api = "1", config = {\n  most = integer { default = 5, min = 1, max = 10 },\n' \
         '  mode = option { "soft", "hard", default = "soft" },\n  key = text { required = true },\n} }'

CONFIGS = [
    ('plugin_config = { acme = { key = "k" } }', []),
    ('plugin_config = { acme = { key = "k", most = 10, mode = "hard" } }', []),
    ("plugin_config = {}", ['plugins/acme/plugin.lua:4: config "key" is required: set it in config.lua under plugin_config.acme']),
    ('plugin_config = { acme = { key = "k", most = 11 } }', ['plugins/acme/plugin.lua:2: config "most": 11 is not from 1 to 10']),
    ('plugin_config = { acme = { key = "k", most = "x" } }', ['plugins/acme/plugin.lua:2: config "most": it is of type integer, not a string']),
    ('plugin_config = { acme = { key = "k", mode = "hrad" } }', ['plugins/acme/plugin.lua:3: config: "mode" is one of soft, hard, not "hrad"; did you mean "hard"?']),
    ('plugin_config = { acme = { key = "k", mots = 1 } }',
     ['plugins/acme/plugin.lua:1: config.lua sets "mots", which plugin acme does not have; did you mean "most"?']),
    ('plugin_config = { acme = { key = "k" }, other = {} }', ['config.lua:0: plugin_config speaks of "other", which is not among the enabled plugins']),
]


@pytest.mark.parametrize("config,expected", CONFIGS, ids=range(len(CONFIGS)))
def test_the_configuration_of_a_plugin_fits_what_it_declares(tmp_path, config, expected):
    main = 'assert(config.key == "k" and config.most >= 1 and (config.mode == "soft" or config.mode == "hard"))\nassert(not pcall(function() config.key = 1 end))'
    code, lines, _ = check(tmp_path, {**PLUGIN, "plugins/acme/plugin.lua": CONFIG, "plugins/acme/main.lua": main}, 'plugins = { "acme" }', config)
    assert (code, lines) == (2 if expected else 0, expected)


def test_plugins_run_after_those_they_require_and_may_use_their_modules(tmp_path):
    files = {"plugins/aa/plugin.lua": 'return { name = "aa", version = "1", api = "1", requires = { zz = "^2.1" } }',
             "plugins/aa/main.lua": 'assert(require "zz.shared".ran == true)\nassert(not pcall(require, "bb.secret"))',
             "plugins/bb/plugin.lua": 'return { name = "bb", version = "1", api = "1" }', "plugins/bb/main.lua": "", "plugins/bb/secret.lua": "",
             "plugins/zz/plugin.lua": 'return { name = "zz", version = "2.3", api = "1" }', "plugins/zz/main.lua": 'require "shared".ran = true',
             "plugins/zz/shared.lua": "return {}"}
    assert check(tmp_path, files, 'plugins = { "aa", "bb", "zz" }')[:2] == (0, [])
    files["plugins/zz/plugin.lua"] = 'return { name = "zz", version = "3.0", api = "1" }'
    assert check(tmp_path, files, 'plugins = { "aa", "bb", "zz" }')[:2] == (2, ["plugins/aa/plugin.lua:1: plugin aa requires zz ^2.1; its version is 3.0.0"])
    files["plugins/zz/plugin.lua"] = 'return { name = "zz", version = "2.3", api = "1", requires = { aa = "1" } }'
    assert check(tmp_path, files, 'plugins = { "aa", "bb", "zz" }')[:2] == (2, ["plugins/zz/plugin.lua:1: plugins require each other: zz and aa"])


def test_each_plugin_has_globals_of_its_own(tmp_path):
    files = {**PLUGIN, "plugins/acme/main.lua": "local here = _G\nassert(here ~= nil and not pcall(function() return secret end))\n"
                                                "assert(getmetatable(here) == false and rawget(here, 'load') == nil)"}
    assert check(tmp_path, files, 'plugins = { "acme" }')[:2] == (0, [])


def test_a_plugin_that_is_not_there_is_said(tmp_path):
    code, lines, _ = check(tmp_path, {}, 'plugins = { "nobody" }')
    assert code == 2 and lines == ["plugins/nobody:0: plugins/nobody: there is no such folder"]
