"""Master data: all or nothing, as often as one likes, every mistake with its place."""
import json
import sqlite3

import pytest

from command import MASTERDATA, call, open_database

HEAD = '{"format":"perigee.masterdata/1","version":"1","collections":'


def file_of(folder, content):
    file = folder / "file.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def directions(*rows):
    return HEAD + json.dumps({"directions": list(rows)}) + "}"


def stages(**fields):
    return HEAD + json.dumps({"stages": [{"code": "x", "name": "X", "pipeline": "sales", "order": 99, **fields}]}) + "}"


GOOD = {"code": "good", "name": {"en": "Good", "ru": "Хорошее"}}

WRONG = {
    "nothing": (b"", "line 1, column 1"),
    "no JSON": ('{"format": nope}', "line 1, column 12"),
    "a list": ("[]", '"format" must be "perigee.masterdata/1"'),
    "another format": ('{"format":"perigee.masterdata/2","collections":{}}', '"format" must be'),
    "no format": ('{"collections":{}}', '"format" must be'),
    "an unknown member": ('{"format":"perigee.masterdata/1","colections":{}}', 'has no "colections"'),
    "no collections": ('{"format":"perigee.masterdata/1"}', '"collections" must be an object of lists'),
    "collections that are a list": (HEAD + "[]}", '"collections" must be an object of lists'),
    "bytes that are no UTF-8": (HEAD.encode() + b'{"directions":[{"code":"\xff"}]}}', "not UTF-8"),
    "a NUL": (HEAD + '{"directions":[{"code":"a\\u0000"}]}}', "\\u0000 is not allowed"),
    "too deep": ("[" * 100000, "nested too deeply"),
    "something behind": (HEAD + "{}} x", "something follows"),
    "a member twice": (HEAD + '{"directions":[],"directions":[]}}', "the same name twice"),
    "an unknown collection": (HEAD + '{"direction":[]}}', 'collections.direction: there is no such collection; did you mean "directions"?'),
    "a collection that is no list": (HEAD + '{"directions":{}}}', "collections.directions: is not a list of records"),
    "a record that is no object": (HEAD + '{"directions":[1]}}', "collections.directions[0]: is not an object"),
    "a record without its key": (directions({"name": "x"}), "collections.directions[0]: has no code"),
    "an empty key": (directions({"code": "", "name": "x"}), "collections.directions[0].code: Code is required"),
    "a key of another type": (directions({"code": 5, "name": "x"}), "collections.directions[0].code: Code must be a string"),
    "an unknown field": (directions(GOOD, {"code": "x", "nmae": "x"}), 'collections.directions[1].nmae: Sales direction has no field "nmae"; did you mean "name"?'),
    "a missing field": (directions({"code": "x"}), "collections.directions[0].name: Name is required"),
    "a field taken away": (directions({"code": "cloud", "name": None}), "collections.directions[0].name: Name is required"),
    "the same record twice": (directions(GOOD, {"code": "other", "name": "x"}, GOOD), "collections.directions[2]: is the same record as [0]"),
    "a record twice that was there": (directions({"code": "cloud", "name": "x"}, {"code": "cloud", "name": "y"}), "collections.directions[1]: is the same record as [0]"),
    "a reference that leads nowhere": (stages(lifecycle_step="nix"), 'collections.stages[0].lifecycle_step: Lifecycle step: there is no Lifecycle step "nix"'),
    "a value of another type": (stages(probability="high"), "collections.stages[0].probability: Least probability must be a number"),
    "a value out of range": (stages(probability=101), "collections.stages[0].probability: Least probability must be at most 100"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_named_with_its_place_and_nothing_is_imported(data, tmp_path, what):
    content, expected = WRONG[what]
    before = dump(data)
    said = call("import", "--data", data, "--masterdata", file_of(tmp_path, content))
    assert said.code == 1 and expected in said.err, said
    assert "nothing was imported from" in said.err
    assert dump(data) == before


def dump(data):
    with open_database(data) as database:
        return [database.execute(f'SELECT * FROM "{t}" ORDER BY 1').fetchall() for t in ("direction", "stage", "perigee_log", "perigee_meta")]


def test_all_mistakes_are_told_at_once_and_counted(data, tmp_path):
    said = call("import", "--data", data, "--masterdata", file_of(tmp_path, directions(*({"code": f"c{i}", "bad": 1} for i in range(300)))))
    assert said.code == 1 and said.err.count("has no field") == 100 and "mistakes: 300" in said.err


def test_the_second_import_says_unchanged_and_writes_nothing(data):
    before = dump(data)
    said = call("import", "--data", data, "--masterdata", MASTERDATA)
    lines = said.out.splitlines()
    assert said.code == 0 and len(lines) == len(json.loads(MASTERDATA.read_text())["collections"])
    assert all(" 0 created     0 updated" in line for line in lines), said.out
    assert dump(data) == before


def test_each_collection_has_its_line_of_counts(data, tmp_path):
    said = call("import", "--data", data, "--masterdata", file_of(tmp_path, directions(GOOD, {"code": "cloud", "name": {"en": "Clouds", "ru": "Облака"}}, {"code": "software"})))
    assert said.code == 0 and said.out.split() == "directions 1 created 1 updated 1 unchanged".split()


def test_a_byte_order_mark_is_no_mistake(data, tmp_path):
    assert call("import", "--data", data, "--masterdata", file_of(tmp_path, b"\xef\xbb\xbf" + directions(GOOD).encode())).code == 0


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        said = call("import", "--data", tmp_path / "data", "--masterdata", path)
        assert said.code == 1 and str(path) in said.err


def test_a_reader_beside_an_import_sees_all_or_nothing(data, tmp_path):
    """The whole file is one transaction: a reader beside it sees all or nothing."""
    with sqlite3.connect(f"file:{data}/perigee.db?mode=ro", uri=True) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM direction").fetchone()
        assert call("import", "--data", data, "--masterdata", file_of(tmp_path, directions(GOOD))).code == 0
        assert reader.execute("SELECT count(*) FROM direction").fetchone() == before
        reader.execute("COMMIT")
        assert reader.execute("SELECT count(*) FROM direction").fetchone() == (before[0] + 1,)


def test_what_scripts_made_is_in_the_search_index_and_in_the_log(server):
    """Stages that a script names are made by the migration, before any file says more of them."""
    admin = server.user("admin", "crm_admin")
    for code in ("qualification", "contract"):
        stage = admin.get("stages", filter=f'code = "{code}"').json["items"][0]
        for name in ("Erste Stufe", "Zweite Stufe"):
            assert admin.patch("stages/" + stage["id"], {"name": {"en": name, "ru": name}}).status == 200
        assert stage["id"] in [s["id"] for s in admin.get("stages", q="zweite").json["items"]]
        assert admin.get("stages", q="erste").json["items"] == []
    with open_database(server.data) as database:
        unlogged = database.execute("SELECT code FROM stage WHERE NOT EXISTS (SELECT 1 FROM perigee_log AS l WHERE l.record = stage.id AND l.action = 'create')").fetchall()
    assert unlogged == []
