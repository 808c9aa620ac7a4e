"""Loading once, sharing, failing alone and noticing changes, with a fake loader over real folders."""

import gc
import hashlib
import os
import shutil
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from schemas.jobs import MAX_VERSIONS
from service.errors import ModelFailedError, ModelNotFoundError, TooFewVersionsError, VersionNotFoundError
from service.models.catalog import Catalog
from service.models.listing import list_models, summarise
from service.models.sources.folder import Folder
from tests.unit.fakes import FakeLoader


def put(folder: Path, name: str, version: str = "1", *, content: bytes = b"weights", card: str = "") -> Path:
    file = folder / name / version / "model.keras"
    # Renamed into place as a whole, so that a catalog that looks meanwhile sees no empty folder and no half file.
    part = folder / ".new" / name / version / "model.keras"
    part.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(content)
    target = next((place for place in (folder / name, file.parent) if not place.exists()), file)
    (folder / ".new" / target.relative_to(folder)).rename(target)
    if card:
        (folder / name / "model.toml").write_text(card)
    return file


@contextmanager
def _catalog(*folders: Path, loader: FakeLoader | None = None) -> Iterator[Catalog]:
    loader = loader or FakeLoader()
    catalog = Catalog([Folder(folder, loader) for folder in folders])
    yield catalog
    catalog.close()


def test_model_is_loaded_once_when_many_ask_at_the_same_time(tmp_path: Path):
    put(tmp_path, "cats")
    gate = Event()
    loader = FakeLoader(gate)
    with _catalog(tmp_path, loader=loader) as catalog, ThreadPoolExecutor(8) as threads:
        waiting = [threads.submit(catalog.model, "cats") for _ in range(8)]
        assert summarise(catalog, "cats").state == "loading"
        gate.set()
        models = {id(future.result(10).probe) for future in waiting}
    assert len(models) == len(loader.loaded) == 1


def test_other_models_are_served_when_one_fails(tmp_path: Path):
    put(tmp_path, "bad", content=b"broken")
    put(tmp_path, "good")
    with _catalog(tmp_path) as catalog:
        catalog.load_all()
        assert [(item.name, item.state, item.reason) for item in list_models(catalog).details] == [
            ("bad", "failed", "the file is broken"),
            ("good", "ready", None),
        ]
        with pytest.raises(ModelFailedError, match="the file is broken"):
            catalog.model("bad")
        assert catalog.model("good").name == "good"


def test_model_is_loaded_anew_when_its_file_changes(tmp_path: Path):
    file = put(tmp_path, "cats", content=b"broken")
    with _catalog(tmp_path) as catalog:
        with pytest.raises(ModelFailedError):
            catalog.model("cats")
        file.write_bytes(b"mended")
        os.utime(file, ns=(1, 1))
        catalog.refresh()
        model = catalog.model("cats")
    assert model.digest == hashlib.sha256(b"mended").hexdigest()


def test_model_is_forgotten_when_its_folder_has_gone(tmp_path: Path):
    put(tmp_path, "cats")
    put(tmp_path, "dogs")
    with _catalog(tmp_path) as catalog:
        kept = weakref.ref(catalog.model("cats").probe)
        catalog.model("dogs")
        shutil.rmtree(tmp_path / "cats")
        catalog.refresh()
        assert catalog.names() == ["dogs"]
        gc.collect()
        assert kept() is None
        assert summarise(catalog, "dogs").state == "ready"
        with pytest.raises(ModelNotFoundError):
            catalog.model("cats")


def test_newest_version_is_served_when_none_is_named(tmp_path: Path):
    put(tmp_path, "cats", "1")
    with _catalog(tmp_path) as catalog:
        assert catalog.model("cats").version == "1"
        put(tmp_path, "cats", "2", content=b"newer")
        assert catalog.model("cats").version == "1"
        catalog.refresh()
        assert catalog.model("cats").version == "2"
        assert catalog.model("cats", "1").version == "1"
        assert catalog.list_versions("cats") == ["2", "1"]


