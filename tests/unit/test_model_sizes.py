"""Model files that ask for too much, refused by arithmetic alone: TensorFlow is not imported here."""

import io
import json
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from service.errors import ModelFailedError
from service.keras.files.admission.build_work import measure_work
from service.keras.files.admission.limits import MODEL_FILE_LIMITS, shown
from service.keras.files.archive import inspect
from service.keras.files.repair.readable import readable
from tests.oversized_models import (
    WEIGHTS,
    backwards,
    called,
    doubling,
    functional,
    layer,
    sequential,
    sequentials,
    take,
    weights_file,
    write_archive,
    write_hdf5,
)

SMALL = sequential("small", take([None, 4]), layer("Dense", "scores", units=2))
FITTING = weights_file({"kernel": np.ones((4, 2), np.float32), "bias": np.ones(2, np.float32)})


def _with(entry: dict[str, Any], shape: list[int | None] | None = None) -> dict[str, Any]:
    return sequential("model", take(shape or [None, 4]), entry)


CONFIGURATIONS: dict[str, tuple[Any, str]] = {
    "dense": (
        _with(layer("Dense", "wide", units=750_000_000)),
        "'wide' has at least 750000000 weights, but .* holds 0",
    ),
    "units as a float": (_with(layer("Dense", "wide", units=7.5e8)), "'wide' has at least 750000000 weights"),
    "kernel": (
        _with(layer("Conv2D", "wide", filters=64, kernel_size=[9999, 9999]), [None, 9, 9, 3]),
        "'wide' has at least",
    ),
    "embedding": (_with(layer("Embedding", "wide", input_dim=10**6, output_dim=10**6)), "'wide' has at least"),
    "recurrent": (_with(layer("LSTM", "wide", units=50_000), [None, 4, 4]), "'wide' has at least"),
    "input": (
        _with(layer("ReLU", "relu"), [None, 10_000, 10_000, 3]),
        "takes 10000 x 10000 x 3 numbers; at most 67108864",
    ),
    "old input": (
        sequential("model", take([None, 10_000, 10_000, 3], "batch_input_shape"), layer("ReLU", "relu")),
        "10000 x 10000 x 3",
    ),
    "batch": (_with(layer("SimpleRNN", "states", units=3, stateful=True), [10**6, 4, 3]), "batches of 1000000"),
    "unrolled": (_with(layer("LSTM", "steps", units=1, unroll=True), [None, 9999, 1]), "unroll=False"),
    "spectrum": (_with(layer("MelSpectrogram", "m", num_mel_bins=20_000, fft_length=20_000)), "fft_length"),
    "name": (_with(layer("ReLU", "a" * 30_000)), r"'a{80}…' has 30000 characters; .* may have 256"),
    "no name": (_with({"class_name": "ReLU", "config": {"name": [[]] * 99}}), "a name in the configuration is no text"),
    "key": (_with({"class_name": "ReLU", "config": {"k" * 999: 1}}), "has 999 characters"),
    "number": (_with(layer("Reshape", "shape", target_shape=[10**4000])), "more than 63 bits"),
    "nested": (json.loads("[" * 900 + "]" * 900), "more than 256 levels deep"),
    "too deep for Python": ("[" * 200_000, "not JSON"),
    "bytes": ('{"a": "' + "b" * 5_000_000 + '"}', "config.json of 5000009 bytes; more than 4194304"),
    "entries": ("[" + "[]," * 600_000 + "[]]", "more than 500000 entries"),
    "doubling": (doubling(30), r"\d+ layers; at most 5000"),
    "sequentials": (sequentials(5, 240), r"call layers some \d+ times .*; at most 50000"),
    "backwards": (backwards(1200), r"call layers some \d+ times"),
}


