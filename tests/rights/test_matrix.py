"""The matrix of rights over real HTTP: role × entity × action × relation × path. RIGHTS=full asks about everything; without it, a sample."""
import os

from checks import Checks
from http_server import Server
from world import World

FULL = os.environ.get("RIGHTS") == "full"


def test_the_server_does_what_the_matrix_says(tmp_path):
    server = Server(tmp_path)
    try:
        checks = Checks(World(server), share=1.0 if FULL else 0.06)
        checks.all()
    finally:
        code = server.stop()
    total = sum(checks.done.values())
    print(f"\n{total} checks over {len(checks.done)} paths:", ", ".join(f"{path} {n}" for path, n in sorted(checks.done.items())))
    log = (tmp_path / "serve.log").read_text()
    assert '"level":"error"' not in log and "level=error" not in log, log[-4000:]
    assert not checks.wrong, f"{len(checks.wrong)} of {total} checks fail:\n" + "\n".join(checks.wrong[:80])
    assert code == 0 and total >= (20000 if FULL else 2500)
