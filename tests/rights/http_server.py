"""The server and the helpers of tests/http, under a name of their own: two files called conftest cannot both be imported."""
import importlib.util
import sys
from pathlib import Path

HTTP = Path(__file__).parents[1] / "http"
if str(HTTP) not in sys.path:
    sys.path.append(str(HTTP))
spec = importlib.util.spec_from_file_location("http_server_conftest", HTTP / "conftest.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
Server, Client, perigee = module.Server, module.Client, module.perigee
