"""Commands beside a running server, on the same folder: each sees at once what the other has done."""
import json
import shutil
import subprocess
import threading
import time

import pytest

from command import MASTERDATA, PERIGEE, ROOT, call, http, open_database

SECRET = "a long enough secret\n"


def create_user(server, login, role, *options):
    return call("user", "create", "--data", server.data, "--login", login, "--name", login.title(), "--role", role, *options, "--password-stdin", stdin=SECRET)


def sign_in(server, login, password=SECRET.strip()):
    return http.Client(server.port).raw("POST", "/api/v1/sessions", {"login": login, "password": password})


def test_a_new_user_and_token_are_good_at_once(server):
    said = create_user(server, "anna", "crm_sales,crm_presale", "--direction", "cloud")
    assert said.code == 0 and len(said.out.strip()) == 13, said
    token = call("token", "create", "--data", server.data, "--user", "anna")
    assert token.code == 0 and token.out.startswith("pgt_") and token.out.count("\n") == 1 and token.err == ""
    me = http.Client(server.port, token.out.strip()).get("me").json
    assert me["id"] == said.out.strip() and sorted(me["roles"]) == ["crm_presale", "crm_sales"] and me["directions"] == ["cloud"]
    assert sign_in(server, "anna").status == 201


def test_a_revoked_token_and_a_deactivated_user_are_out_at_once(server):
    admin = server.user("admin", "crm_admin")
    seller = server.user("seller", "crm_sales", "--direction", "cloud")
    other = http.Client(server.port, call("token", "create", "--data", server.data, "--user", "seller").out.strip())
    assert other.get("me").status == seller.get("me").status == 200
    first = [line.split()[0] for line in call("token", "list", "--data", server.data).out.splitlines() if " seller " in line][0]
    assert call("token", "revoke", "--data", server.data, "--id", first).code == 0
    assert sorted([other.get("me").status, seller.get("me").status]) == [200, 401]
    assert call("user", "deactivate", "--data", server.data, "--login", "seller").code == 0
    assert other.get("me").status == seller.get("me").status == 401
    assert sign_in(server, "seller").status == 401
    assert admin.get("me").status == 200


def test_a_new_password_ends_sessions(server):
    create_user(server, "anna", "crm_sales")
    answer = sign_in(server, "anna")
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    assert http.Client(server.port).raw("GET", "/api/v1/me", headers={"Cookie": cookie}).status == 200
    said = call("user", "password", "--data", server.data, "--login", "anna", "--password-stdin", stdin="another long secret\n")
    assert said.code == 0
    assert http.Client(server.port).raw("GET", "/api/v1/me", headers={"Cookie": cookie}).status == 401
    assert sign_in(server, "anna").status == 401 and sign_in(server, "anna", "another long secret").status == 201


def test_imported_settings_are_in_force_at_once(server, tmp_path):
    """The stage's gate asks for what the import has just made it ask for."""
    admin = server.user("admin", "crm_admin")
    company = admin.made("companies", name="C", direction="cloud")
    contact = admin.made("contacts", name="Ivan", company=company["id"])
    deals = [admin.made("opportunities", name=f"D{i}", company=company["id"], direction="cloud", contact=contact["id"], products=["cloud_server"], probability=10)
             for i in range(2)]
    move = "opportunities/{}/actions/move"
    assert admin.post(move.format(deals[0]["id"]), {"stage": "qualification"}).status == 200
    file = tmp_path / "stricter.json"
    file.write_text(json.dumps({"format": "perigee.masterdata/1", "collections": {"stages": [{"code": "qualification", "require": ["contact", "close_date"]}]}}))
    assert call("import", "--data", server.data, "--masterdata", file).code == 0
    refused = admin.post(move.format(deals[1]["id"]), {"stage": "qualification"})
    assert refused.status == 422 and {"/close_date"} <= {e["pointer"] for e in refused.json["errors"]}


def test_writers_in_two_processes_take_turns(server):
    """An import and users from the command line while the server writes: no lock error on either side, the log stays one chain."""
    admin = server.user("admin", "crm_admin")
    stop, statuses = threading.Event(), []

    def write():
        while not stop.is_set():
            statuses.append(admin.post("companies", {"name": "Busy"}).status)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for i in range(5):
            assert call("import", "--data", server.data, "--masterdata", MASTERDATA).code == 0
            assert call("token", "create", "--data", server.data, "--user", "admin").code == 0
    finally:
        stop.set()
        thread.join()
    assert set(statuses) == {201} and len(statuses) > 5
    assert call("audit", "verify", "--data", server.data).code == 0


