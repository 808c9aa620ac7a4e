"""A repository at a URL, listed and fetched as it is asked for: what is served of it, and its faults."""

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from uuid import uuid4

import fsspec
import pytest

from service.errors import ModelFailedError, WeightsUnavailableError
from service.models.catalog import Catalog
from service.models.remote.cache import FileCache
from service.models.remote.files import RemoteFile, RemoteListing
from service.models.remote.watch import Watch
from service.models.sources.folder import Folder
from service.models.sources.remote_models import RemoteModels
from service.models.sources.remote_repository import RemoteRepository, arrange
from tests.unit.fakes import FakeLoader

MakeModels = Callable[..., RemoteModels]


@pytest.fixture
def make_models(tmp_path: Path) -> Iterator[MakeModels]:
    """Return a function that makes what fetches and loads models, as a process does; `room` in bytes."""
    made = []

    def make(*, room: int = 2**30, seconds: float = 0.02) -> RemoteModels:
        cache = FileCache(tmp_path / "fetched", room, 60)
        made.append(RemoteModels(Watch(tmp_path / "fetched" / "seen", seconds), cache, FakeLoader()))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def bucket() -> str:
    """The URL of an empty repository in memory."""
    return f"memory://{uuid4().hex}/models"


def put(bucket: str, **files: bytes) -> None:
    for path, data in files.items():
        with fsspec.open(f"{bucket}/{path}", "wb") as stream:
            stream.write(data)


def until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.01)


def loaded(models: RemoteModels) -> list[str]:
    assert isinstance(models.loader, FakeLoader)
    return [path.name for path in models.loader.loaded]


def test_model_is_served_when_it_lies_in_a_repository_elsewhere(make_models: MakeModels, bucket: str):
    put(bucket, **{
        "cats/1/model.keras": b"one", "cats/2/model.keras": b"two", "cats/model.toml": b'labels = "names.txt"',
        "cats/names.txt": b"cat\ndog", "cats/2/notes.md": b"!" * 1000, "dogs/model.h5": b"three",
        ".git/1/model.h5": b"", "some notes/1/a.keras": b"", "readme.md": b"",
    })  # fmt: skip
    models = make_models()
    catalog = Catalog([RemoteRepository(bucket, models)])
    assert catalog.names() == ["cats", "dogs"]
    assert catalog.list_versions("cats") == ["2", "1"]
    model = catalog.model("cats")
    assert (model.version, model.labels) == ("2", ("cat", "dog"))
    assert model.digest == hashlib.sha256(b"two").hexdigest()
    assert catalog.model("dogs").version == "1"
    assert loaded(models) == ["model.keras", "model.h5"]
    # The models', their config and labels, and nothing else.
    assert len(list((models.cache.folder / "files").iterdir())) == 4
    # No file of a load is left.
    assert not [*models.cache.folder.glob("open-*"), *models.cache.folder.glob("part-*")]


def test_rules_of_a_folder_hold_when_a_repository_is_listed():
    paths = """
        a/1/x.h5 a/1/y.h5 b/1/saved_model.pb c/1/model.keras/saved_model.pb d/readme e/x.keras e/2/x.keras
        f/01/MODEL.H5 g/1/model.keras g/1/x.h5 loose.keras
    """
    files = [*paths.split(), f"h/{'9' * 5000}/x.h5"]
    listing = RemoteListing(files={path: RemoteFile(size=1, token="1") for path in files})
    found = {
        name: [(each.version, each.file, each.problem) for each in each_name]
        for name, each_name in arrange(listing).items()
    }
    assert found["a"] == [("1", None, "several model files (x.h5, y.h5): keep one, or name one model.keras")]
    assert "SavedModel" in (found["b"][0][2] or "")
    assert "SavedModel" in (found["c"][0][2] or "")
    assert found["d"] == [("1", None, "no .keras, .h5 or .hdf5 file in the folder")]
    assert found["e"] == [("2", "e/2/x.keras", None), ("1", "e/x.keras", None)]
    assert found["f"] == [("01", "f/01/MODEL.H5", None)]
    assert found["g"] == [("1", "g/1/model.keras", None)]
    assert found["h"][0][1] is None


def test_new_version_and_new_file_are_seen_when_they_come(make_models: MakeModels, bucket: str):
    put(bucket, **{"cats/1/model.keras": b"one"})
    catalog = Catalog([RemoteRepository(bucket, make_models())])
    assert catalog.model("cats").digest == hashlib.sha256(b"one").hexdigest()
    put(bucket, **{"cats/1/model.keras": b"eins"})
    catalog.refresh()
    assert catalog.model("cats").digest == hashlib.sha256(b"eins").hexdigest()
    put(bucket, **{"cats/2/model.keras": b"two"})
    catalog.refresh()
    assert catalog.model("cats").version == "2"


