"""`convscope doctor` on real files, and the recipe for a new method that ARCHITECTURE.md gives."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from schemas.values.base import Values
from service.app import create_app
from service.cli import main, make_program
from service.cli.backends import open_backend
from service.composition.models import BUILT_IN_MODELS
from service.engine.arrays import Array
from service.engine.drawing.visuals import Sheets, Tiles
from service.engine.kinds.context import Context
from service.engine.kinds.method import ImageMethod
from service.engine.kinds.requirements import refuse_without_image
from service.engine.methods import METHODS
from service.engine.methods.layers.activations import ActivationsParams
from service.engine.ports.probe import Probe
from service.settings import Settings

SHAPES = BUILT_IN_MODELS / "shapes" / "1" / "model.keras"


def _doctor(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["doctor", *arguments])
    return result.exit_code, result.output


def _open_service(data: Path) -> TestClient:
    """With the built-in models; no job is sent."""
    return TestClient(create_app(Settings(data=data, worker={"warm": False})), base_url="http://127.0.0.1")


def test_doctor_tells_all_when_the_file_is_sound():
    code, report = _doctor(str(SHAPES))
    assert code == 0
    for line in ("365,338 parameters", "none were needed", "default_layer  conv7", "grad-cam: works", "conv1 (Conv2D)"):
        assert line in report
    assert "stated" in report  # the preprocessing, by the model.toml one folder above


def test_doctor_answers_as_the_api_does_when_json_is_wanted(tmp_path: Path):
    detail = json.loads(_doctor(str(SHAPES), "--json")[1])
    with _open_service(tmp_path) as client:
        assert client.post("/v1/models/shapes/load").status_code == 200
        described = client.get("/v1/models/shapes").json()
    for member in ("digest", "classes", "findings", "default_layer", "parameters", "methods"):
        assert detail[member] == described[member]


def test_layers_are_a_tree_when_the_network_is_nested(test_data: Path):
    code, report = _doctor(str(test_data / "models" / "teachable_machine_catdog_nested_mnv2.keras"))
    assert code == 0
    assert "sequential_1/\n  model1/\n    1 Conv1_pad" in report


def test_doctor_refuses_with_the_reason_when_the_file_carries_code(test_data: Path):
    code, report = _doctor(str(test_data / "models" / "lambda_benign_security_test.keras"))
    assert code == 3
    assert "Lambda" in report


class BrightnessValues(Values):
    """How bright the picture is."""

    mean: float


def _brightness(_: Probe, image: Array, __: ActivationsParams, ___: Context) -> Sheets:
    gray = np.asarray(image.mean(axis=-1, keepdims=True), np.float32)
    return Sheets(
        (Tiles("brightness", "image", np.moveaxis(gray, -1, 0), "bounds"),), BrightnessValues(mean=float(gray.mean()))
    )


BRIGHTNESS = ImageMethod(
    name="brightness",
    title="Brightness of the picture",
    description="How bright the network sees each pixel.",
    params=ActivationsParams,
    values=(BrightnessValues,),
    compute=_brightness,
    refuse=refuse_without_image,
)


def test_method_is_everywhere_when_it_has_its_line_in_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setitem(METHODS, "brightness", BRIGHTNESS)
    picture = BUILT_IN_MODELS.parents[2] / "docs" / "images" / "scene.png"
    with _open_service(tmp_path / "data") as client:
        assert "/v1/models/{model}/brightness" in client.get("/openapi.json").json()["paths"]
        assert "brightness" in [method["name"] for method in client.get("/v1/methods").json()["methods"]]
        answer = client.post("/v1/models/shapes/brightness", files={"image": picture.read_bytes()})
    assert answer.json()["images"][0]["name"] == "brightness"
    program = make_program(METHODS.values(), open_backend)
    result = CliRunner().invoke(program, ["brightness", str(picture), "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "scene-brightness-brightness.png").is_file()
