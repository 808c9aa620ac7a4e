"""Models that are unloaded, roll over to another version or make room for others, over HTTP, with real networks."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.contract.conftest import TINY_CONFIG, MakeClient, add_model, assert_problem, look_at_models

LIMIT_SECONDS = 60.0


def _summary(client: TestClient, name: str) -> dict[str, Any]:
    details: list[dict[str, Any]] = client.get("/v1/models").json()["details"]
    return next(each for each in details if each["name"] == name)


def _predict(client: TestClient, name: str, picture: bytes) -> dict[str, Any]:
    response = client.post(f"/v1/models/{name}/predictions", files={"image": picture})
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def _until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def _explicit(models: Path, data: Path, **limits: int) -> Iterator[TestClient]:
    """An application that loads what somebody asks for, itself, and looks at its folders when a test says so."""
    settings = Settings(
        models=models, data=data, limits=limits, worker={"warm": False},
        models_mode="explicit", models_refresh_seconds=3600, models_cells=False,
    )  # fmt: skip
    with TestClient(create_app(settings), raise_server_exceptions=False, base_url="http://127.0.0.1") as client:
        _until(client.app.state.services.ready.is_set)  # type: ignore[attr-defined]
        yield client


def test_unloaded_model_is_described_and_comes_back_when_asked_for(make_client: MakeClient, picture: bytes) -> None:
    client = make_client()
    before = _predict(client, "tiny", picture)["predictions"]
    unloaded = client.post("/v1/models/tiny/unload").json()
    assert (unloaded["state"], unloaded["ready"], unloaded["since"]) == ("available", True, None)
    assert unloaded["classes"] == ["circle", "square", "star", "cross"]
    assert client.get("/v1/models/tiny/layers").json()["layers"]
    assert _predict(client, "tiny", picture)["predictions"] == before
    ready = _summary(client, "tiny")
    assert (ready["state"], ready["reason"]) == ("ready", None)
    assert ready["states"][0]["bytes"] > 0
    assert ready["since"].endswith(("Z", "+00:00"))


def test_other_version_stays_when_one_is_unloaded(make_client: MakeClient, repository: Path) -> None:
    client = make_client(repository)
    for version in ("2", "10"):
        assert client.post(f"/v1/models/versions/versions/{version}/load").json()["version"] == version
    client.post("/v1/models/versions/versions/2/unload")
    assert [(each["version"], each["state"]) for each in _summary(client, "versions")["states"]] == [("10", "ready")]


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_nothing_is_let_go_of_when_it_is_not_there(make_client: MakeClient, verb: str) -> None:
    client = make_client()
    assert_problem(client.post(f"/v1/models/nothing/{verb}"), 404, "model_not_found", "nothing")
    assert_problem(client.post(f"/v1/models/tiny/versions/7/{verb}"), 404, "version_not_found", "7")


def test_nothing_is_loaded_when_nobody_asks_and_the_mode_is_explicit(
    small_repository: Path, tmp_path: Path, picture: bytes
) -> None:
    with _explicit(small_repository, tmp_path) as client:
        assert client.get("/readyz").status_code == 200
        look_at_models(client)
        assert (_summary(client, "tiny")["state"], _summary(client, "tiny")["states"]) == ("available", [])
        assert_problem(client.get("/v1/models/tiny/layers"), 409, "model_not_loaded", "/v1/models/tiny/load")
        assert _predict(client, "tiny", picture)["version"] == "1"
        assert _summary(client, "tiny")["state"] == "ready"


def test_old_version_answers_until_the_new_one_is_ready(
    make_client: MakeClient, tmp_path: Path, keras_file: Callable[..., Path], picture: bytes
) -> None:
    add_model(tmp_path, "rolling", keras_file("tiny", 1), TINY_CONFIG)
    client = make_client(tmp_path)
    old = _predict(client, "rolling", picture)
    _until(lambda: _summary(client, "rolling")["state"] == "ready")
    (tmp_path / "rolling" / "2").mkdir()
    (tmp_path / "rolling" / "2" / "model.keras").write_bytes(b"no network at all")
    look_at_models(client)
    _until(lambda: _summary(client, "rolling")["reason"] is not None)
    assert "version 2 failed, version 1 is served: " in _summary(client, "rolling")["reason"]
    assert _predict(client, "rolling", picture)["predictions"] == old["predictions"]
    add_model(tmp_path / "later", "rolling", keras_file("tiny", 3), "", version="3")
    shutil.move(tmp_path / "later" / "rolling" / "3", tmp_path / "rolling" / "3")
    assert client.post("/v1/models/rolling/load").json()["version"] == "3"
    _until(lambda: _predict(client, "rolling", picture)["version"] == "3")
    rolled = _predict(client, "rolling", picture)
    assert rolled["predictions"] != old["predictions"]
    assert "1" not in [each["version"] for each in _summary(client, "rolling")["states"] if each["state"] == "ready"]


def test_every_answer_is_right_when_models_make_room_for_each_other(
    tmp_path: Path, keras_file: Callable[..., Path], picture: bytes
) -> None:
    names = [f"one-of-{seed}" for seed in range(1, 11)]
    limits = {"kernel_bytes": 0}
    for seed, name in enumerate(names, 1):
        add_model(tmp_path / "models", name, keras_file("tiny", seed), TINY_CONFIG)
    with _explicit(tmp_path / "models", tmp_path / "free", **limits) as client:
        alone = {name: _predict(client, name, picture)["predictions"] for name in names}
        cost, built_in = (_summary(client, name)["states"][0]["bytes"] for name in (names[0], "shapes"))
    # The built-in model, which says whether the service is ready, is one of them.
    bound = max(3 * cost, built_in)
    with _explicit(tmp_path / "models", tmp_path / "bound", model_bytes=bound, **limits) as client:
        for name in names * 2:
            assert _predict(client, name, picture)["predictions"] == alone[name]
            held = [each for model in client.get("/v1/models").json()["details"] for each in model["states"]]
            assert sum(each["bytes"] for each in held) <= bound
            assert len(held) < len(names)


def test_model_is_refused_with_its_size_when_it_can_never_be_loaded(tmp_path: Path, picture: bytes) -> None:
    limits = {"model_bytes": 2**20}
    settings = Settings(data=tmp_path, limits=limits, worker={"warm": False}, applications_weights="none")
    with TestClient(create_app(settings), raise_server_exceptions=False, base_url="http://127.0.0.1") as client:
        response = client.post("/v1/models/mobilenetv2/predictions", files={"image": picture})
        assert_problem(response, 503, "model_failed", " MB of memory", "1 MB together", "CONVSCOPE_LIMITS__MODEL_BYTES")