@pytest.mark.parametrize(("config", "reason"), CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_configuration_is_refused_when_it_asks_for_too_much(tmp_path: Path, config: Any, reason: str):
    with pytest.raises(ModelFailedError, match=reason) as refusal:
        inspect(write_archive(tmp_path / "m.keras", config))
    assert len(refusal.value.detail) < 500


ARCHIVES: dict[str, tuple[dict[str, bytes], str]] = {
    "assets": ({"assets__vocabulary.txt": b"a"}, "a member 'assets/vocabulary.txt'"),
    "arrays of another kind": ({"model.weights.npz": b"a"}, "a member 'model.weights.npz'"),
    "leading out": ({"..__evil.txt": b"a"}, r"a member '\.\./evil\.txt'"),
    "line feed": ({"a\n\x1b[31mb": b"a"}, r"a member 'a\\n\\x1b\[31mb'"),
}


@pytest.mark.parametrize(("members", "reason"), ARCHIVES.values(), ids=ARCHIVES)
def test_archive_is_refused_when_it_has_other_members(tmp_path: Path, members: dict[str, bytes], reason: str):
    with pytest.raises(ModelFailedError, match=reason):
        inspect(write_archive(tmp_path / "m.keras", SMALL, FITTING, **members))


@pytest.mark.parametrize("name", ["config.json", "metadata.json", WEIGHTS])
def test_member_is_not_unpacked_when_it_is_a_bomb(tmp_path: Path, name: str):
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in ("config.json", "metadata.json", WEIGHTS):
            archive.writestr(member, b"\0" * 64 * 2**20 if member == name else b"{}")
    assert file.stat().st_size < 100_000
    with pytest.raises(ModelFailedError, match=f"(has a|') ?{name}'? .*67108864"):
        inspect(file)


def test_archive_is_refused_when_a_member_is_there_twice_encrypted_or_a_link(tmp_path: Path):
    def write(info: zipfile.ZipInfo, times: int = 1) -> Path:
        file = tmp_path / "m.keras"
        with zipfile.ZipFile(file, "w") as archive:
            for _ in range(times):
                archive.writestr(info, json.dumps(SMALL))
        return file

    with pytest.warns(UserWarning, match="Duplicate"):
        double = write(zipfile.ZipInfo("config.json"), times=2)
    with pytest.raises(ModelFailedError, match=r"2 members called 'config\.json'"):
        inspect(double)
    link = zipfile.ZipInfo("config.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(ModelFailedError, match="is a link"):
        inspect(write(link))
    encrypted = write(zipfile.ZipInfo("config.json")).read_bytes()
    at = encrypted.index(b"PK\x01\x02") + 8
    (tmp_path / "m.keras").write_bytes(encrypted[:at] + b"\x01" + encrypted[at + 1 :])
    with pytest.raises(ModelFailedError, match="is encrypted"):
        inspect(tmp_path / "m.keras")


def test_listing_is_not_read_when_it_is_long(tmp_path: Path):
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(3_000):
            archive.writestr(f"{number:05}", b"")
    with pytest.raises(ModelFailedError, match="lists too many members"):
        inspect(file)


ARRAYS = {
    "never written": ({"a": (800_000_000,)}, {}),
    "packed": ({"a": np.zeros(50_000_000, np.float32)}, {"compression": "gzip", "compression_opts": 9}),
    "a part larger than the array": ({"a": (10,)}, {"chunks": (250_000_000,), "maxshape": (None,)}),
    "no end of them": ({f"{number:03}": (10_000_000,) for number in range(100)}, {}),
}


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize(("arrays", "options"), ARRAYS.values(), ids=ARRAYS)
def test_arrays_are_refused_when_the_file_does_not_hold_them(
    tmp_path: Path, arrays: dict[str, Any], options: dict[str, Any], suffix: str
):
    content = weights_file(arrays, **options)
    assert len(content) < 400_000
    file = tmp_path / f"m{suffix}"
    if suffix == ".keras":
        write_archive(file, SMALL, content)
    else:
        file.write_bytes(content)
        with h5py.File(file, "r+") as hdf5:
            hdf5.attrs["model_config"] = json.dumps(SMALL)
    with pytest.raises(ModelFailedError, match=r"declares arrays of \d+ bytes, but holds \d+ bytes"):
        inspect(file)


def test_array_is_refused_when_it_lies_in_another_file(tmp_path: Path):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.create_dataset("a", (4,), np.float32, external=[("/etc/hostname", 0, 16)])
    with pytest.raises(ModelFailedError, match="lies in another file"):
        inspect(write_archive(tmp_path / "m.keras", SMALL, content.getvalue()))


def test_one_array_counts_once_when_it_has_many_names(tmp_path: Path):
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["a"] = np.ones(1000, np.float32)
        for number in range(1000):
            file[f"again-{number}"] = file["a"]
    assert inspect(write_archive(tmp_path / "m.keras", SMALL, content.getvalue())).stored.numbers == 1000


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_numbers_are_counted_wherever_the_weights_lie(tmp_path: Path, packing: int):
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w", packing) as archive:
        archive.writestr("config.json", json.dumps(SMALL))
        archive.writestr(WEIGHTS, FITTING)
    assert inspect(file).stored.numbers == 10


def test_work_is_that_of_keras():
    chain = sequential("s", take([None, 4]), layer("ReLU", "a"), layer("ReLU", "b"))
    assert measure_work(chain, 1000) == (3, 3 + 1 + 2 + 3)
    assert measure_work(doubling(11), 10**6).calls == 3 * 2**10 - 1
    two = functional("f", [called(take([None, 4])), called(layer("ReLU", "r"), ("input", 0), ("r", 0))], "r", 1)
    assert measure_work(two, 1000).calls == 3


def test_limits_are_those_given(tmp_path: Path):
    file = write_archive(tmp_path / "m.keras", SMALL, FITTING)
    assert inspect(file).file_format == "keras"
    for limit, reason in (
        ("layers", "2 layers; at most 1"),
        ("name_length", "MODEL_NAME_LENGTH"),
        ("config_bytes", "config.json of"),
    ):
        lower: dict[str, Any] = {limit: 1}
        with pytest.raises(ModelFailedError, match=reason):
            inspect(file, replace(MODEL_FILE_LIMITS, **lower))


def test_repairs_take_no_square_of_the_layers(tmp_path: Path):
    models = [{"class_name": "Model", "config": {"name": f"m{number}"}} for number in range(4_000)]
    reader = {"class_name": "ReLU", "config": {"name": "r"}, "inbound_nodes": [[["m1", 1, 0]] * 100_000]}
    config = {"class_name": "Model", "config": {"name": "top", "layers": [*models, reader]}}
    file = write_hdf5(tmp_path / "m.h5", config)
    inspect(file)
    # 400 million comparisons took minutes.
    with readable(file, "hdf5") as (_, repairs):
        assert repairs == ("calls of nested models were counted from 0 instead of 1: 'm1'",)


def test_name_is_one_short_line_in_a_sentence():
    assert shown("a\n\x1b[31mü") == r"a\n\x1b[31m\xfc"
    assert shown("a" * 500) == "a" * 80 + "…"
    assert len(shown("ü" * 500)) < 130
    assert shown({"a": 1}) == "dict"
