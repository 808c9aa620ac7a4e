"""Model files read in processes of their own: what honest ones come to, and what hostile ones cost."""

import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Timer

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from service.composition.models import open_model_file
from service.engine.ports.overrides import NO_OVERRIDES
from service.errors import ModelFailedError
from service.keras.cell.building import build_probe
from service.keras.cell.cache import NetworkCache
from service.keras.cell.file_access import can_bound_files
from service.keras.cell.limits import CellLimits
from service.keras.cell.process import Cells
from service.keras.cell.reading import Reader
from service.keras.cell.system_calls import can_filter_calls
from service.keras.compute.probe import KerasProbe
from service.keras.compute.tuning import UNTUNED
from service.keras.files.admission.limits import MODEL_FILE_LIMITS
from service.keras.files.loading import load_probe
from service.models.load_journal import LoadJournal
from service.settings import Settings
from tests.contract.conftest import cut_archive
from tests.server import ROOT

LIMITS = CellLimits(memory_bytes=2**31, processor_seconds=30, seconds=120)
# As much may a cell write.
SMALL = replace(MODEL_FILE_LIMITS, weight_bytes=2**26)
# What this process may grow by whatever happens in a cell.
GROWTH_BYTES = 64 * 2**20


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("honest") / "honest.keras", 4)


@pytest.fixture(scope="module")
def another(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("another") / "another.keras", 5)


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """One that reads what it has read before without a cell."""
    folder = tmp_path_factory.mktemp("steady") / "networks"
    return Reader(Cells(LIMITS), NetworkCache(folder, 2**30), versions="1", threads=0)


