"""The README's commands, as a newcomer pastes them, against a real server process."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
CONVSCOPE = Path(sys.executable).with_name("convscope")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service with its defaults, but for the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [CONVSCOPE, "serve"], env={"CONVSCOPE_PORT": str(port)}, stdout=stream, stderr=stream
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/readyz", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            code = process.wait(30)
    # uvicorn drains, then ends by the signal it was sent.
    assert code in (0, -signal.SIGTERM), log.read_text()
    assert " ERROR " not in log.read_text()


def _wait_until_ready(url: str, log: Path) -> None:
    for _ in range(600):
        try:
            with urlopen(url, timeout=5) as response:
                assert response.status == 200
                return
        except (URLError, ConnectionError):
            time.sleep(0.2)
    pytest.fail(f"not ready after two minutes: {log.read_text()}")


def _commands() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    return [block for block in blocks if "curl" in block]


def _paste(command: str, address: str, folder: Path) -> bytes:
    shutil.copytree(ROOT / "docs" / "images", folder / "docs" / "images")
    pasted = command.replace("http://127.0.0.1:8000", address)
    return subprocess.run(["bash", "-ec", pasted], cwd=folder, check=True, capture_output=True, timeout=60).stdout


def test_picture_is_a_heat_map_when_the_first_command_is_pasted(address: str, tmp_path: Path):
    _paste(_commands()[0], address, tmp_path)
    with Image.open(tmp_path / "heat-map.png") as heatmap, Image.open(ROOT / "docs" / "images" / "scene.png") as scene:
        assert heatmap.size == scene.size
        assert heatmap.tobytes() != scene.convert("RGB").tobytes()


def test_answer_is_a_result_when_the_other_commands_are_pasted(address: str, tmp_path: Path):
    _, form, posted_json = _commands()
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
        with urlopen(address + asset, timeout=10) as response:
            assert len(response.read()) > 100
