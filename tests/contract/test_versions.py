"""Versions compared over HTTP: which are meant, what a job makes of them, and what is refused."""

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.jobs import MAX_VERSIONS
from service.engine.images.archive import pack_dataset
from tests.contract.conftest import assert_problem
from tests.contract.workshop import Workshop, open_workshop

GRAD_CAM = "/v1/models/twice/grad-cam"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Workshop]:
    models = tmp_path_factory.mktemp("models")
    for version in ("1", "2", "10"):
        shutil.copytree(repository / "tiny" / "1", models / "twice" / version)
    shutil.copytree(repository / "tiny", models / "tiny")
    for number in range(1, MAX_VERSIONS + 2):
        shutil.copytree(repository / "tiny" / "1", models / "many" / str(number))
    with open_workshop(models, tmp_path_factory.mktemp("data")) as opened:
        yield opened


def _compared(workshop: Workshop, picture: bytes, versions: Any, method: str = "grad-cam") -> dict[str, Any]:
    files = {"image": picture} if method == "grad-cam" else {}
    response = workshop.client.post(f"/v1/models/twice/{method}", files=files | {"versions": (None, versions)})
    assert response.status_code == 202, response.text
    assert response.json()["progress"]["unit"] == "versions"
    workshop.work()
    job: dict[str, Any] = workshop.client.get(response.json()["links"]["self"]).json()
    assert job["state"] == "succeeded", job["error"]
    result: dict[str, Any] = job["result"]
    return result


def test_versions_lie_side_by_side_when_all_are_asked_for(workshop: Workshop, picture: bytes):
    result = _compared(workshop, picture, "all")
    assert [entry["version"] for entry in result["values"]["versions"]] == ["1", "2", "10"]
    assert result["values"]["min_correlation"] == pytest.approx(1)
    assert result["images"][0]["name"] == "versions"
    assert {"v1--overlay", "v2--overlay", "v10--overlay"} < {image["name"] for image in result["images"]}
    for image in result["images"]:
        assert workshop.client.get(image["href"]).content.startswith(b"\x89PNG")


def test_order_is_the_clients_when_it_names_versions(workshop: Workshop, picture: bytes):
    result = _compared(workshop, picture, "10, 1", "filters")
    assert [entry["version"] for entry in result["values"]["versions"]] == ["10", "1"]


def test_each_picture_is_compared_when_a_dataset_is_looked_at(workshop: Workshop):
    file = io.BytesIO()
    photos = np.random.default_rng(0).integers(0, 256, (18, 24, 32, 3), np.uint8)
    pack_dataset([(f"{number:02}.png", _png(photo)) for number, photo in enumerate(photos)], file)
    files = {"images": ("photos.zip", file.getvalue()), "versions": (None, "all")}
    response = workshop.client.post(GRAD_CAM, files=files)
    assert response.json()["progress"] == {"done": 0, "total": 18, "unit": "images", "fraction": 0.0}
    workshop.work()
    job = workshop.client.get(response.json()["links"]["self"]).json()
    assert job["state"] == "succeeded", job["error"]
    values = job["result"]["values"]
    assert [(pair["compared"] + pair["left_out"], pair["without"]) for pair in values["neighbours"]] == [(18, 0)] * 2
    assert [entry["values"]["images"] for entry in values["versions"]] == [18] * 3
    names = [image["name"] for image in job["result"]["images"]]
    assert names[0] == "versions"
    assert {f"v{version}--{number:02}" for version in (1, 2, 10) for number in range(18)} < set(names)
    assert len(names) == len(set(names))
    assert workshop.client.get(job["result"]["images"][0]["href"]).content.startswith(b"\x89PNG")


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "versions", "code"),
    [
        (GRAD_CAM, "1", "versions_invalid"),
        (GRAD_CAM, "", "versions_invalid"),
        (GRAD_CAM, [], "versions_invalid"),
        (GRAD_CAM, {"1": 2}, "version_not_found"),
        (GRAD_CAM, "1,1", "versions_invalid"),
        ("/v1/models/twice/versions/1/grad-cam", "all", "versions_invalid"),
        ("/v1/models/tiny/grad-cam", "all", "versions_invalid"),
        (GRAD_CAM, [1, 3], "version_not_found"),
    ],
)
def test_versions_are_refused_when_they_are_none(workshop: Workshop, path: str, versions: Any, code: str):
    response = workshop.client.post(path, json={"versions": versions, "image": ""})
    status = 404 if code == "version_not_found" else 422
    if versions == {"1": 2}:
        code, status = "versions_invalid", 422
    assert_problem(response, status, code)


def test_no_version_is_loaded_when_there_are_more_than_one_job_compares(workshop: Workshop, picture: bytes):
    response = workshop.client.post("/v1/models/many/grad-cam", files={"image": picture, "versions": (None, "all")})
    assert_problem(response, 422, "versions_invalid", "51 versions were named: 2 to 50 are compared")
    for version in ("1", "2"):
        looked = workshop.client.get(f"/v1/models/many/versions/{version}/layers")
        assert_problem(looked, 409, "model_not_loaded")
