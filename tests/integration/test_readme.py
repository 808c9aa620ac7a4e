"""The README's commands, as a newcomer pastes them, against a real server process."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import urlopen

from PIL import Image

ROOT = Path(__file__).parents[2]


def _commands() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "curl" in block and "127.0.0.1" in block]


def _paste(command: str, address: str, folder: Path) -> bytes:
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    pasted = command.replace("http://127.0.0.1:8000", address)
    return subprocess.run(["bash", "-ec", pasted], cwd=folder, check=True, capture_output=True, timeout=60).stdout


def test_picture_is_a_heat_map_when_the_first_command_is_pasted(address: str, tmp_path: Path):
    _paste(_commands()[0], address, tmp_path)
    with Image.open(tmp_path / "heat-map.png") as heatmap, Image.open(ROOT / "docs" / "images" / "scene.png") as scene:
        assert heatmap.size == scene.size
        assert heatmap.tobytes() != scene.convert("RGB").tobytes()


def test_picture_is_a_grid_of_patterns_when_the_job_command_is_pasted(address: str, tmp_path: Path):
    _paste(_commands()[3], address, tmp_path)
    with Image.open(tmp_path / "patterns.png") as grid:
        assert grid.format == "PNG"
        assert grid.width == 8 * 96 + 7 * 5


def test_answer_is_a_result_when_the_other_commands_are_pasted(address: str, tmp_path: Path):
    _, form, posted_json, _ = _commands()
    result = json.loads(_paste(form, address, tmp_path / "form"))
    assert result["target"]["index"] == 3
    assert result["provenance"]["params"]["colormap"] == "viridis"
    assert len(result["values"]["map"]) == result["values"]["shape"][0]
    predictions = json.loads(_paste(posted_json, address, tmp_path / "json"))["predictions"]
    assert predictions[0]["label"] == "star"
    assert len(predictions) == 3


def test_viewer_comes_from_here_when_the_docs_are_opened(address: str):
    with urlopen(f"{address}/docs", timeout=10) as response:
        page = response.read().decode()
    assert set(re.findall(r"(?:src|href)=[\"'](https?:)?//", page)) == set()
    for asset in re.findall(r"(?:src|href)=[\"']([^\"']+)", page):
        with urlopen(urljoin(f"{address}/docs", asset), timeout=10) as response:
            assert len(response.read()) > 100
