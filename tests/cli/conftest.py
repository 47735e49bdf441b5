"""The command line as an admin meets it."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from command import MASTERDATA, call, http  # noqa: E402

# Other folders say "from conftest import …" and, in one run with this one, may get it from here.
PERIGEE, ROOT, Client, Server, perigee = http.PERIGEE, http.ROOT, http.Client, http.Server, http.perigee


@pytest.fixture
def data(tmp_path):
    """A data folder with the shipped master data."""
    folder = tmp_path / "data"
    said = call("import", "--data", folder, "--masterdata", MASTERDATA)
    assert said.code == 0, said
    return folder


@pytest.fixture
def server(tmp_path):
    running = http.Server(tmp_path)
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0
