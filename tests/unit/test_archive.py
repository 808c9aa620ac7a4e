"""Model files refused by reading them, before Keras is asked."""

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import pytest

from service.errors import ModelFailedError
from service.keras.files.archive import inspect


def _keras_file(path: Path, config: Any) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
    return path


def test_format_is_told_by_content_when_the_suffix_lies(tmp_path: Path):
    file = tmp_path / "m.keras"
    with h5py.File(file, "w") as hdf5:
        hdf5.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": []})
    assert inspect(file).file_format == "hdf5"
    lying = _keras_file(tmp_path / "m.h5", {"class_name": "Functional", "module": "keras"})
    assert inspect(lying).file_format == "keras"


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
