"""Model files whose names forge log lines, command terminals or fill listings, in the real service."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx2
from click.testing import CliRunner

from schemas.sentences import MAX_SENTENCE
from service.cli import main
from tests.server import ROOT, Server
from tests.unit.test_sentences import FORGED

# A line of the log, or one that belongs to the line before.
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ [\w.]+ |    ")


def _put(root: Path, name: str, layer: object) -> Path:
    file = root / name / "1" / "model.keras"
    file.parent.mkdir(parents=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(
            "config.json", json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}})
        )
    return file


def _lambda(name: str) -> dict[str, object]:
    return {"module": "keras.layers", "class_name": "Lambda", "config": {"name": name}}


def test_names_stay_words_when_files_choose_them(start_server: Callable[..., Server], tmp_path: Path) -> None:
    _put(tmp_path, "forged", _lambda(FORGED))
    _put(tmp_path, "long", _lambda("x" * 5_000_000))
    _put(tmp_path, "class", {"module": "evil" + FORGED, "class_name": FORGED * 100, "config": {}})
    server = start_server(CONVSCOPE_MODELS=str(tmp_path))
    server.wait_until_ready()
    for name in ("forged", "long", "class"):
        problem = httpx2.post(f"{server.url}/v1/models/{name}/load", timeout=60).json()
        assert problem["code"] == "model_failed"
        assert problem["detail"].isprintable()
        assert len(problem["detail"]) <= MAX_SENTENCE
        described = httpx2.get(f"{server.url}/v1/models/{name}", timeout=60).json()
        assert described["reason"] == described["detail"] == problem["detail"]
    listing = httpx2.get(f"{server.url}/v1/models", timeout=60)
    reasons = {item["name"]: item["reason"] for item in listing.json()["details"] if item["reason"]}
    assert set(reasons) == {"forged", "long", "class"}
    assert all(reason.isprintable() and len(reason) <= MAX_SENTENCE for reason in reasons.values())
    httpx2.get(f"{server.url}/v1/models/a%0d%0ab%1b[31m", timeout=60)
    lines = server.log().removesuffix("\n").split("\n")
    assert any("model forged version 1 failed" in line for line in lines)
    assert [line[:200] for line in lines if not (LINE.match(line) and line.isprintable() and len(line) <= 2000)] == []


_WORKER = """
import logging
import workers.lifecycle
from workers.app import app
app.log.setup_logging_subsystem(loglevel="INFO")
for name in ("service.jobs", "celery.task.work"):
    logging.getLogger(name).warning("chunk of %s", "conv\\n[2030-01-01] forged\\x1b[2J")
"""


def test_worker_writes_as_the_service_does(tmp_path: Path) -> None:
    environment = os.environ | {"CONVSCOPE_REDIS_URL": "redis://127.0.0.1:9/0", "CONVSCOPE_DATA": str(tmp_path)}
    command = [sys.executable, "-c", _WORKER]
    lines = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stderr
    assert [line.partition("] ")[2] for line in lines.splitlines()] == [
        r"chunk of conv\n[2030-01-01] forged\x1b[2J"
    ] * 2


def test_terminal_is_told_nothing_but_text_when_a_file_is_looked_into(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["doctor", str(_put(tmp_path, "forged", _lambda(FORGED)))])
    assert result.exit_code == 3
    assert len(result.output.splitlines()) == 1
    assert result.output.replace("\n", "").isprintable()
