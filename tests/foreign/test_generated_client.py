"""openapi-python-client reads the running service's document whole, and what it writes is typed and works."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from service.engine.methods import METHODS

ROOT = Path(__file__).parents[2]
FOREIGN = ROOT / ".venv-foreign" / "bin"
PICTURE = ROOT / "docs" / "images" / "scene.png"
PNG = b"\x89PNG\r\n\x1a\n"
# A program of the generated client: an attribute that has no type is an error of mypy's, and one of Python's.
READ_SHAPE = """
import json, sys
from convscope_client.models import GradCamResult, {model}

def read_shape(result: GradCamResult) -> list[int]:
    assert isinstance(result.values, {model}), result.values
    return result.values.shape

print(json.dumps(read_shape(GradCamResult.from_dict(json.load(sys.stdin)))))
"""


def run(program: str, *arguments: str | Path, cwd: Path, given: str | None = None) -> str:
    """Run a program of the generator's environment; return what it wrote."""
    # The generator looks for Ruff on the path.
    environment = os.environ | {"PATH": f"{FOREIGN}:{os.environ['PATH']}", "PYTHONPATH": str(cwd), "COLUMNS": "200"}
    command = [str(FOREIGN / program), *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=environment, input=given, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def document(address: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{address}/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def said(address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder with the client that was generated, and what the generator said of it."""
    folder = tmp_path_factory.mktemp("generated") / "client"
    options = ("--output-path", folder, "--meta", "setup", "--config", Path(__file__).with_name("generator.json"))
    words = run("openapi-python-client", "generate", "--url", f"{address}/openapi.json", *options, cwd=folder.parent)
    return folder, words


@pytest.fixture(scope="module")
def client(said: tuple[Path, str]) -> Path:
    return said[0]


def test_nothing_is_skipped_when_a_client_is_generated(said: tuple[Path, str], document: dict[str, Any]) -> None:
    folder, words = said
    # One line; every route and schema that it cannot read has a paragraph.
    assert words.strip() == f"Generating {folder}"
    routes = {operation["operationId"] for path in document["paths"].values() for operation in path.values()}
    written = {file.stem for file in folder.glob("convscope_client/api/*/*.py")} - {"__init__"}
    assert len(written) == len(routes)
    models = (folder / "convscope_client" / "models" / "__init__.py").read_text(encoding="utf-8")
    assert [name for name in document["components"]["schemas"] if f'"{name}",' not in models] == []


def test_body_and_answer_have_types_when_a_method_is_called(client: Path) -> None:
    for name, method in METHODS.items():
        file = name.replace("-", "_")
        text = (client / "convscope_client" / "api" / "visualizations" / f"{file}.py").read_text(encoding="utf-8")
        stem = "".join(part.capitalize() for part in name.split("-"))
        assert f"body: {stem}Form | {stem}Body" in text.replace(f"{stem}Body | {stem}Form", f"{stem}Form | {stem}Body")
        results = {f"{stem}JobResult"} if method.kind == "job" else {f"{stem}Result", f"{stem}JobResult"}
        assert all(f"import {result}\n" in text for result in results)


def test_types_are_sound_when_a_program_uses_the_client(client: Path) -> None:
    shutil.copy(Path(__file__).with_name("fetch.py"), client)
    assert "Success" in run("mypy", "--strict", "convscope_client", "fetch.py", cwd=client)


@pytest.fixture(scope="module")
def fetched(client: Path, address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("fetched")
    run("python", Path(__file__).with_name("fetch.py"), address, PICTURE, output, cwd=client)
    return output


def test_pictures_come_when_a_stranger_asks(fetched: Path) -> None:
    overlay = (fetched / "overlay.png").read_bytes()
    assert overlay.startswith(PNG)
    assert (fetched / "same.png").read_bytes() == overlay
    assert (fetched / "pattern.png").read_bytes().startswith(PNG)
    assert json.loads((fetched / "facts.json").read_text(encoding="utf-8"))["refused"] == "model_not_found"


def test_values_have_types_when_the_method_states_them(client: Path, fetched: Path) -> None:
    stated = METHODS["grad-cam"].value_models
    if not stated:
        pytest.skip("grad-cam states no models of its values")
    result = json.loads((fetched / "facts.json").read_text(encoding="utf-8"))["result"]
    model = next(model.__name__ for model in stated if result["values"].keys() <= model.model_fields.keys())
    (client / "read_shape.py").write_text(READ_SHAPE.format(model=model), encoding="utf-8")
    assert "Success" in run("mypy", "--strict", "read_shape.py", cwd=client)
    assert json.loads(run("python", "read_shape.py", cwd=client, given=json.dumps(result))) == [24, 24]
