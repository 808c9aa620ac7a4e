"""Arbitrary requests: the service answers or refuses each, it never fails. The same examples in every run."""

import base64
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from schemas.problems import Problem
from schemas.results import Result
from service.api.problem_types import PROBLEMS
from service.client import Client
from tests.contract.conftest import INTERNAL, PROBLEM_MEMBERS
from tests.server import Server

GRAD_CAM = "/v1/models/tiny/grad-cam"
NAMES = ["layer", "class_index", "colormap", "opacity", "scale", "scale_max", "values", "top"]
FORM_LINES = [
    b"--x",
    b"--x--",
    b"---x",
    b"",
    b'Content-Disposition: form-data; name="image"; filename="a.png"',
    b'Content-Disposition: form-data; name="top"',
    b"Content-Disposition: form-data; name=layer",
    b"Content-Disposition: attachment",
    b"Content-Disposition",
    b"Content-Transfer-Encoding: base64",
    b"Content-Type: image/png",
    b"conv1",
    b"3",
    b"\xff\xd8\xff\xe0",
    b": ",
    b"\0",
]
KNOWN = {"model": "tiny", "version": "1", "code": "not_found", "name": "overlay"}
bounded = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=timedelta(seconds=20),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _assert_answered(response: Any) -> None:
    """A success, or a problem from the table; no 5xx but the 503s that the table knows."""
    assert response.status_code < 500 or response.status_code == 503, response.text
    if response.status_code < 400:
        return
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert response.json().keys() >= PROBLEM_MEMBERS
    assert PROBLEMS[problem.code].status == problem.status == response.status_code
    assert problem.detail.strip()
    assert not INTERNAL.search(problem.detail)


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Server]) -> Server:
    return start_server()


@pytest.fixture(scope="module")
def published(server: Server) -> Any:
    """The document of a server process, as a stranger's tool reads it."""
    # Imported where it is used: every process collects this file, and it takes seconds.
    import schemathesis

    return schemathesis.openapi.from_url(server.url + "/openapi.json")


@pytest.fixture(scope="module")
def known_names(server: Server, picture: bytes) -> dict[str, str]:
    """A value of each path parameter that exists; the job has been computed."""
    with Client(server.url) as client:
        job = client.wait(client.submit("grad-cam", "tiny", image=picture).id)
    assert job.state == "succeeded"
    return KNOWN | {"job": job.id}


def test_answer_is_as_documented_when_any_get_is_asked(published: Any, known_names: dict[str, str]) -> None:
    from schemathesis.checks import not_a_server_error

    operations = [result.ok() for result in published.get_all_operations()]
    asked = [operation for operation in operations if operation.method == "get"]
    assert len(asked) >= 8
    for operation in asked:

        @settings(bounded, max_examples=20)
        @given(case=operation.as_strategy(), known=st.booleans())
        def ask(case: Any, known: bool) -> None:  # noqa: FBT001
            if known:
                case.path_parameters.update({name: known_names[name] for name in case.path_parameters})
            # A 503 is right where a model cannot be loaded.
            response = case.call_and_validate(excluded_checks=[not_a_server_error])
            assert response.status_code < 500 or response.status_code == 503

        ask()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-3, max_value=5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=30)
    | st.sampled_from(["conv1", "conv2", "gap", "raw", "fixed", "jet", "per_image", "0.5", "3", "1e9", "data:,"])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(NAMES) | st.sampled_from([*NAMES, "image", "images", "Layer", ""]) | st.text(max_size=10)


@bounded
@given(params=st.dictionaries(names, values, max_size=5), with_image=st.booleans())
def test_json_is_answered_or_refused_when_it_holds_anything(
    client: TestClient,
    picture: bytes,
    params: dict[str, Any],
    with_image: bool,  # noqa: FBT001
) -> None:
    image = {"image": base64.b64encode(picture).decode()} if with_image else {}
    _assert_answered(client.post(GRAD_CAM, json={**params, **image}))


