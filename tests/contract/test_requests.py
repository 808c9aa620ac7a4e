"""Good requests: every way of asking gives the same answer, and the answer holds what the documents promise."""

import base64
import hashlib
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from starlette.testclient import TestClient

from service.api.problem_types import PROBLEMS
from service.composition.models import BUILT_IN_MODELS
from service.engine.methods import METHODS
from service.keras.cell.file_access import can_bound_files
from service.keras.cell.system_calls import can_filter_calls
from tests.contract.conftest import LABELS, MakeClient, add_model, assert_problem, look_at_models

GRAD_CAM = "/v1/models/tiny/grad-cam"
PREDICTIONS = "/v1/models/tiny/predictions"
# A guard against hanging; no answer is expected to take long.
LIMIT_SECONDS = 60.0
JOBS = {name for name, method in METHODS.items() if method.kind == "job"}
PNG = {"Accept": "image/png"}


def _ask(client: TestClient, picture: bytes, path: str = GRAD_CAM, **params: str) -> dict[str, Any]:
    response = client.post(path, files={"image": picture}, data=params)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def _images(result: dict[str, Any]) -> dict[str, bytes]:
    return {image["name"]: base64.b64decode(image["data"], validate=True) for image in result["images"]}


def _pixels(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _steady(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name != "timings_seconds"}


# ---- ways of asking


def test_answer_is_the_same_when_asked_by_form_or_json(client: TestClient, picture: bytes) -> None:
    text = base64.b64encode(picture).decode()
    params = {"layer": "conv1", "class_index": 2, "opacity": 0.7, "colormap": "jet", "top": 2, "values": "raw"}
    form = _ask(client, picture, **{name: str(value) for name, value in params.items()})
    for image in (text, f"data:image/png;base64,{text}", "\n".join(re.findall(".{1,76}", text))):
        answer = client.post(GRAD_CAM, json={"image": image, **params})
        assert answer.status_code == 200
        assert _steady(answer.json()) == _steady(form)
    in_a_field = client.post(GRAD_CAM, files={"image": (None, text)}, data={k: str(v) for k, v in params.items()})
    assert _steady(in_a_field.json()) == _steady(form)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON", "application/json"])
def test_json_is_understood_when_its_media_type_is_written_otherwise(
    client: TestClient, picture: bytes, content_type: str
) -> None:
    body = b'{"layer": "conv1", "image": "%s"}' % base64.b64encode(picture)
    response = client.post(GRAD_CAM, content=body, headers={"Content-Type": content_type})
    assert response.json()["layer"] == "conv1"


def test_file_name_and_type_do_not_matter_when_the_bytes_are_a_picture(client: TestClient, picture: bytes) -> None:
    expected = _steady(_ask(client, picture))
    for name, media_type in (("cat.txt", "text/plain"), ("../../etc/passwd", "x/y"), ("k\u00e4tze.jpg", "image/jpeg")):
        response = client.post(GRAD_CAM, files={"image": (name, picture, media_type)})
        assert _steady(response.json()) == expected


def test_raw_picture_is_the_first_image_when_png_is_wanted(client: TestClient, picture: bytes) -> None:
    result = _ask(client, picture)
    response = client.post(GRAD_CAM, files={"image": picture}, headers=PNG)
    assert response.headers["content-type"] == "image/png"
    assert response.content == _images(result)[result["images"][0]["name"]]
    assert result["images"][0]["name"] == "overlay"


def test_answer_has_identical_bytes_when_asked_twice(client: TestClient, picture: bytes) -> None:
    assert _steady(_ask(client, picture)) == _steady(_ask(client, picture))
    first, second = (client.post(GRAD_CAM, files={"image": picture}, headers=PNG).content for _ in range(2))
    assert first == second


def test_answer_is_the_same_when_the_same_picture_has_another_format(client: TestClient, picture: bytes) -> None:
    result = _ask(client, picture)
    for kind, options in (("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(picture)).save(buffer, kind, **options)
        assert _images(_ask(client, buffer.getvalue())) == _images(result), kind


# ---- parameters reach the method


def test_layer_reaches_the_method_when_it_comes_in_json(client: TestClient, picture: bytes) -> None:
    text = base64.b64encode(picture).decode()
    answers = {
        layer: client.post(GRAD_CAM, json={"image": text, "layer": layer}).json() for layer in ("conv1", "pool1")
    }
    assert answers["conv1"]["layer"] == "conv1"
    assert answers["conv1"]["values"]["shape"] == [32, 32]
    assert answers["pool1"]["values"]["shape"] == [16, 16]
    assert all(image["layer"] in (layer, None) for layer in answers for image in answers[layer]["images"])


def test_default_layer_is_the_last_maps_when_none_is_named(client: TestClient, picture: bytes) -> None:
    assert _ask(client, picture)["layer"] == client.get("/v1/models/tiny").json()["default_layer"] == "conv2"


def test_class_is_the_best_when_none_is_named(client: TestClient, picture: bytes) -> None:
    result = _ask(client, picture)
    assert result["target"]["index"] == result["predictions"][0]["index"]
    assert result["target"]["score"] == result["predictions"][0]["score"]
    other = _ask(client, picture, class_index=str((result["target"]["index"] + 1) % 4))
    assert other["target"]["index"] != result["target"]["index"]
    assert other["predictions"] == result["predictions"]
    assert _images(other)["heatmap"] != _images(result)["heatmap"]


def test_parameters_stand_in_provenance_when_given_or_not(client: TestClient, picture: bytes) -> None:
    params = _ask(client, picture, opacity="0.25", class_index="1")["provenance"]["params"]
    assert params == {
        "layer": "conv2",
        "class_index": 1,
        "colormap": "inferno",
        "opacity": 0.25,
        "scale": "per_image",
        "scale_max": None,
        "values": "none",
        "top": 5,
    }


@pytest.mark.parametrize("top", [1, 3, 4, 1000])
def test_predictions_are_as_many_as_asked_when_there_are_enough(client: TestClient, picture: bytes, top: int) -> None:
    for path in (GRAD_CAM, PREDICTIONS):
        predictions = _ask(client, picture, path, top=str(top))["predictions"]
        assert len(predictions) == min(top, 4)
        scores = [item["score"] for item in predictions]
        assert scores == sorted(scores, reverse=True)


def test_predictions_are_two_when_the_network_has_one_sigmoid(client: TestClient, picture: bytes) -> None:
    predictions = _ask(client, picture, "/v1/models/gray/predictions")["predictions"]
    assert {(item["index"], item["label"]) for item in predictions} == {(0, "cat"), (1, "dog")}
    assert sum(item["score"] for item in predictions) == pytest.approx(1, abs=1e-6)
    for index in (0, 1):
        assert _ask(client, picture, "/v1/models/gray/grad-cam", class_index=str(index))["target"]["index"] == index


def test_raw_map_is_unscaled_when_asked_for(client: TestClient, picture: bytes) -> None:
    values = _ask(client, picture, values="raw")["values"]
    raw = np.asarray(values["map"])
    assert list(raw.shape) == values["shape"] == [16, 16]
    assert raw.max() == pytest.approx(values["max"])
    assert raw.min() == pytest.approx(values["min"])
    assert "map" not in _ask(client, picture)["values"]


# ---- pictures


def test_heatmap_is_a_palette_png_when_drawn(client: TestClient, picture: bytes) -> None:
    heatmap = Image.open(io.BytesIO(_images(_ask(client, picture, colormap="jet"))["heatmap"]))
    assert heatmap.format == "PNG"
    assert heatmap.mode == "P"
    palette = heatmap.getpalette("RGB")
    assert palette is not None
    # Jet runs from dark blue to dark red.
    assert palette[:3] == [0, 0, 128]
    assert palette[-3:] == [128, 0, 0]


# The photo is tiny: 48 x 32, and drawn five times as large.
ZOOM = 5


def test_pictures_have_the_photos_size_when_they_lie_on_it(client: TestClient, picture: bytes) -> None:
    for image in _ask(client, picture)["images"]:
        size = Image.open(io.BytesIO(base64.b64decode(image["data"]))).size
        assert size == (image["width"], image["height"])
        assert size == ((32, 32) if image["name"] == "input" else (48 * ZOOM, 32 * ZOOM))


def test_input_is_what_the_network_saw_when_it_is_stretched(client: TestClient, picture: bytes) -> None:
    seen = _pixels(_images(_ask(client, picture))["input"])
    expected = Image.open(io.BytesIO(picture)).resize((32, 32), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(seen, np.asarray(expected))


@pytest.mark.parametrize("opacity", [0.0, 0.25, 0.4, 1.0])
def test_overlay_is_the_blend_when_the_parts_are_blended_again(
    client: TestClient, picture: bytes, opacity: float
) -> None:
    images = _images(_ask(client, picture, opacity=str(opacity)))
    enlarged = _pixels(picture).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    expected = opacity * _pixels(images["heatmap"]).astype(float) + (1 - opacity) * enlarged
    assert np.abs(_pixels(images["overlay"]) - expected).max() <= 0.51


@pytest.mark.parametrize("scale", ["per_image", "fixed"])
def test_heatmap_is_the_raw_map_when_resized_and_scaled_again(client: TestClient, picture: bytes, scale: str) -> None:
    params = {"scale": "fixed", "scale_max": "0.5"} if scale == "fixed" else {}
    result = _ask(client, picture, values="raw", colormap="gray", **params)
    raw = _stretch(_stretch(np.asarray(result["values"]["map"]), 32 * ZOOM).T, 48 * ZOOM).T
    expected = np.clip(raw / (0.5 if scale == "fixed" else raw.max()), 0, 1) * 255
    assert result["values"]["max"] > 0
    assert np.abs(_pixels(_images(result)["heatmap"])[..., 0] - expected).max() <= 1


# ---- the members of a result


def test_result_has_every_member_when_a_map_was_made(client: TestClient, picture: bytes) -> None:
    result = _ask(client, picture)
    assert set(result) == {"model", "version", "method", "layer", "target", "predictions", "images", "values"} | {
        "provenance",
        "timings_seconds",
    }
    assert [result[name] for name in ("model", "version", "method", "layer")] == ["tiny", "1", "grad-cam", "conv2"]
    target = result["target"]
    assert target["label"] == LABELS[target["index"]]
    assert target["kind"] == "logit"
    assert 0 < target["score"] <= 1
    assert isinstance(target["value"], float)
    for item in result["predictions"]:
        assert set(item) == {"index", "label", "score"}
        assert item["label"] == LABELS[item["index"]]
    assert sum(item["score"] for item in result["predictions"]) == pytest.approx(1, abs=1e-5)
    assert [image["name"] for image in result["images"]] == ["overlay", "heatmap", "input"]
    for image in result["images"]:
        assert set(image) == {"name", "layer", "media_type", "width", "height", "data"}
        assert image["media_type"] == "image/png"
        assert re.fullmatch("[A-Za-z0-9._-]+", image["name"])
    values = result["values"]
    assert isinstance(values["min"], float)
    assert isinstance(values["max"], float)
    assert values["empty"] is False


def test_provenance_is_enough_to_make_it_again_when_a_map_was_made(
    client: TestClient, picture: bytes, repository: Path
) -> None:
    provenance = _ask(client, picture)["provenance"]
    assert set(provenance) >= {"params", "seed", "image_sha256", "plan", "software"}
    assert provenance["image_sha256"] == hashlib.sha256(picture).hexdigest()
    file = (repository / "tiny" / "1" / "model.keras").read_bytes()
    assert provenance["model_sha256"] == hashlib.sha256(file).hexdigest()
    assert provenance["plan"]["input_size"] == [32, 32]
    assert provenance["plan"]["preprocessing"] == "unit"
    for package in ("convscope", "tensorflow", "keras", "numpy", "pillow"):
        assert re.match(r"\d+\.\d+", provenance["software"][package])


def test_timings_are_seconds_when_answered(client: TestClient, picture: bytes) -> None:
    timings = _ask(client, picture)["timings_seconds"]
    assert set(timings) == {"decode", "queue", "compute", "render"}
    assert all(isinstance(value, float) and 0 <= value < 60 for value in timings.values())


def test_predictions_have_no_pictures_when_only_scores_are_asked(client: TestClient, picture: bytes) -> None:
    result = _ask(client, picture, PREDICTIONS)
    assert (result["method"], result["layer"], result["target"], result["images"]) == ("predictions", None, None, [])
    assert result["predictions"] == _ask(client, picture)["predictions"]


# ---- models and versions


def test_newest_version_answers_when_none_is_named(client: TestClient, picture: bytes) -> None:
    newest = _ask(client, picture, "/v1/models/versions/grad-cam")
    assert newest["version"] == "10"
    assert _ask(client, picture, "/v1/models/versions/versions/10/grad-cam")["images"] == newest["images"]
    older = _ask(client, picture, "/v1/models/versions/versions/2/grad-cam")
    assert older["version"] == "2"
    assert older["predictions"] != newest["predictions"]
    assert client.get("/v1/models/versions").json()["versions"] == ["10", "2"]
    assert client.get("/v1/models/versions/versions/2").json()["version"] == "2"


def test_models_come_and_go_when_the_folder_changes(
    make_client: MakeClient, tmp_path: Path, keras_file: Callable[..., Path], picture: bytes
) -> None:
    add_model(tmp_path, "first", keras_file("tiny", 2), "")
    client = make_client(tmp_path)
    before = _ask(client, picture, "/v1/models/first/predictions")
    add_model(tmp_path, "second", keras_file("tiny", 2), "")
    look_at_models(client)
    assert "second" in client.get("/v1/models").json()["models"]
    assert _ask(client, picture, "/v1/models/second/predictions")["predictions"] == before["predictions"]
    add_model(tmp_path, "first", keras_file("tiny", 10), "", version="2")
    # The version before is served until the new one is ready.
    end = time.monotonic() + 60
    while (after := _ask(client, picture, "/v1/models/first/predictions"))["version"] == "1":
        assert after["predictions"] == before["predictions"]
        assert time.monotonic() < end
    assert after["version"] == "2"
    assert after["predictions"] != before["predictions"]
    (tmp_path / "second" / "1" / "model.keras").rename(tmp_path / "elsewhere")
    (tmp_path / "second" / "1").rmdir()
    (tmp_path / "second").rmdir()
    look_at_models(client)
    assert "second" not in client.get("/v1/models").json()["models"]
    assert_problem(client.get("/v1/models/second"), 404, "model_not_found")


def test_model_is_loaded_anew_when_its_file_is_replaced(
    make_client: MakeClient, tmp_path: Path, keras_file: Callable[..., Path], picture: bytes
) -> None:
    add_model(tmp_path, "replaced", keras_file("tiny", 2), "")
    client = make_client(tmp_path)
    before = _ask(client, picture, "/v1/models/replaced/predictions")
    (tmp_path / "part").write_bytes(keras_file("tiny", 10).read_bytes())
    (tmp_path / "part").rename(tmp_path / "replaced" / "1" / "model.keras")
    look_at_models(client)
    after = _ask(client, picture, "/v1/models/replaced/predictions")
    assert after["predictions"] != before["predictions"]
    assert after["provenance"]["model_sha256"] != before["provenance"]["model_sha256"]


def test_model_is_described_when_it_is_ready(client: TestClient) -> None:
    detail = client.get("/v1/models/tiny").json()
    assert detail["name"] == "tiny"
    assert detail["ready"] is True
    assert detail["state"] == "ready"
    assert detail["input"] == {"height": 32, "width": 32, "channels": 3, "preprocessing": "unit", "fit": "stretch"}
    assert detail["classes"] == list(LABELS)
    assert detail["task"] == "classification"
    assert detail["repairs"] == []
    assert {"predictions", "grad-cam"} <= {item["name"] for item in detail["methods"] if item["available"]}
    listed = next(item for item in client.get("/v1/models").json()["details"] if item["name"] == "tiny")
    assert listed.items() <= detail.items()


def test_layers_are_those_of_the_summary_when_listed(client: TestClient) -> None:
    listing = client.get("/v1/models/tiny/layers").json()
    rows = [
        (row["index"], row["path"], row["type"], row["output_shape"], row["parameters"]) for row in listing["layers"]
    ]
    assert rows == [
        (0, "picture", "InputLayer", [None, 32, 32, 3], 0),
        (1, "conv1", "Conv2D", [None, 32, 32, 8], 224),
        (2, "pool1", "MaxPooling2D", [None, 16, 16, 8], 0),
        (3, "conv2", "Conv2D", [None, 16, 16, 12], 876),
        (4, "gap", "GlobalAveragePooling2D", [None, 12], 0),
        (5, "scores", "Dense", [None, 4], 52),
    ]
    conv1 = next(row for row in listing["layers"] if row["path"] == "conv1")
    assert conv1["kernel_shape"] == [3, 3, 3, 8]
    assert conv1["bias_shape"] == [8]
    assert listing["totals"] == {"parameters": 1152, "trainable": 1152, "non_trainable": 0}
    assert client.get("/v1/models/tiny/versions/1/layers").json() == listing


def test_size_is_kept_when_the_network_takes_any(client: TestClient) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((900, 300), 60).save(buffer, "PNG")
    result = _ask(client, buffer.getvalue(), "/v1/models/open/grad-cam")
    sizes = {image["name"]: (image["width"], image["height"]) for image in result["images"]}
    assert sizes == {"overlay": (900, 300), "heatmap": (900, 300), "input": (512, 171)}


# ---- documents and probes


def test_methods_are_listed_when_asked(client: TestClient) -> None:
    methods = {item["name"]: item for item in client.get("/v1/methods").json()["methods"]}
    assert {"predictions", "grad-cam"} <= set(methods)
    for method in methods.values():
        assert method["title"]
        assert method["kind"] in ("interactive", "job")
        assert method["consumes"] in ("none", "image", "images", "latent")
        assert method["parameters"]["type"] == "object"
        assert all("description" in field for field in method["parameters"]["properties"].values())


def test_viewer_asks_no_other_host_when_opened(client: TestClient) -> None:
    page = client.get("/docs").text
    assert "openapi.json" in page
    links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)
    assert len(links) >= 3
    for link in links:
        assert not urlsplit(link).netloc
        assert client.get(link).status_code == 200, link
    assert not re.search(r"""["'(](?:https?:)?//""", page)


def test_every_problem_has_a_page_when_its_type_is_opened(client: TestClient) -> None:
    for code, kind in PROBLEMS.items():
        response = client.get(f"/problems/{code}")
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/html")
        assert code in response.text
        assert str(kind.status) in response.text


def test_process_answers_when_asked_whether_it_lives(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200


def test_readiness_waits_for_the_built_in_model_when_asked(client: TestClient) -> None:
    if not (BUILT_IN_MODELS / "shapes").is_dir():
        pytest.skip("the built-in model is not trained yet")
    end = time.monotonic() + LIMIT_SECONDS
    while (response := client.get("/readyz")).status_code != 200:
        assert_problem(response, 503, "not_ready", "try again")
        assert int(response.headers["retry-after"]) >= 1
        assert time.monotonic() < end
        time.sleep(0.05)


def test_version_names_what_runs_when_asked(client: TestClient) -> None:
    facts = client.get("/version").json()
    assert {"convscope", "tensorflow", "keras", "python"} <= set(facts)
    assert facts["jobs"] == "embedded"
    assert facts["cell_network"] == ("closed" if can_filter_calls() else "open")
    assert facts["cell_files"] == ("bounded" if can_bound_files() else "open")


def _stretch(rows: NDArray[np.float64], height: int) -> NDArray[np.float64]:
    """Linear interpolation between pixel centres along the first axis, the edge held."""
    places = (np.arange(height) + 0.5) * len(rows) / height - 0.5
    return np.stack([np.interp(places, np.arange(len(rows)), column) for column in rows.T], axis=1)