def test_names_are_suggested_when_a_model_is_unknown(tmp_path: Path):
    put(tmp_path, "shapes")
    with _catalog(tmp_path) as catalog:
        with pytest.raises(ModelNotFoundError, match="nearest: 'shapes'"):
            catalog.model("shape")
        with pytest.raises(VersionNotFoundError, match="versions: 1"):
            catalog.model("shapes", "7")


def test_earlier_folder_counts_when_two_hold_the_same_name(tmp_path: Path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    put(ours, "shapes", content=b"ours")
    put(theirs, "shapes", content=b"theirs")
    put(theirs, "cats")
    with _catalog(ours, theirs) as catalog:
        assert catalog.names() == ["shapes", "cats"]
        assert catalog.model("shapes").digest == hashlib.sha256(b"ours").hexdigest()


def test_card_is_used_when_there_is_one(tmp_path: Path):
    put(tmp_path, "cats", card='preprocessing = "tf"\nlabels = ["cat", "dog"]\n')
    with _catalog(tmp_path) as catalog:
        model = catalog.model("cats")
    assert model.labels == ("cat", "dog")
    assert model.preprocessing.name == "tf"


def test_latent_layer_is_kept_when_the_card_names_one(tmp_path: Path):
    put(tmp_path, "cats", card='latent_layer = "scores"')
    put(tmp_path, "dogs")
    with _catalog(tmp_path) as catalog:
        assert catalog.model("cats").latent_layer == "scores"
        assert catalog.model("dogs").latent_layer is None


def test_labels_are_read_when_the_card_names_a_file(tmp_path: Path):
    put(tmp_path, "cats", card='labels = "names.txt"')
    (tmp_path / "cats" / "names.txt").write_text("cat\nhot dog\n\n")
    with _catalog(tmp_path) as catalog:
        assert catalog.model("cats").labels == ("cat", "hot dog")


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ("preprocessing = 'magic'", "'preprocessing"),
        ("preprocess = 'tf'", "'preprocess' is not known; known: preprocessing, labels"),
        ("labels = 3", "'labels': "),
        ("latent_layer = 'code'", "latent_layer: layer 'code' is not in this network"),
        ("preprocessing = {mean = [1, 2]}", "'preprocessing.mean"),
        ("preprocessing = {std = 0}", "'std' must not be 0"),
        ("preprocessing = {sigma = 1}", "'preprocessing.sigma' is not known; known: scale, offset"),
        ("not toml", "is not TOML"),
        ("labels = ['one']", "1 labels, but the network has 2 classes"),
        ("labels = 'imagenet'", "1000 labels"),
        ("labels = '../../secret.txt'", "no file"),
        ("labels = 'missing.txt'", "no file 'missing.txt'"),
        (f"sha256 = '{'0' * 64}'", "SHA-256"),
        ("sha256 = 'short'", "'sha256'"),
        ("input_size = [0, 5]", "'input_size.0'"),
    ],
)
def test_reason_names_the_fault_when_the_card_is_wrong(tmp_path: Path, card: str, reason: str):
    (tmp_path / "secret.txt").write_text("a\nb\n")
    put(tmp_path, "cats", card=card)
    with _catalog(tmp_path) as catalog:
        with pytest.raises(ModelFailedError) as caught:
            catalog.model("cats")
        assert reason in caught.value.detail
        assert str(tmp_path) not in caught.value.detail


def test_model_is_served_when_its_digest_is_the_one_in_the_card(tmp_path: Path):
    digest = hashlib.sha256(b"weights").hexdigest()
    put(tmp_path, "cats", card=f'sha256 = "{digest.upper()}"')
    with _catalog(tmp_path) as catalog:
        assert catalog.model("cats").digest == digest


@pytest.mark.parametrize("asked", ["all", ",".join(map(str, range(1, MAX_VERSIONS + 2)))])
def test_versions_are_refused_when_they_are_more_than_one_job_compares(tmp_path: Path, asked: str):
    for version in range(1, MAX_VERSIONS + 2):
        put(tmp_path, "cats", str(version))
    with _catalog(tmp_path) as catalog:
        with pytest.raises(TooFewVersionsError, match="51 versions were named: 2 to 50 are compared"):
            catalog.versions("cats", asked)
        assert len(catalog.versions("cats", ",".join(["1,2"] + [str(n) for n in range(1, MAX_VERSIONS + 1)]))) == 50