def test_record_numbers_are_unique_under_concurrency(server):
    admin = server.user("admin", "crm_admin")
    company = admin.made("companies", name="C", direction="cloud")
    numbers, lock = [], threading.Lock()

    def create():
        client = http.Client(server.port, admin.token)
        for _ in range(15):
            number = client.made("opportunities", name="N", company=company["id"], direction="cloud")["number"]
            with lock:
                numbers.append(number)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == [f"OPP{n:07}" for n in range(1, 121)]


def test_migrate_beside_the_server_then_reload(tmp_path):
    workflows = tmp_path / "workflows"
    shutil.copytree(ROOT / "workflows", workflows)
    server = http.Server(tmp_path, "--workflows", str(workflows))
    try:
        admin = server.user("admin", "crm_admin")
        (workflows / "more.lua").write_text('extend "company" { fields = { slogan = text { label = { en = "Slogan", ru = "Девиз" } } } }\n')
        said = call("migrate", "--data", server.data, "--workflows", workflows)
        assert said.code == 0 and "add field company.slogan (text)" in said.out, said
        assert admin.post("companies", {"name": "X", "slogan": "y"}).status == 400, "the server keeps its scripts until it is told"
        said = call("reload", "--data", server.data)
        assert said.code == 0 and str(server.process.pid) in said.out
        admin.described = None  # the description that answers are held against is another one now
        assert eventually(lambda: admin.raw("POST", "/api/v1/companies", {"name": "X", "slogan": "y"}).status == 201)
        (workflows / "more.lua").write_text("oops\n")
        assert call("reload", "--data", server.data).code == 0
        assert eventually(lambda: "more.lua" in (server.data.parent / "serve.log").read_text())
        assert admin.post("companies", {"name": "X", "slogan": "y"}).status == 201, "the old scripts stay in force"
    finally:
        assert server.stop() == 0


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_reload_without_a_server_says_so(data, tmp_path):
    for folder in (data, tmp_path / "none"):
        said = call("reload", "--data", folder)
        assert said.code == 1 and "no server runs on the folder" in said.err


def test_reload_does_not_signal_a_stranger_that_got_the_pid(data):
    """The pid file outlives a killed server; its number may belong to another process by now."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (data / "perigee.pid").write_text(f"{stranger.pid}\n")
        assert call("reload", "--data", data).code == 1
        assert stranger.poll() is None
        stranger.kill()


# ---- people ----

@pytest.mark.parametrize("change,expected", [
    ({"--role": "crm_boss"}, "crm_boss"),
    ({"--role": ""}, "role"),
    ({"--direction": "nowhere"}, "nowhere"),
    ({"--manager": "nobody"}, 'there is no user "nobody"'),
    ({"--partner": "0000000000000"}, "partner"),
    ({"--login": ""}, "ogin"),
])
def test_a_user_that_cannot_be_is_refused_whole(data, change, expected):
    options = {"--login": "new", "--name": "New", "--role": "crm_sales", **change}
    said = call("user", "create", "--data", data, *(w for pair in options.items() for w in pair), "--password-stdin", stdin=SECRET)
    assert said.code in (1, 2) and expected in said.err, said
    assert call("user", "list", "--data", data).out == ""


@pytest.mark.parametrize("password", ["", "short\n", "\n"])
def test_a_weak_or_missing_password_is_refused(data, password):
    said = call("user", "create", "--data", data, "--login", "new", "--name", "New", "--role", "crm_sales", "--password-stdin", stdin=password)
    assert said.code == 1 and "password" in said.err and call("user", "list", "--data", data).out == ""


def test_a_login_is_taken_once(data):
    create = ["user", "create", "--data", data, "--login", "anna", "--name", "A", "--role", "crm_sales", "--password-stdin"]
    assert call(*create, stdin=SECRET).code == 0
    said = call(*create, stdin=SECRET)
    assert said.code == 1 and "login" in said.err and "taken" in said.err, said


def test_secrets_are_nowhere_in_the_folder(data):
    call("user", "create", "--data", data, "--login", "anna", "--name", "A", "--role", "crm_sales", "--password-stdin", stdin=SECRET)
    token = call("token", "create", "--data", data, "--user", "anna").out.strip()
    for file in data.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SECRET.strip().encode() not in content and token.encode() not in content and token[4:].encode() not in content


def test_two_commands_at_once_on_a_new_folder(tmp_path):
    """Both find no database; one makes it, the other finds it made."""
    data = tmp_path / "data"
    both = [subprocess.Popen([PERIGEE, "import", "--data", data, "--masterdata", MASTERDATA], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for one in both:
        out, err = one.communicate(timeout=60)
        assert one.returncode == 0, err
    assert call("doctor", "--data", data).code == 0
    with open_database(data) as database:
        assert database.execute("SELECT count(*) FROM stage").fetchone() == (10,)