def test_what_is_known_stays_when_the_repository_is_gone(
    make_models: MakeModels, bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    put(bucket, **{"cats/1/model.keras": b"one"})
    first = make_models()
    Catalog([RemoteRepository(bucket, first)]).model("cats")
    first.close()

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("https://me:secret@host/models?sig=secret does not answer")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", fail)
    # Another process, that has never reached it.
    catalog = Catalog([RemoteRepository(bucket, make_models())])
    assert catalog.model("cats").digest == hashlib.sha256(b"one").hexdigest()
    catalog.refresh()
    assert catalog.list_versions("cats") == ["1"]
    assert "what is known stays" in caplog.text
    assert "https://host/models does not answer" in caplog.text
    assert "secret" not in caplog.text
    # One line, not one for each look.
    catalog.refresh()
    assert caplog.text.count("what is known stays") == 1


def test_folders_are_looked_at_when_a_repository_elsewhere_does_not_answer(
    make_models: MakeModels, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stuck = Event()
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", lambda *_, **__: stuck.wait(60))
    models = make_models()
    folder = tmp_path / "models"
    catalog = Catalog([RemoteRepository(bucket, models), Folder(folder, FakeLoader(), elsewhere=models)])
    catalog.start(0.02, load_noticed=True)
    (folder / "cats" / "1").mkdir(parents=True)
    (folder / "cats" / "1" / "model.keras").write_bytes(b"one")
    until(lambda: catalog.is_known("cats") and catalog.find_resident("cats") is not None)
    assert catalog.model("cats").version == "1"
    stuck.set()
    catalog.close()


@pytest.mark.parametrize(
    "name", ["../../evil/1/model.keras", "cats/../../1/model.keras", "cats/1/..\\x.keras", "cats/1/a\nb.h5"]
)
def test_nothing_is_written_elsewhere_when_names_lead_there(make_models: MakeModels, bucket: str, name: str):
    files = fsspec.filesystem("memory")
    root = "/" + bucket.removeprefix("memory://")
    files.pipe(f"{root}/dogs/1/model.keras", b"one")
    # As an object store has it, which takes any key for a name.
    files.store[f"{root}/{name}"] = files.store[f"{root}/dogs/1/model.keras"]
    models = make_models()
    catalog = Catalog([RemoteRepository(bucket, models)])
    assert catalog.load_all()[0].name == "dogs"
    assert set(catalog.names()) <= {"dogs", "cats"}
    outside = [path for path in models.cache.folder.parent.rglob("*") if path.is_file() and "fetched" not in path.parts]
    assert outside == []


def test_both_digests_are_told_when_model_toml_pins_another(make_models: MakeModels, bucket: str):
    pinned, found = "0" * 64, hashlib.sha256(b"one").hexdigest()
    put(bucket, **{"cats/1/model.keras": b"one", "cats/model.toml": f'sha256 = "{pinned}"'.encode()})
    models = make_models()
    catalog = Catalog([RemoteRepository(bucket, models)])
    with pytest.raises(ModelFailedError) as raised:
        catalog.model("cats")
    assert (pinned in raised.value.detail, found in raised.value.detail) == (True, True)
    assert "pin the other digest" in raised.value.detail
    assert loaded(models) == []
    put(bucket, **{"cats/model.toml": f'sha256 = "{found.upper()}"'.encode()})
    catalog.refresh()
    assert catalog.model("cats").digest == found


def test_source_is_refused_when_it_stands_in_a_repository_elsewhere(make_models: MakeModels, bucket: str):
    put(bucket, **{"cats/model.toml": b'source = "file:///etc/model.keras"', "dogs/1/model.keras": b"one"})
    put(bucket, **{"dogs/model.toml": b'source = "models:/dogs/1"'})
    catalog = Catalog([RemoteRepository(bucket, make_models())])
    for name in ("cats", "dogs"):
        with pytest.raises(ModelFailedError):
            catalog.model(name)


def test_encoder_is_loaded_again_when_its_decoder_changes(make_models: MakeModels, bucket: str):
    put(
        bucket,
        **{"encoder/1/model.keras": b"one", "encoder/model.toml": b'decoder = "decoder"', "decoder/1/x.h5": b"two"},
    )
    models = make_models()
    catalog = Catalog([RemoteRepository(bucket, models)])
    first = catalog.model("encoder").digest
    assert loaded(models) == ["model.keras"]
    put(bucket, **{"decoder/1/x.h5": b"three"})
    catalog.refresh()
    assert catalog.model("encoder").digest != first


def test_file_is_refused_when_it_is_larger_than_all_may_be(make_models: MakeModels, bucket: str):
    put(bucket, **{"cats/1/model.keras": b"x" * (2**20 + 1)})
    catalog = Catalog([RemoteRepository(bucket, make_models(room=2**20))])
    with pytest.raises(ModelFailedError, match="CONVSCOPE_LIMITS__FETCHED_BYTES"):
        catalog.model("cats")


def test_models_make_room_for_each_other_when_the_folder_is_full(make_models: MakeModels, bucket: str):
    for number in range(4):
        put(bucket, **{f"m{number}/1/model.keras": bytes([number]) * 400_000})
    models = make_models(room=2**20)
    catalog = Catalog([RemoteRepository(bucket, models)])
    for number in (0, 1, 2, 3, 0, 1, 2, 3):
        catalog.model(f"m{number}")
        catalog.unload(f"m{number}")
        assert sum(file.stat().st_size for file in (models.cache.folder / "files").iterdir()) <= 2**20
    assert len(loaded(models)) == 8


def test_file_is_fetched_anew_when_it_was_damaged_here(make_models: MakeModels, bucket: str):
    put(bucket, **{"cats/1/model.keras": b"one"})
    models = make_models()
    catalog = Catalog([RemoteRepository(bucket, models)])
    catalog.model("cats")
    (file,) = (models.cache.folder / "files").iterdir()
    file.write_bytes(b"eno")
    catalog.unload("cats")
    with pytest.raises(WeightsUnavailableError, match="ask again"):
        catalog.model("cats")
    assert catalog.model("cats").digest == hashlib.sha256(b"one").hexdigest()