@pytest.fixture(scope="module")
def parcel(steady: Reader, honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an honest cell makes of an honest file."""
    read = steady.read(honest, NO_OVERRIDES, SMALL)
    file = tmp_path_factory.mktemp("parcel") / "parcel"
    with closing(read.stream) as stream:
        stream.seek(0)
        file.write_bytes(stream.read())
    return file


@pytest.fixture(scope="module")
def go_on(steady: Reader, another: Path) -> Callable[[], None]:
    """Show that this process goes on."""

    def load() -> None:
        assert _load(steady, another).network_info.classes == 3

    return load


def _save(file: Path, seed: int) -> Path:
    keras.utils.set_random_seed(seed)
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3, name="scores")]).save(file)
    return file


@pytest.fixture
def make_reader(tmp_path: Path) -> Iterator[Callable[..., Reader]]:
    readers: list[Reader] = []

    def make(limits: CellLimits = LIMITS, max_bytes: int = 2**30, *, faults: bool = False) -> Reader:
        entry = {"entry": "tests.cell_faults"} if faults else {}
        cache = NetworkCache(tmp_path / "networks", max_bytes)
        readers.append(Reader(Cells(limits, **entry), cache, versions="1", threads=0))
        return readers[-1]

    yield make
    for reader in readers:
        reader.cells.close()


def _load(reader: Reader, file: Path) -> KerasProbe:
    parcel = reader.read(file, NO_OVERRIDES, SMALL)
    with closing(parcel.stream):
        return build_probe(parcel, NO_OVERRIDES, file.name, tuning=UNTUNED, limits=SMALL)


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _named(honest: Path, folder: Path, name: str) -> Path:
    """The file under the name of a fault."""
    (folder / name).write_bytes(honest.read_bytes())
    return folder / name


# In a cell: by its name; its limits; what the reason says; whether it is worth while to try again.
FAULTS = {
    "bomb": (LIMITS, "more than 2147483648 bytes of memory .CONVSCOPE_LIMITS__CELL_MEMORY_BYTES", True),
    "slow-bomb": (LIMITS, "bytes of memory", True),
    "tensorflow-bomb": (LIMITS, "memory|ResourceExhausted|SIGABRT", None),
    "endless": (replace(LIMITS, processor_seconds=2), "more than 2 s of processor time", False),
    "asleep": (replace(LIMITS, seconds=8), "more than 8 s .CONVSCOPE_LIMITS__CELL_SECONDS", True),
    "nowhere": (LIMITS, "'nowhere.keras' ended with SIGSEGV", False),
    "signal": (LIMITS, "'signal.keras' ended with SIGSEGV", False),
    "exit": (LIMITS, "exit code 7", True),
    "silent": (LIMITS, "not as it has to be: .*", False),
    "disk": (LIMITS, "unexpectedly .OSError", True),
    "descriptors": (LIMITS, "unexpectedly .OSError", True),
    "forged-name": (LIMITS, "is a Lambda", False),
    "forged-json": (LIMITS, "the configuration is not JSON", False),
    "forged-order": (LIMITS, "other weights than those", False),
    "forged-length": (LIMITS, "not as it has to be: arrays of", False),
    "forged-type": (LIMITS, "has the type 'object'", False),
}


@pytest.mark.parametrize("name", FAULTS)
def test_reason_is_told_and_nothing_else_is_harmed_when_a_cell_fails(
    parcel: Path, tmp_path: Path, go_on: Callable[[], None], make_reader: Callable[..., Reader], name: str
):
    limits, words, passes = FAULTS[name]
    reader = make_reader(limits, faults=True)
    file = _named(parcel, tmp_path, f"{name}.keras")
    before, begin = _memory(), time.monotonic()
    with pytest.raises(ModelFailedError, match=words) as error:
        _load(reader, file)
    assert time.monotonic() - begin < limits.seconds + 10
    assert _memory() - before < GROWTH_BYTES
    assert reader.cells.started == 1
    assert [path.name for path in (tmp_path / "networks").glob("cell-*")] == []
    if passes is not None:
        assert isinstance(error.value.__cause__, OSError) is passes
    go_on()


@pytest.mark.skipif(not can_filter_calls(), reason="this system has no seccomp")
def test_nothing_is_reached_when_a_cell_looks_around(
    honest: Path, tmp_path: Path, make_reader: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("A_SECRET", "1")
    with pytest.raises(ModelFailedError, match="closed; variables: ") as error:
        _load(make_reader(faults=True), _named(honest, tmp_path, "around.keras"))
    # Python sets one of them by itself, and TensorFlow some.
    assert "A_SECRET" not in error.value.detail
    assert "CONVSCOPE" not in error.value.detail


@pytest.mark.skipif(not can_bound_files(), reason="this system has no Landlock")
def test_no_other_file_is_reached_when_a_cell_looks_for_some(
    honest: Path, another: Path, tmp_path: Path, make_reader: Callable[..., Reader]
):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "model.keras").write_bytes(another.read_bytes())
    with pytest.raises(ModelFailedError, match=r"^bounded$"):
        _load(make_reader(faults=True), _named(honest, tmp_path, "files.keras"))


_BOUND_LATE = """
import threading
from pathlib import Path
from service.keras.cell.file_access import bound_files

threading.Thread(target=threading.Event().wait, daemon=True).start()
try:
    bound_files(Path(), ())
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(not can_bound_files(), reason="this system has no Landlock")
def test_files_are_not_called_bounded_when_another_thread_could_still_open_them():
    command = [sys.executable, "-c", _BOUND_LATE]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said == "the cell has threads before its files are bounded\n"


def test_scores_are_the_same_when_a_file_came_through_a_cell(honest: Path, make_reader: Callable[..., Reader]):
    image = np.random.default_rng(0).random((8, 8, 1), np.float32)
    reader, direct = make_reader(), load_probe(honest)
    for _ in range(2):
        probe = _load(reader, honest)
        np.testing.assert_array_equal(probe.scores(image).values, direct.scores(image).values)
        assert probe.network_info == direct.network_info
    assert reader.cells.started == 1
    # Another start of the service.
    again = make_reader()
    np.testing.assert_array_equal(_load(again, honest).scores(image).values, direct.scores(image).values)
    assert again.cells.started == 0


def test_file_is_read_anew_when_its_content_is_another(
    honest: Path, tmp_path: Path, make_reader: Callable[..., Reader]
):
    reader = make_reader()
    _load(reader, honest)
    other = tmp_path / "other.keras"
    network = keras.saving.load_model(honest)
    network.layers[-1].bias.assign([1.0, 2.0, 3.0])
    network.save(other)
    image = np.zeros((8, 8, 1), np.float32)
    np.testing.assert_array_equal(_load(reader, other).scores(image).values, [1.0, 2.0, 3.0])
    assert reader.cells.started == 2


def test_file_is_read_anew_when_what_was_kept_is_damaged(
    honest: Path, tmp_path: Path, make_reader: Callable[..., Reader]
):
    reader = make_reader()
    _load(reader, honest)
    (kept,) = (tmp_path / "networks").glob("*.network")
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    image = np.zeros((8, 8, 1), np.float32)
    np.testing.assert_array_equal(_load(reader, honest).scores(image).values, load_probe(honest).scores(image).values)
    assert reader.cells.started == 2
    # Whole, and yet no parcel.
    kept.write_bytes(hashlib.sha256(b"other").digest() + b"other")
    _load(reader, honest)
    assert reader.cells.started == 3


def test_nothing_is_kept_when_there_is_no_room(honest: Path, tmp_path: Path, make_reader: Callable[..., Reader]):
    reader = make_reader(max_bytes=100)
    _load(reader, honest)
    _load(reader, honest)
    assert reader.cells.started == 2
    assert list((tmp_path / "networks").glob("*.network")) == []


def test_file_is_read_when_the_data_folder_cannot_be_written(honest: Path, tmp_path: Path):
    (tmp_path / "file").write_text("no folder")
    reader = Reader(Cells(LIMITS), NetworkCache(tmp_path / "file" / "networks", 2**30), versions="1", threads=0)
    assert _load(reader, honest).network_info.classes == 3


def test_loading_ends_when_the_service_does(honest: Path, tmp_path: Path, make_reader: Callable[..., Reader]):
    reader = make_reader(faults=True)
    Timer(4, reader.cells.close).start()
    begin = time.monotonic()
    with pytest.raises(ModelFailedError, match="shutting down"):
        _load(reader, _named(honest, tmp_path, "asleep.keras"))
    assert time.monotonic() - begin < 20


_READ_ALONE = """
import sys
from pathlib import Path
from service.engine.ports.overrides import NO_OVERRIDES
from service.keras.cell.cache import NetworkCache
from service.keras.cell.limits import CellLimits
from service.keras.cell.process import Cells
from service.keras.cell.reading import Reader
from service.keras.cell.system_calls import can_filter_calls
from service.keras.files.admission.limits import MODEL_FILE_LIMITS

cells = Cells(CellLimits(), entry="tests.cell_faults")
cache = NetworkCache(Path(sys.argv[2]), 2**30)
Reader(cells, cache, versions="", threads=0).read(Path(sys.argv[1]), NO_OVERRIDES, MODEL_FILE_LIMITS)
"""


@pytest.mark.parametrize("seconds", [0.0, 6.0])
def test_cell_ends_when_its_parent_is_killed(honest: Path, tmp_path: Path, seconds: float):
    command = [sys.executable, "-c", _READ_ALONE, str(_named(honest, tmp_path, "asleep.keras")), str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT) as parent:
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        _wait_until(lambda: bool(children.read_text()))
        (cell,) = children.read_text().split()
        # Before it asks to be told, or in the middle of the file.
        time.sleep(seconds)
        parent.kill()
    _wait_until(lambda: not Path(f"/proc/{cell}").exists())


def _wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def _circle(file: Path) -> Path:
    """HDF5 whose list of arrays leads back to its own beginning: its library goes round for ever."""
    with h5py.File(file, "w") as hdf5:
        hdf5.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": []})
        for name in "abc":
            hdf5.create_dataset(f"model_weights/{name}", data=np.zeros(3, np.float32))
    content = bytearray(file.read_bytes())
    for node in re.finditer(b"TREE", bytes(content)):
        # The address of the next node of the same level stands 16 bytes on.
        struct.pack_into("<Q", content, node.start() + 16, node.start())
    file.write_bytes(content)
    return file


def test_reason_is_told_when_hdf5_goes_round_in_circles(tmp_path: Path, make_reader: Callable[..., Reader]):
    reader = make_reader(replace(LIMITS, processor_seconds=3))
    with pytest.raises(ModelFailedError, match="more than 3 s of processor time"):
        _load(reader, _circle(tmp_path / "circle.h5"))


@pytest.mark.parametrize("length", [0.1, 0.5, 0.99])
def test_reason_is_told_when_hdf5_is_cut_off(tmp_path: Path, make_reader: Callable[..., Reader], length: float):
    file = tmp_path / "cut.h5"
    keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(3)]).save(file)
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * length)])
    with pytest.raises(ModelFailedError, match=r"'cut\.h5'"):
        _load(make_reader(), file)


