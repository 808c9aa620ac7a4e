"""Datasets of pictures over HTTP: how they come, what a job makes of them, and what is refused at once."""

import base64
import io
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from PIL import Image

from service.engine.images.archive import Dataset, pack_dataset
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import Worker
from tests.contract.conftest import assert_problem, encoded, png
from tests.contract.workshop import Workshop, open_workshop

GRAD_CAM = "/v1/models/tiny/grad-cam"
LIMITS = {
    "max_image_bytes": 2**16,
    "dataset_bytes": 2**20,
    "dataset_images": 50,
    "dataset_unpacked_bytes": 2**20,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def workshop(data: Path, repository: Path) -> Iterator[Workshop]:
    with open_workshop(repository, data, limits=LIMITS) as opened:
        yield opened


def _picture(number: int) -> bytes:
    return png(Image.new("RGB", (20, 10 + number), (40 * number, 80, 120)))


def _zip(*files: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    pack_dataset(files, buffer)
    return buffer.getvalue()


ARCHIVE = _zip(("star/a.png", _picture(1)), ("star/broken.png", b"?"), ("b.png", _picture(2)))


def _finished(workshop: Workshop, response: Any) -> dict[str, Any]:
    assert response.status_code == 202, response.text
    workshop.work()
    job: dict[str, Any] = workshop.client.get(response.json()["links"]["self"]).json()
    assert job["state"] == "succeeded", job["error"]
    result: dict[str, Any] = job["result"]
    return result


def test_numbers_of_chunks_are_kept_until_the_reducer_has_them(workshop: Workshop, data: Path) -> None:
    archive = _zip(*((f"{number:02}.png", _picture(number % 40)) for number in range(40)))
    response = workshop.client.post(GRAD_CAM, files={"images": archive})
    job = response.json()["id"]
    execution, worker = workshop.execution(), Worker("workshop", "workshop-1")
    assert execution.work("cpu", worker)
    folder = data / "artifacts" / "results" / job
    (numbers,) = folder.rglob("values.zlib")
    (answer,) = workshop.store.answers(job)
    assert (answer.values, answer.values_file) == ({}, str(numbers.relative_to(data / "artifacts")))
    # While it runs a client sees the pictures there are.
    told = workshop.client.get(f"/v1/jobs/{job}").json()
    assert (told["state"], len(told["images"]), told["result"]) == ("running", 32, None)
    result = _finished(workshop, response)
    assert result["values"]["images"] == len(result["values"]["items"]) == len(list(folder.rglob("??.png"))) == 40
    assert list(folder.rglob("values.zlib")) == []
    assert len(workshop.store.answers(job)) == 1
    execution.release_inputs()


@pytest.mark.parametrize("ended_by", ["cancel", "failure"])
def test_pictures_alone_are_kept_of_a_job_that_ends_without_a_result(
    workshop: Workshop, data: Path, ended_by: str
) -> None:
    archive = _zip(*((f"{ended_by}-{number:02}.png", _picture(number % 40)) for number in range(40)))
    job = workshop.client.post(GRAD_CAM, files={"images": archive}).json()["id"]
    execution, worker = workshop.execution(), Worker("workshop", "workshop-1")
    assert execution.work("cpu", worker)
    folder = data / "artifacts" / "results" / job
    assert len(list(folder.rglob("values.zlib"))) == 1
    if ended_by == "cancel":
        workshop.client.post(f"/v1/jobs/{job}/cancel")
    else:
        assert replace(execution, methods={}).work("cpu", worker)
    told = workshop.client.get(f"/v1/jobs/{job}").json()
    assert (told["state"], len(told["images"])) == ("cancelled" if ended_by == "cancel" else "failed", 32)
    assert list(folder.rglob("values.zlib")) == []
    picture = workshop.client.get(told["images"][31]["href"])
    assert (picture.status_code, picture.headers["ETag"]) == (200, f'"{told["images"][31]["sha256"]}"')
    execution.release_inputs()


def test_zip_becomes_a_job_with_a_picture_for_each_image(workshop: Workshop):
    response = workshop.client.post(GRAD_CAM, files={"images": ("any.bin", ARCHIVE)}, data={"class_index": "2"})
    assert response.json()["progress"] == {"done": 0, "total": 3, "unit": "images", "fraction": 0}
    result = _finished(workshop, response)
    assert [item["name"] for item in result["values"]["items"]] == ["b.png", "star/a.png"]
    assert [item["label"] for item in result["values"]["items"]] == [None, "star"]
    assert [item["target"]["index"] for item in result["values"]["items"]] == [2, 2]
    assert [(item["name"], item["code"]) for item in result["values"]["skipped"]] == [
        ("star/broken.png", "image_invalid")
    ]
    assert {"b", "star--a"} <= {image["name"] for image in result["images"]}
    for image in result["images"]:
        assert workshop.client.get(image["href"]).content.startswith(b"\x89PNG")


def test_pictures_come_one_by_one_when_they_are_fields_of_a_form(workshop: Workshop):
    files = [
        ("images", (name, _picture(number))) for number, name in enumerate(("c.png", "c.png", "noname", "d/e.jpg"))
    ]
    result = _finished(workshop, workshop.client.post(GRAD_CAM, files=files))
    assert [item["name"] for item in result["values"]["items"]] == ["c-2.png", "c.png", "d/e.jpg", "noname.png"]


def test_pictures_come_in_json_when_they_are_few(workshop: Workshop):
    several = {"images": [encoded(_picture(1)), "data:image/png;base64," + encoded(_picture(2))]}
    assert len(_finished(workshop, workshop.client.post(GRAD_CAM, json=several))["values"]["items"]) == 2
    packed = {"images": encoded(ARCHIVE), "top": 1}
    assert len(_finished(workshop, workshop.client.post(GRAD_CAM, json=packed))["values"]["items"]) == 2


def test_dataset_is_found_by_name_when_it_is_a_folder_of_the_service(workshop: Workshop, data: Path):
    folder = data / "datasets" / "mine" / "cross"
    folder.mkdir(parents=True)
    (folder / "one.png").write_bytes(_picture(3))
    (folder / "notes.txt").write_text("no picture")
    result = _finished(workshop, workshop.client.post(GRAD_CAM, json={"dataset": "mine"}))
    assert [(item["name"], item["label"]) for item in result["values"]["items"]] == [("cross/one.png", "cross")]


def test_built_in_dataset_is_there_when_nobody_made_one(workshop: Workshop):
    response = workshop.client.post(GRAD_CAM, json={"dataset": "shapes"})
    assert_problem(response, 413, "dataset_too_large", "at most")


def test_datasets_are_listed_when_a_client_asks(workshop: Workshop, data: Path):
    (data / "datasets" / "listed").mkdir(parents=True)
    (data / "datasets" / ".hidden").mkdir()
    names = workshop.client.get("/v1/datasets").json()["datasets"]
    assert {"glyphs", "listed", "shapes"} <= set(names)
    assert names == sorted(names)
    assert ".hidden" not in names


def test_job_is_the_same_when_the_same_dataset_is_sent_again(workshop: Workshop):
    first, second = (
        workshop.client.post(GRAD_CAM, files={"images": ARCHIVE}, data={"top": "2"}).json() for _ in range(2)
    )
    other = workshop.client.post(GRAD_CAM, files={"images": _zip(("b.png", _picture(2)))}, data={"top": "2"}).json()
    assert first["id"] == second["id"] != other["id"]


def test_dataset_is_opened_once_when_one_worker_computes_all_its_slices(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
):
    workshop.work()  # what other tests have left
    open_dataset, opened = Artifacts.open_dataset, []

    def watched(artifacts: Artifacts, sha256: str) -> IO[bytes]:
        opened.append(open_dataset(artifacts, sha256))
        return opened[-1]

    monkeypatch.setattr(Artifacts, "open_dataset", watched)
    archive = _zip(*((f"{number:02}.png", _picture(number % 5)) for number in range(40)))

    workshop.client.post(GRAD_CAM, files={"images": ("any.zip", archive)})

    assert workshop.work() == 3
    assert len(opened) == 1
    assert opened[0].closed


def test_broken_dataset_is_let_go_when_reading_it_fails_unexpectedly(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
):
    workshop.work()  # what other tests have left
    read, handles = Dataset.read, set()

    def broken_once(images: Dataset, index: int, max_bytes: int) -> bytes:
        handles.add(images)
        if len(handles) == 1:
            raise RuntimeError("the archive lost its place")
        return read(images, index, max_bytes)

    monkeypatch.setattr(Dataset, "read", broken_once)
    archive = _zip(*((f"{number:02}.png", _picture(number % 4)) for number in range(6)))
    first, second = (
        workshop.client.post(GRAD_CAM, files={"images": ("any.zip", archive)}, data={"top": top}).json()["id"]
        for top in ("1", "2")
    )

    workshop.work()

    assert workshop.client.get(f"/v1/jobs/{first}").json()["error"]["code"] == "internal_error"
    assert workshop.client.get(f"/v1/jobs/{second}").json()["state"] == "succeeded"


def test_input_stays_while_its_job_does(workshop: Workshop):
    job = workshop.client.post(GRAD_CAM, files={"images": _zip(("only.png", _picture(4)))}).json()
    kept = workshop.store.get(job["id"]).record.request.images
    assert kept in workshop.store.inputs()
    workshop.artifacts.collect(workshop.store.known, workshop.store.inputs, older_than_seconds=0)
    workshop.artifacts.open_dataset(kept).close()
    workshop.client.delete(f"/v1/jobs/{job['id']}")
    assert kept not in workshop.store.inputs()


@pytest.mark.parametrize(
    ("files", "status", "code", "words"),
    [
        ({"images": b"PK\x03\x04 no archive"}, 422, "dataset_invalid", "ZIP"),
        ({"images": _zip()}, 422, "dataset_empty", "no picture"),
        ({"images": _zip(("readme.txt", b"hello"))}, 422, "dataset_empty", "no picture"),
        ({"images": _zip(("../a.png", _picture(1)))}, 422, "dataset_invalid", "leads out"),
        ({"images": _zip(*((f"{n}.png", b"x") for n in range(51)))}, 413, "dataset_too_large", "50"),
        ({"images": ARCHIVE, "image": _picture(1)}, 422, "dataset_invalid", "not several"),
    ],
)
def test_dataset_is_refused_at_once_when_it_is_bad(
    workshop: Workshop, files: dict[str, bytes], status: int, code: str, words: str
):
    assert_problem(workshop.client.post(GRAD_CAM, files=files), status, code, words)


def test_bomb_is_refused_before_a_picture_is_read(workshop: Workshop):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(f"{number}.png", bytes(10**6))
    assert len(buffer.getvalue()) < 2**16
    response = workshop.client.post(GRAD_CAM, files={"images": buffer.getvalue()})
    assert_problem(response, 413, "dataset_too_large", "together")


def test_body_is_refused_when_it_is_larger_than_a_dataset_may_be(workshop: Workshop):
    response = workshop.client.post(GRAD_CAM, files={"images": _zip(("a.png", bytes(2**21 + 2**17)))})
    assert_problem(response, 413, "body_too_large")
    # As large a dataset is taken, while a single image is not.
    large = _zip(*((f"{number}.png", bytes(2**14)) for number in range(40)))
    response = workshop.client.post(GRAD_CAM, files={"images": large})
    assert response.status_code == 202
    workshop.client.delete(f"/v1/jobs/{response.json()['id']}")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"dataset": "none"}, "dataset_not_found"),
        ({"dataset": "../mine"}, "dataset_not_found"),
        ({"dataset": 3}, "dataset_not_found"),
        ({"images": []}, "dataset_invalid"),
        ({"images": [1]}, "dataset_invalid"),
        ({"images": ["%%%"]}, "image_invalid"),
        ({"images": base64.b64encode(b"PK\x03\x04").decode()}, "dataset_invalid"),
    ],
)
def test_dataset_is_refused_when_json_names_none(workshop: Workshop, sent: dict[str, Any], code: str):
    assert_problem(workshop.client.post(GRAD_CAM, json=sent), 422, code)


