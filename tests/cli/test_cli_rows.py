"""Rows in and out by the command line: `import --collection` and `export`, with the server's rules, without a server."""
from command import MASTERDATA, call


def tax_id(n):
    digits = f"{n:09d}"
    return digits + str(sum(int(a) * b for a, b in zip(digits, (2, 4, 10, 3, 5, 9, 4, 6, 8))) % 11 % 10)


def rows(path, n, first=0):
    path.write_text("name,tax_id,direction\n" + "".join(f'"=Company {i}",{tax_id(100000000 + i)},cloud\n' for i in range(first, first + n)))
    return path


def test_rows_come_in_and_mistakes_are_told(data, tmp_path):
    said = call("import", "--data", data, "--collection", "companies", "--file", rows(tmp_path / "a.csv", 30))
    assert said.code == 0 and "30 created" in said.out, said
    said = call("import", "--data", data, "--collection", "companies", "--file", rows(tmp_path / "b.csv", 20, 20))
    assert said.code == 1 and "10 created" in said.out and "10 failed" in said.out and "row 1, line 2: /tax_id" in said.err, said
    said = call("import", "--data", data, "--collection", "companies", "--file", rows(tmp_path / "c.csv", 40), "--mode", "upsert", "--match", "tax_id")
    assert said.code == 0 and "40 unchanged" in said.out, said


def test_wrong_columns_and_options_change_nothing(data, tmp_path):
    (tmp_path / "a.csv").write_text("name,nonsense\nx,y\n")
    said = call("import", "--data", data, "--collection", "companies", "--file", tmp_path / "a.csv")
    assert said.code == 1 and "column 2 (nonsense)" in said.err, said
    for option in (("--mode", "replace"), ("--mode", "upsert"), ("--format", "xlsx"), ("--user", "nobody")):
        said = call("import", "--data", data, "--collection", "companies", "--file", rows(tmp_path / "b.csv", 1), *option)
        assert said.code == 1 and said.err, (option, said)
    assert call("import", "--data", data, "--collection", "companies").code == 2
    assert call("import", "--data", data, "--collection", "companies", "--file", tmp_path / "none.csv").code == 1
    assert call("export", "--data", data, "--collection", "companies").out.count("\n") == 1


def test_what_goes_out_comes_back_the_same(data, tmp_path):
    call("import", "--data", data, "--collection", "companies", "--file", rows(tmp_path / "a.csv", 50))
    for format in ("csv", "ndjson"):
        out, other = tmp_path / f"out.{format}", tmp_path / f"other-{format}"
        said = call("export", "--data", data, "--collection", "companies", "--format", format, "--to", out)
        assert said.code == 0 and out.read_bytes().count(b"\n") == (51 if format == "csv" else 50), said
        assert call("import", "--data", other, "--masterdata", MASTERDATA).code == 0
        said = call("import", "--data", other, "--collection", "companies", "--file", out, "--mode", "restore")
        assert said.code == 0 and "50 created" in said.out, said
        assert call("export", "--data", other, "--collection", "companies", "--format", format).out == out.read_text()


def test_an_export_has_filter_fields_and_the_rights_of_a_user(data, tmp_path):
    call("import", "--data", data, "--collection", "companies", "--file", rows(tmp_path / "a.csv", 5))
    said = call("export", "--data", data, "--collection", "companies", "--filter", f'tax_id = "{tax_id(100000003)}"', "--fields", "name")
    assert said.code == 0 and said.out.splitlines()[0] == "id,name" and "'=Company 3" in said.out and said.out.count("\n") == 2, said
    call("user", "create", "--data", data, "--login", "far", "--name", "Far", "--role", "crm_sales", "--direction", "hardware", "--password-stdin",
         stdin="a long enough secret\n")
    said = call("export", "--data", data, "--collection", "companies", "--user", "far")
    assert said.code == 0 and said.out.count("\n") == 1, said
    assert call("export", "--data", data, "--collection", "companies", "--filter", "nonsense = 1").code == 1
    assert call("export", "--data", data, "--collection", "companies", "--to", tmp_path / "a.csv").code == 1, "a file that is there stays"
    assert call("export", "--data", data).code == 2