def test_reason_is_told_when_a_network_takes_more_memory_than_it_may(
    tmp_path: Path, make_reader: Callable[..., Reader]
):
    file = tmp_path / "wide.keras"
    keras.Sequential([keras.Input((3000, 3000, 3)), layers.Conv2D(16, 3), layers.GlobalMaxPooling2D()]).save(file)
    reader = make_reader(replace(LIMITS, memory_bytes=2**30))
    with pytest.raises(ModelFailedError) as error:
        _load(reader, file)
    assert re.search("memory|OOM|SIG", error.value.detail), error.value.detail


def test_journal_remembers_when_the_file_is_at_fault(honest: Path, tmp_path: Path, make_reader: Callable[..., Reader]):
    journal = LoadJournal(tmp_path / "loads", "context")
    reader = make_reader(replace(LIMITS, seconds=8), faults=True)
    for name, started in (("nowhere", 1), ("asleep", 3)):
        file = _named(honest, tmp_path, f"{name}.keras")
        for _ in range(2):
            with pytest.raises(ModelFailedError):
                journal.load(name, file.name, partial(_load, reader, file))
        assert reader.cells.started == started


def test_doctor_tells_the_same_when_it_reads_by_a_cell(honest: Path, tmp_path: Path):
    settings = Settings(data=tmp_path / "data")
    assert open_model_file(honest, settings).probe.network_info == load_probe(honest).network_info
    cut = tmp_path / "cut.keras"
    cut_archive(honest, cut)
    with pytest.raises(ModelFailedError) as direct:
        load_probe(cut)
    with pytest.raises(ModelFailedError) as told:
        open_model_file(cut, settings)
    assert told.value.detail == direct.value.detail
