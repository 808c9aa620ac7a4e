"""`fit` in model.toml over HTTP, on a real network: the same numbers as for a picture cut or padded by hand."""

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tests.contract.conftest import TINY_CONFIG, MakeClient, add_model, assert_problem, look_at_models, png

# The network's input is 32 x 32: each side is three times that, or half of it.
SIZES = [(96, 48), (48, 96)]
WINDOWS = {(96, 48): [0, 0.25, 1, 0.75], (48, 96): [0.25, 0, 0.75, 1]}
BORDERS = {(96, 48): [-0.5, 0, 1.5, 1], (48, 96): [0, -0.5, 1, 1.5]}


@pytest.fixture(scope="module")
def client(
    make_client: MakeClient, tmp_path_factory: pytest.TempPathFactory, keras_file: Callable[..., Path]
) -> TestClient:
    root = tmp_path_factory.mktemp("fits")
    for fit in ("stretch", "crop", "pad", "squeeze"):
        add_model(root, fit, keras_file("tiny"), f'{TINY_CONFIG}fit = "{fit}"\n')
    return make_client(root)


def _picture(size: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(size[0]).integers(0, 256, (6, 6, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def _cut(picture: Image.Image) -> Image.Image:
    left, top = (picture.width - 48) // 2, (picture.height - 48) // 2
    return picture.crop((left, top, left + 48, top + 48))


def _pad(picture: Image.Image) -> Image.Image:
    small = picture.resize((picture.width // 3, picture.height // 3), Image.Resampling.BILINEAR)
    padded = Image.new("RGB", (32, 32))
    padded.paste(small, ((32 - small.width) // 2, (32 - small.height) // 2))
    return padded


def _ask(client: TestClient, model: str, picture: Image.Image, **params: str) -> dict[str, Any]:
    answer = client.post(f"/v1/models/{model}/grad-cam", files={"image": png(picture)}, data={"values": "raw"} | params)
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


def _open(result: dict[str, Any], name: str) -> Image.Image:
    (data,) = (image["data"] for image in result["images"] if image["name"] == name)
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("fit", "by_hand"), [("crop", _cut), ("pad", _pad)])
def test_numbers_are_those_of_the_picture_made_by_hand(
    client: TestClient, fit: str, by_hand: Callable[[Image.Image], Image.Image], size: tuple[int, int]
) -> None:
    picture = _picture(size)
    found, expected = _ask(client, fit, picture), _ask(client, "stretch", by_hand(picture))
    assert found["values"]["map"] == expected["values"]["map"]
    assert found["predictions"] == expected["predictions"]
    assert _open(found, "overlay").size == size
    np.testing.assert_array_equal(_open(found, "input"), _open(expected, "input"))
    assert found["values"]["window"] == (WINDOWS if fit == "crop" else BORDERS)[size]
    stretched = _ask(client, "stretch", picture)
    assert stretched["predictions"] != found["predictions"]
    assert "window" not in stretched["values"]


def test_fit_is_told_when_the_model_is_described(client: TestClient) -> None:
    for fit in ("stretch", "crop", "pad"):
        described = client.get(f"/v1/models/{fit}").json()
        assert described["input"]["fit"] == fit
        (finding,) = (finding for finding in described["findings"] if finding["subject"] == "fit")
        assert (finding["value"], finding["sure"]) == (fit, "stated")
    assert _ask(client, "pad", _picture((96, 48)))["provenance"]["plan"]["fit"] == "pad"
    assert_problem(client.get("/v1/models/squeeze"), 503, "model_failed", "'fit'", "'crop'")


def test_answer_is_not_kept_when_fit_changes(
    make_client: MakeClient, tmp_path: Path, keras_file: Callable[..., Path]
) -> None:
    add_model(tmp_path, "changing", keras_file("tiny"), TINY_CONFIG)
    client, picture = make_client(tmp_path), _picture((96, 48))
    before = _ask(client, "changing", picture)
    (tmp_path / "changing" / "model.toml").write_text(f'{TINY_CONFIG}fit = "crop"\n', encoding="utf-8")
    look_at_models(client)
    after = _ask(client, "changing", picture)
    assert (before["provenance"]["plan"]["fit"], after["provenance"]["plan"]["fit"]) == ("stretch", "crop")
    assert after["predictions"] != before["predictions"]
