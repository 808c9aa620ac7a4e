"""Layers, channels, filters and pages that do not exist: the right problem, and every form that a list may have."""

import base64
from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.contract.conftest import assert_problem, encoded


def _post(client: TestClient, method: str, picture: bytes, model: str = "tiny", **params: Any) -> Any:
    return client.post(f"/v1/models/{model}/{method}", json={"image": encoded(picture), **params})


@pytest.mark.parametrize(
    ("params", "code", "word"),
    [
        ({"layer": "conv3"}, "layer_not_found", "'conv2'"),
        ({"layer": 99}, "layer_not_found", "out of range"),
        ({"layers": ["conv1", "nothing"]}, "layer_not_found", "'nothing'"),
        ({"layer": "conv1", "channel": 8}, "channel_out_of_range", "there are 8"),
        ({"layer": "conv1", "channel": -1}, "invalid_parameters", "channel"),
        ({"layer": "conv1", "channels": "4-9"}, "channel_out_of_range", "'4-9'"),
        ({"layer": "conv1", "channels": "a-b"}, "invalid_parameters", "channels"),
        ({"layer": "conv1", "channels": "0-999999999"}, "channel_out_of_range", "there are 8"),
        ({"layer": "conv1", "page": 2}, "page_out_of_range", "there are 1"),
        ({"layer": "conv1", "page": 0}, "invalid_parameters", "page"),
        ({"layer": "conv1", "columns": 0}, "invalid_parameters", "columns"),
        ({"layer": "conv1", "channel": 1, "channels": "0-2"}, "invalid_parameters", "exclude"),
        ({"layers": ["conv1"] * 501}, "invalid_parameters", "layers"),
        ({"layers": {"a": 1}}, "invalid_parameters", "layers"),
    ],
)
def test_activations_say_what_is_wrong_when_asked_for_what_is_not_there(
    client: TestClient, picture: bytes, params: dict[str, Any], code: str, word: str
) -> None:
    assert_problem(_post(client, "activations", picture, **params), 422, code, word)
    assert _post(client, "activations", picture).status_code == 200


@pytest.mark.parametrize(
    ("params", "code", "word"),
    [
        ({"layer": "pool1"}, "layer_without_kernel", "'conv1'"),
        ({"layer": "gap"}, "layer_without_kernel", "'conv2'"),
        ({"layer": 99}, "layer_not_found", "out of range"),
        ({"filters": 8}, "filter_out_of_range", "there are 8"),
        ({"filters": "0-8"}, "filter_out_of_range", "'0-8'"),
        ({"channels": 3}, "channel_out_of_range", "there are 3"),
        ({"page": 7}, "page_out_of_range", "there are 1"),
    ],
)
def test_filters_say_what_is_wrong_when_asked_for_what_is_not_there(
    client: TestClient, params: dict[str, Any], code: str, word: str
) -> None:
    assert_problem(client.post("/v1/models/tiny/filters", json=params), 422, code, word)
    assert client.post("/v1/models/tiny/filters").status_code == 200


def test_lists_read_the_same_when_they_come_in_any_form(client: TestClient, picture: bytes) -> None:
    url, files = "/v1/models/tiny/activations", {"image": picture}
    answers = [
        _post(client, "activations", picture, layers=["conv1", "scores"], channels=[0, 2]),
        _post(client, "activations", picture, layers="conv1,scores", channels="0,2"),
        client.post(url, files=files, data={"layers": "conv1, scores", "channels": "0,2"}),
        client.post(url, files=files, data={"layers": ["conv1", "scores"], "channels": ["0", "2"]}),
    ]
    bodies = [answer.raise_for_status().json() for answer in answers]
    assert [image["layer"] for image in bodies[0]["images"]] == ["conv1", "scores"]
    assert all(body["images"] == bodies[0]["images"] for body in bodies)
    assert all(body["provenance"]["params"]["layers"] == ["conv1", "scores"] for body in bodies)


def test_filters_answer_when_no_body_is_sent_at_all(client: TestClient) -> None:
    form = client.post("/v1/models/tiny/filters", files={"layer": (None, "conv1")})
    as_json = client.post("/v1/models/tiny/filters", json={"layer": "conv1"})
    assert form.json()["images"] == as_json.json()["images"]
    names = [image["name"] for image in client.post("/v1/models/tiny/filters").json()["images"]]
    assert names == ["conv1--rgb", "conv1--channels"]


def test_first_picture_is_given_alone_when_a_png_is_wanted(client: TestClient) -> None:
    png = client.post("/v1/models/tiny/filters", headers={"Accept": "image/png"})
    result = client.post("/v1/models/tiny/filters").json()
    assert png.headers["content-type"] == "image/png"
    assert base64.b64decode(result["images"][0]["data"]) == png.content


def test_layers_are_drawn_when_the_network_has_no_classes(client: TestClient, picture: bytes) -> None:
    for method in ("activations", "filters"):
        assert _post(client, method, picture, model="features").status_code == 200
