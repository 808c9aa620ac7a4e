"""Model files refused by reading them, before Keras is asked."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from service.engine.keras.archive import inspect
from service.errors import ModelFailedError


def _keras_file(path: Path, config: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
    return path


def _nested(entry: dict[str, Any], depth: int) -> dict[str, Any]:
    for _ in range(depth):
        entry = {"module": "keras", "class_name": "Sequential", "config": {"layers": [entry]}}
    return entry


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "trick"}}


def test_lambda_is_named_when_it_hides_deep_in_a_keras_archive(tmp_path: Path):
    file = _keras_file(tmp_path / "m.keras", _nested(LAMBDA, 50))
    with pytest.raises(ModelFailedError, match=r"layer 'trick' is a Lambda"):
        inspect(file)


@pytest.mark.parametrize("class_name", ["Lambda", "TFOpLambda", "SlicingOpLambda", "TFSMLayer", "__lambda__"])
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_code_is_refused_when_an_hdf5_file_carries_it(tmp_path: Path, class_name: str, suffix: str):
    file = tmp_path / f"m{suffix}"
    config = {"class_name": "Sequential", "config": [{"class_name": class_name, "config": {"name": "trick"}}]}
    with h5py.File(file, "w") as hdf5:
        hdf5.attrs["model_config"] = json.dumps(config)
    with pytest.raises(ModelFailedError, match="'trick'"):
        inspect(file)


def test_class_is_refused_when_it_is_not_keras_own(tmp_path: Path):
    entry = {"module": "os", "class_name": "system", "config": {}}
    with pytest.raises(ModelFailedError, match="module 'os'"):
        inspect(_keras_file(tmp_path / "m.keras", _nested(entry, 3)))


def test_format_is_told_by_content_when_the_suffix_lies(tmp_path: Path):
    file = tmp_path / "m.keras"
    with h5py.File(file, "w") as hdf5:
        hdf5.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": []})
    assert inspect(file) == "hdf5"
    assert inspect(_keras_file(tmp_path / "m.h5", {"class_name": "Functional", "module": "keras"})) == "keras"


@pytest.mark.parametrize(
    ("config", "reason"),
    [("{", "not JSON"), ("[" * 200_000, "not JSON"), (None, "no config.json")],
    ids=["cut short", "nested too deep", "missing"],
)
def test_reason_is_told_when_the_archive_is_no_model(tmp_path: Path, config: str | None, reason: str):
    file = tmp_path / "m.keras"
    if config is None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme.txt", "hello")
    else:
        _keras_file(file, config)
    with pytest.raises(ModelFailedError, match=reason):
        inspect(file)


def test_reason_is_told_when_the_file_is_neither_zip_nor_hdf5(tmp_path: Path):
    file = tmp_path / "m.keras"
    file.write_bytes(b"not a model")
    with pytest.raises(ModelFailedError, match=r"neither a \.keras archive nor an HDF5"):
        inspect(file)


def test_reason_is_told_when_an_archive_is_cut_off(tmp_path: Path):
    file = _keras_file(tmp_path / "m.keras", {"class_name": "Functional"})
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ModelFailedError, match="cut off or damaged"):
        inspect(file)


def test_reason_is_told_when_an_hdf5_file_holds_weights_only(tmp_path: Path):
    file = tmp_path / "m.h5"
    with h5py.File(file, "w") as hdf5:
        hdf5.create_group("layer")
    with pytest.raises(ModelFailedError, match="weights without a network"):
        inspect(file)


def test_config_is_not_read_when_it_is_a_zip_bomb(tmp_path: Path):
    file = tmp_path / "m.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * (65 * 2**20))
    with pytest.raises(ModelFailedError, match="more than"):
        inspect(file)
