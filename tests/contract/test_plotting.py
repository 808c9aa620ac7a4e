"""No plotting library where requests are answered."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
# What a service does for its first heat map, in a process of its own; then what it has imported.
PROGRAM = """
import io, sys, tempfile
from pathlib import Path
from PIL import Image
from starlette.testclient import TestClient
from service.app import create_app
from service.settings import Settings

picture = io.BytesIO()
Image.new("RGB", (96, 96), "teal").save(picture, "PNG")
settings = Settings(data=Path(tempfile.mkdtemp()), worker={"warm": False})
with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
    for method in ("grad-cam", "activations", "predictions"):
        answer = client.post(f"/v1/models/shapes/{method}", files={"image": picture.getvalue()})
        assert answer.status_code == 200, answer.text
print(sorted(name for name in sys.modules if name.partition(".")[0] == "matplotlib"))
"""


def test_matplotlib_is_no_part_of_the_service():
    assert "matplotlib" not in LOCK.read_text(encoding="utf-8").lower()


def test_matplotlib_is_not_imported_when_pictures_are_drawn():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
