"""Models that cannot be loaded, each for a reason of its own: the reason is told and nothing else is harmed."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.contract.conftest import (
    INTERNAL,
    MakeClient,
    add_model,
    assert_problem,
    cut_archive,
    encoded,
    look_at_models,
    wait_until_loaded,
)

GRAD_CAM = "/v1/models/tiny/grad-cam"

CONFIGS = {
    "config-syntax": ("preprocessing = ", ("model.toml",)),
    "config-member": ('preprocess = "unit"', ("model.toml", "'preprocess'")),
    "config-preprocessing": ('preprocessing = "imagenet"', ("model.toml", "preprocessing", "caffe")),
    "config-table-member": ("preprocessing = {scale = 1, divide = 2}", ("model.toml", "preprocessing", "divide")),
    "config-std": ("preprocessing = {std = 0}", ("model.toml", "preprocessing", "std")),
    "config-mean": ("preprocessing = {mean = [1, 2]}", ("model.toml", "preprocessing", "mean")),
    "config-mean-nan": ("preprocessing = {mean = nan}", ("model.toml", "preprocessing", "mean")),
    "config-labels-count": ('labels = ["cat", "dog"]', ("2 labels", "4 classes")),
    "config-labels-imagenet": ('labels = "imagenet"', ("1000 labels", "4 classes")),
    "config-labels-type": ("labels = 4", ("model.toml", "labels")),
    "config-labels-missing": ('labels = "nothing.txt"', ("labels", "'nothing.txt'", "model.toml")),
    "config-labels-outside": ('labels = "../tiny/model.toml"', ("labels", "model.toml")),
    "config-labels-absolute": ('labels = "/etc/hostname"', ("labels", "model.toml")),
    "config-labels-binary": ('labels = "labels.bin"', ("labels.bin", "UTF-8")),
    "config-layer": ('default_layer = "conv9"', ("default_layer", "'conv9'", "'conv")),
    "config-layer-flat": ('default_layer = "gap"', ("default_layer", "'gap'", "'conv2'")),
    "config-latent-layer": ('latent_layer = "conv9"', ("model.toml", "latent_layer", "'conv9'", "'conv")),
    "config-size": ("input_size = [0, 224]", ("model.toml", "input_size")),
    "config-size-type": ('input_size = "224x224"', ("model.toml", "input_size")),
    "config-task": ('task = "classify"', ("model.toml", "task", "classification")),
    "config-sha256": (f'sha256 = "{"0" * 64}"', ("SHA-256", "model.toml")),
    "config-sha256-form": ('sha256 = "abc"', ("model.toml", "sha256")),
    "config-encoding": ("preprocessing = '\udcff'", ("model.toml",)),
}
FILES = {
    "lambda": ("Lambda", "doubling"),
    "corrupt": ("model.keras", "neither"),
    "empty-file": ("model.keras", "neither"),
    "truncated": ("model.keras",),
    "zip": ("model.keras", "config.json"),
    "cut-weights": ("model.keras",),
    "broken-hdf5": ("model.h5",),
    "weights-only": ("model.weights.h5", "weights"),
    "not-json": ("model.keras", "JSON"),
    "foreign": ("Evil", "some_module"),
    "empty": ("no .keras",),
    "several": ("a.keras", "b.keras"),
    "saved-model": ("SavedModel", "model.keras"),
    "config-folder": ("model.toml",),
}
BROKEN = {name: words for name, (_, words) in CONFIGS.items()} | FILES


@pytest.fixture(scope="module")
def broken_repository(
    tmp_path_factory: pytest.TempPathFactory, repository: Path, keras_file: Callable[..., Path]
) -> Path:
    root = tmp_path_factory.mktemp("broken")
    good = keras_file("tiny")
    add_model(root, "tiny", good, (repository / "tiny" / "model.toml").read_text())
    for name, (config, _) in CONFIGS.items():
        add_model(root, name, good, "")
        (root / name / "model.toml").write_bytes(config.encode(errors="surrogateescape"))
    (root / "config-labels-binary" / "labels.bin").write_bytes(b"\xff\xfe\0\xd8")
    add_model(root, "config-folder", good, "")
    (root / "config-folder" / "model.toml").mkdir()
    _write_broken_files(root, good, keras_file("lambda"))
    return root


def _write_broken_files(root: Path, good: Path, with_lambda: Path) -> None:
    add_model(root, "lambda", with_lambda, "")
    for name in (
        "corrupt",
        "empty-file",
        "truncated",
        "zip",
        "cut-weights",
        "broken-hdf5",
        "weights-only",
        "not-json",
        "foreign",
        "empty",
        "several",
        "saved-model",
    ):
        (root / name / "1").mkdir(parents=True)
    (root / "corrupt/1/model.keras").write_bytes(b"\xca\xfe" * 5000)
    (root / "empty-file/1/model.keras").touch()
    (root / "truncated/1/model.keras").write_bytes(good.read_bytes()[:-2000])
    (root / "broken-hdf5/1/model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 500)
    (root / "several/1/a.keras").write_bytes(good.read_bytes())
    (root / "several/1/b.keras").write_bytes(good.read_bytes())
    (root / "saved-model/1/saved_model.pb").touch()
    cut_archive(good, root / "cut-weights/1/model.keras")
    foreign = '{"module": "some_module.layers", "class_name": "Evil", "config": {}}'
    for name, member, text in (
        ("zip", "readme.txt", "hello"),
        ("not-json", "config.json", "{,"),
        ("foreign", "config.json", foreign),
    ):
        with zipfile.ZipFile(root / name / "1" / "model.keras", "w") as archive:
            archive.writestr(member, text)
    with zipfile.ZipFile(good) as archive:
        (root / "weights-only/1/model.weights.h5").write_bytes(archive.read("model.weights.h5"))


@pytest.fixture(scope="module")
def broken_client(make_client: MakeClient, broken_repository: Path) -> TestClient:
    client: TestClient = make_client(broken_repository)
    # Looking at a model loads none.
    wait_until_loaded(client)
    return client


@pytest.mark.parametrize(("name", "words"), BROKEN.items(), ids=BROKEN)
def test_model_says_why_when_it_cannot_be_loaded(
    broken_client: TestClient, broken_repository: Path, picture: bytes, name: str, words: tuple[str, ...]
) -> None:
    responses = [
        broken_client.get(f"/v1/models/{name}"),
        broken_client.get(f"/v1/models/{name}/versions/1"),
        broken_client.get(f"/v1/models/{name}/layers"),
        broken_client.post(f"/v1/models/{name}/grad-cam", files={"image": picture}),
        broken_client.post(f"/v1/models/{name}/versions/1/predictions", json={"image": encoded(picture)}),
    ]
    reasons = {assert_problem(response, 503, "model_failed", *words)["detail"] for response in responses}
    assert len(reasons) == 1
    assert str(broken_repository) not in "".join(response.text for response in responses)
    assert "unexpected" not in reasons.pop()


def test_description_has_name_and_reason_when_the_model_failed(broken_client: TestClient) -> None:
    answer = broken_client.get("/v1/models/lambda").json()
    assert answer["name"] == "lambda"
    assert answer["ready"] is False
    assert "Lambda" in answer["reason"]


def test_other_models_are_served_when_some_failed(broken_client: TestClient, picture: bytes) -> None:
    for name in BROKEN:
        broken_client.get(f"/v1/models/{name}")
    assert broken_client.post(GRAD_CAM, files={"image": picture}).status_code == 200
    listing = broken_client.get("/v1/models").json()
    assert {"tiny", *BROKEN} <= set(listing["models"])
    details = {item["name"]: item for item in listing["details"]}
    assert details["tiny"]["state"] == "ready"
    assert details["tiny"]["reason"] is None
    for name, words in BROKEN.items():
        assert details[name]["state"] == "failed", name
        assert all(word in details[name]["reason"] for word in words), details[name]
        assert not INTERNAL.search(details[name]["reason"])


def test_model_is_served_again_when_its_fault_is_mended(
    make_client: MakeClient, tmp_path: Path, keras_file: Callable[..., Path], picture: bytes
) -> None:
    add_model(tmp_path, "mended", keras_file("tiny"), 'task = "classify"')
    mending = make_client(tmp_path)
    assert_problem(mending.post("/v1/models/mended/grad-cam", files={"image": picture}), 503, "model_failed", "task")
    (tmp_path / "mended" / "model.toml").write_text('task = "classification"')
    look_at_models(mending)
    assert mending.post("/v1/models/mended/grad-cam", files={"image": picture}).status_code == 200
