"""Every example of the administrator's guide, run in its order against a server with a copy of the workflows."""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/http"))
from conftest import PERIGEE, Server, perigee  # noqa: E402

PAGE = (ROOT / "docs/admin-guide.md").read_text()
BLOCKS = re.compile(r"<!-- (run|file: (\S+)) -->\n```\w*\n(.*?)```", re.S)


def test_the_guide_from_top_to_bottom(tmp_path):
    workflows = tmp_path / "workflows"
    shutil.copytree(ROOT / "workflows", workflows)
    server = Server(tmp_path, "--workflows", str(workflows))
    try:
        perigee("user", "create", "--data", server.data, "--login", "admin", "--name", "Admin", "--role", "crm_admin", "--password-stdin", stdin="a long enough secret\n")
        script = ["set -euo pipefail"]
        for n, (kind, file, text) in enumerate(BLOCKS.findall(PAGE)):
            if file:
                script.append(f"cat > {file} <<'END_OF_FILE'\n{text}END_OF_FILE")
            else:
                script.append(f"echo '--- {n}'\n{text}")
        text = "\n".join(script).replace("--data data", f"--data {server.data}").replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
        (tmp_path / "guide.lua").write_text(f'return {{ workflows = "{workflows}" }}\n')
        for command in ("check", "access matrix", "user create"):
            text = text.replace(f"build/perigee {command}", f"perigee {command} --config {tmp_path}/guide.lua")
        text = re.sub(r"(build/)?perigee (?=check|access|user|token|reload)", PERIGEE + " ", text)
        done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, cwd=tmp_path, timeout=120, env={**os.environ, "LANG": "C"})
        assert done.returncode == 0, done.stdout + done.stderr
        parts = done.stdout.split("--- ")[1:]
        said = [part.split("\n", 1)[1] for part in parts]
        assert len(said) == 8
        _, changed, added, loaded, made, locked, granted, directed = said[0], said[1], said[2], said[3], said[4], said[5], said[6], said[7]
        assert '"probability":25' in changed
        assert added.count('"code":"security') == 4 and '"status":4' not in added
        assert "no mistakes" in loaded
        assert '"region":"north"' in made and '"warranty_years":3' in made
        assert '"code":"locked"' in locked and "workflows/own.lua" in locked
        assert "acme_support" in granted
        assert '"portal":"security_products"' in directed
    finally:
        assert server.stop() == 0
