"""The same request again: the same bytes, from memory, or not even those. What differs is computed."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.contract.conftest import MakeClient, assert_problem

GRAD_CAM = "/v1/models/tiny/grad-cam"
PNG = {"Accept": "image/png"}
JSON = {"Accept": "application/json"}


@pytest.fixture
def fresh_client(make_client: MakeClient) -> TestClient:
    """An application that has computed nothing yet."""
    client: TestClient = make_client()
    return client


def ask(client: TestClient, picture: bytes, headers: dict[str, str] = PNG, **data: Any) -> Any:
    response = client.post(GRAD_CAM, files={"image": picture}, data=data, headers=headers)
    assert response.status_code in {200, 304}, response.text
    return response


def computed(client: TestClient) -> float:
    """How many results were computed so far, as the metrics count them."""
    name = "convscope_stage_duration_seconds_count{"
    lines = [line for line in client.get("/metrics").text.splitlines() if line.startswith(name)]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'stage="compute"' in line)


@pytest.mark.parametrize("accept", [PNG, JSON])
def test_the_same_bytes_come_without_computing_when_a_request_is_repeated(
    fresh_client: TestClient, picture: bytes, accept: dict[str, str]
):
    first, second = (ask(fresh_client, picture, accept) for _ in range(2))
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
    assert [answer.headers["cache-status"] for answer in (first, second)] == ["convscope; fwd=miss", "convscope; hit"]
    assert computed(fresh_client) == 1
    text = fresh_client.get("/metrics").text
    assert 'convscope_cache_lookups_total{cache="results",result="hit"} 1.0' in text
    assert 'convscope_cache_lookups_total{cache="results",result="miss"} 1.0' in text


def test_it_is_computed_when_class_media_type_or_picture_is_another(fresh_client: TestClient, picture: bytes):
    tags = {
        ask(fresh_client, picture).headers["etag"],
        ask(fresh_client, picture, class_index=1).headers["etag"],
        ask(fresh_client, picture, JSON).headers["etag"],
        # Trailing bytes change the file, not the pixels.
        ask(fresh_client, picture + b"\0").headers["etag"],
    }
    assert len(tags) == computed(fresh_client) == 4


def test_nothing_is_sent_or_computed_when_the_client_has_the_answer(fresh_client: TestClient, picture: bytes):
    tag = ask(fresh_client, picture).headers["etag"]
    answer = ask(fresh_client, picture, PNG | {"If-None-Match": f'"another", {tag}'})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert computed(fresh_client) == 1


def test_nothing_is_computed_when_the_client_has_it_and_the_service_not(make_client: MakeClient, picture: bytes):
    first, second = make_client(), make_client()
    tag = ask(first, picture).headers["etag"]
    assert ask(second, picture, PNG | {"If-None-Match": tag}).status_code == 304
    assert computed(second) == 0


@pytest.mark.parametrize("tag", ['"another"', "*", "nonsense"])
def test_the_answer_is_sent_when_the_client_has_another(fresh_client: TestClient, picture: bytes, tag: str):
    assert ask(fresh_client, picture, PNG | {"If-None-Match": tag}).status_code == 200


def test_it_is_computed_anew_when_the_client_asks_so(fresh_client: TestClient, picture: bytes):
    tag = ask(fresh_client, picture).headers["etag"]
    answer = ask(fresh_client, picture, PNG | {"Cache-Control": "no-cache", "If-None-Match": tag})
    assert (answer.status_code, answer.headers["cache-status"]) == (200, "convscope; fwd=request")
    assert computed(fresh_client) == 2


def test_nothing_is_kept_when_the_cache_is_off(make_client: MakeClient, picture: bytes):
    client = make_client(result_cache_bytes=0)
    first, second = (ask(client, picture) for _ in range(2))
    assert (first.content, computed(client)) == (second.content, 2)


def test_errors_are_not_kept_when_a_request_fails(fresh_client: TestClient, picture: bytes):
    for _ in range(2):
        response = fresh_client.post(GRAD_CAM, files={"image": picture}, data={"class_index": 99})
        assert_problem(response, 422, "class_out_of_range")
        assert "etag" not in response.headers