plausible = st.fixed_dictionaries(
    {},
    optional={
        "layer": st.sampled_from(["conv1", "pool1", "conv2", "gap", "scores", "picture", "conv", "conv1/"]),
        "class_index": st.integers(-1, 5),
        "colormap": st.sampled_from(["viridis", "inferno", "turbo", "gray", "grey"]),
        "opacity": st.floats(-0.1, 1.1),
        "top": st.integers(0, 6),
        "values": st.sampled_from(["raw", "none"]),
        "scale": st.sampled_from(["per_image", "fixed"]),
        "scale_max": st.floats(0, 1e308),
    },
)


@bounded
@given(params=plausible)
def test_form_and_json_agree_when_values_are_plausible(
    client: TestClient, picture: bytes, params: dict[str, Any]
) -> None:
    form = {name: repr(value) if isinstance(value, float) else str(value) for name, value in params.items()}
    by_form = client.post(GRAD_CAM, files={"image": picture}, data=form)
    by_json = client.post(GRAD_CAM, json={"image": base64.b64encode(picture).decode(), **params})
    _assert_answered(by_form)
    assert by_form.status_code == by_json.status_code, (by_form.text[:300], by_json.text[:300])
    if by_form.status_code == 200:
        Result.model_validate_json(by_json.content)
        assert by_form.json()["images"] == by_json.json()["images"]
        assert by_form.json()["values"] == by_json.json()["values"]
    else:
        assert by_form.json() == by_json.json()


@bounded
@given(fields=st.dictionaries(names.filter(bool), st.text(max_size=50) | st.binary(max_size=50), max_size=6))
def test_form_is_answered_or_refused_when_it_holds_anything(
    client: TestClient, picture: bytes, fields: dict[str, str | bytes]
) -> None:
    parts = {name: (None if isinstance(value, str) else "file", value) for name, value in fields.items()}
    _assert_answered(client.post(GRAD_CAM, files={"image": ("a.png", picture), **parts}))


@bounded
@given(
    body=st.binary(max_size=300), content_type=st.sampled_from(["application/json", "multipart/form-data; boundary=x"])
)
def test_body_is_refused_when_it_is_noise(client: TestClient, body: bytes, content_type: str) -> None:
    response = client.post(GRAD_CAM, content=body, headers={"Content-Type": content_type})
    _assert_answered(response)
    assert response.status_code in (400, 422)


@bounded
@given(lines=st.lists(st.sampled_from(FORM_LINES), max_size=14))
def test_form_is_refused_when_its_lines_are_shuffled(client: TestClient, lines: list[bytes]) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = client.post(GRAD_CAM, content=b"\r\n".join(lines), headers=headers)
    _assert_answered(response)
    assert response.status_code in (400, 422)


@pytest.fixture(scope="module")
def pictures(picture: bytes) -> dict[str, bytes]:
    """The same picture in every format that is read."""
    encoded = {}
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"):
        buffer = io.BytesIO()
        Image.open(io.BytesIO(picture)).save(buffer, kind)
        encoded[kind] = buffer.getvalue()
    return encoded


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@settings(bounded, max_examples=40)
@given(noises=st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=4)), min_size=1, max_size=8))
def test_picture_is_answered_or_refused_when_its_bytes_are_damaged(
    client: TestClient, pictures: dict[str, bytes], kind: str, noises: list[tuple[int, bytes]]
) -> None:
    damaged = bytearray(pictures[kind])
    for place, noise in noises:
        start = place % len(damaged)
        damaged[start : start + len(noise)] = noise
    response = client.post("/v1/models/tiny/predictions", files={"image": bytes(damaged)})
    _assert_answered(response)
    assert response.status_code in (200, 422)


@bounded
@given(accept=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40))
def test_accept_is_answered_or_refused_when_it_holds_anything(client: TestClient, picture: bytes, accept: str) -> None:
    response = client.post("/v1/models/tiny/predictions", files={"image": picture}, headers={"Accept": accept})
    _assert_answered(response)
    assert response.status_code in (200, 406)
