"""The command line as an admin meets it."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from command import MASTERDATA, call, http  # noqa: E402


@pytest.fixture
def perigee():
    return call


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