def test_parameter_is_unknown_when_the_method_takes_no_pictures(workshop: Workshop):
    assert_problem(
        workshop.client.post("/v1/models/tiny/filters", json={"dataset": "shapes"}), 422, "invalid_parameters"
    )
    response = workshop.client.post("/v1/models/tiny/filters", files={"images": ARCHIVE})
    assert_problem(response, 422, "invalid_parameters")


def test_job_fails_with_a_reason_when_no_picture_of_the_dataset_can_be_read(workshop: Workshop):
    response = workshop.client.post(GRAD_CAM, files={"images": _zip(("a.png", b"?"))})
    workshop.work()
    job = workshop.client.get(response.json()["links"]["self"]).json()
    assert (job["state"], job["error"]["code"]) == ("failed", "dataset_empty")


def _mask(*, width: int, height: int) -> bytes:
    mask = Image.new("L", (width, height), 0)
    mask.paste(255, (0, 0, width // 2, height))
    return png(mask)


def test_heat_maps_are_held_against_masks_and_folders_when_the_dataset_has_them(workshop: Workshop):
    files = {
        "star/a.png": _picture(1),
        "cross/a.png": _picture(2),
        "elsewhere/a.png": _picture(3),
        "masks/star/a.png": _mask(width=20, height=11),
    }
    sent = {"images": _zip(*files.items())}
    result = _finished(workshop, workshop.client.post(GRAD_CAM, files=sent, data={"class_index": "2"}))
    values = result["values"]
    items = {item["name"]: item for item in values["items"]}
    assert set(items) == {"star/a.png", "cross/a.png", "elsewhere/a.png"}
    assert items["star/a.png"]["ground_truth"] == {"index": 2, "label": "star"}
    assert items["elsewhere/a.png"]["ground_truth"] is items["elsewhere/a.png"]["right"] is None
    for name in ("star/a.png", "cross/a.png"):
        item = items[name]
        assert item["right"] == (item["predictions"][0]["index"] == item["ground_truth"]["index"])
    found = items["star/a.png"]["object"]
    assert (found["file"], found["area"]) == ("masks/star/a.png", 0.5)
    assert values["object"] == {"images": 1} | {name: float(found[name]) for name in ("energy", "pointing", "area")}
    assert values["with_ground_truth"] == 2
    means = [image for image in result["images"] if image["name"].startswith("mean-")]
    assert result["images"][: len(means)] == means
    told = [values["right"]["picture"], values["wrong"]["picture"], *(group["picture"] for group in values["classes"])]
    assert [image["name"] for image in means] == [name for name in told if name]
    for image in means:
        assert max(image["width"], image["height"]) == 256
        assert workshop.client.get(image["href"]).content.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("star/a.xml", b"<annotation>", "'star/a.xml' is no well-formed XML"),
        ("star/a.xml", b'<!DOCTYPE a [<!ENTITY a "aa">]><annotation>&a;</annotation>', "DOCTYPE"),
        ("instances.json", b'{"images": [', "'instances.json' is no JSON"),
        ("instances.json", b"[" * 100_000, "'instances.json' is no JSON"),
        (
            "instances.json",
            b'{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "bbox": ["x", 0, 1, 1]}]}',
            "annotations/0/bbox/0",
        ),
    ],
)
def test_dataset_is_refused_at_once_when_an_annotation_cannot_be_read(
    workshop: Workshop, name: str, content: bytes, words: str
):
    sent = {"images": _zip(("star/a.png", _picture(1)), (name, content))}
    problem = assert_problem(workshop.client.post(GRAD_CAM, files=sent), 422, "annotation_invalid", words)
    assert problem["errors"][0]["pointer"] == "#/images"
