"""What scripts mention and data lacks, and the reverse, is told by check and doctor (domain.md §7)."""
import shutil

from command import MASTERDATA, ROOT, call


def project(folder):
    for name in ("workflows", "masterdata"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("demo.json"))
    return folder


def change(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_what_ships_agrees_with_itself(tmp_path):
    done = call("check", "--workflows", project(tmp_path) / "workflows")
    assert done.code == 0 and "warning" not in done.err


def test_check_names_what_master_data_and_scripts_do_not_share(tmp_path):
    here = project(tmp_path)
    change(here / "masterdata/crm.json", '"require": ["contact"]', '"require": ["contcat"]')
    change(here / "masterdata/crm.json", '"pipeline": "sales", "order": 4', '"pipeline": "salse", "order": 4')
    change(here / "masterdata/crm.json", '"role": "crm_manager"', '"role": "crm_maneger"')
    change(here / "masterdata/crm.json", '"documents": ["contract"]', '"documents": ["contarct"]')
    change(here / "workflows/sales.lua", 'stage "negotiation"', 'stage "negotation"')
    done = call("check", "--workflows", here / "workflows")
    assert done.code == 0, "a warning, not a mistake"
    for told in ('sales.lua:', 'stage "negotation" is not in masterdata/crm.json', '"contcat", which is no field', 'unknown pipeline "salse"',
                 'unknown role "crm_maneger"', 'unknown kind "contarct"'):
        assert told in done.err, told


def test_doctor_names_what_the_database_and_scripts_do_not_share(tmp_path):
    here = project(tmp_path)
    assert call("import", "--data", tmp_path / "data", "--masterdata", MASTERDATA).code == 0
    assert "know each other" in call("doctor", "--data", tmp_path / "data").out
    change(here / "workflows/sales.lua", 'stage "negotiation"', 'stage "negotation"')
    done = call("doctor", "--data", tmp_path / "data", "--workflows", here / "workflows")
    assert 'stage "negotation" is not in the database' in done.err and "know each other" not in done.out
