"""Harmless model files of a few kilobytes, each hostile in a way of its own: written here, byte by byte, without Keras.

`HOSTILE` has a recipe for each, and what is said of it. `write_honest` is the file that they would be otherwise.
"""

import io
import json
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import h5py
import numpy as np

from tests.oversized_models import WEIGHTS, Entry, layer, sequential, sequentials, take, write_archive

_KERNEL = np.zeros((16, 3), np.float32)
_PLACE: Final = "layers/dense/vars"
# Blosc, of which HDF5 would look for a plug-in.
_PLUG_IN: Final = 32001
_SCALE_OFFSET: Final = 6
_VICTIM: Final = "victim"
# Writes a kernel under a name of a group; the folder has what it may lead to.
Weights = Callable[[h5py.Group, str, Path], object]


@dataclass(frozen=True)
class Hostile:
    """`write` makes the file in a folder that has somebody else's file too; `reason` is a pattern of what is said."""

    write: Callable[[Path], Path]
    reason: str


def _config(*layers: Entry) -> Entry:
    return sequential("small", take([None, 4, 4, 1]), layer("Flatten", "flat"), *layers)


_SMALL: Final = _config(layer("Dense", "scores", units=3))


def write_honest(folder: Path) -> Path:
    return write_archive(folder / "model.keras", _SMALL, _weights(folder, _kernel_inside))


def write_honest_hdf5(folder: Path) -> Path:
    return _old_with_kernel(_kernel_inside)(folder)


def write_victim(folder: Path) -> Path:
    """What hostile files would like to read: HDF5, so that links to it work."""
    with h5py.File(folder / _VICTIM, "w") as file:
        file["secret"] = np.ones((16, 3), np.float32)
    return folder / _VICTIM


def _weights(folder: Path, kernel: Weights) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        variables = file.create_group(_PLACE)
        variables["1"] = np.zeros(3, np.float32)
        kernel(variables, "0", folder)
    return content.getvalue()


def _kernel_inside(variables: h5py.Group, name: str, _: Path) -> None:
    variables[name] = _KERNEL


def _with_kernel(kernel: Weights) -> Callable[[Path], Path]:
    """An archive whose kernel is not where it should be."""
    return lambda folder: write_archive(folder / "model.keras", _SMALL, _weights(folder, kernel))


def _old_with_kernel(kernel: Weights) -> Callable[[Path], Path]:
    """The same in an HDF5 file, whose weights Keras's other reader takes."""

    def write(folder: Path) -> Path:
        with h5py.File(folder / "model.h5", "w") as file:
            file.attrs["model_config"] = json.dumps(_SMALL)
            file.attrs["keras_version"] = "3.15.1"
            layers = {name: file.create_group(f"model_weights/{name}") for name in ("flat", "scores")}
            file["model_weights"].attrs["layer_names"] = list(layers)
            layers["flat"].attrs["weight_names"] = []
            layers["scores"].attrs["weight_names"] = ["scores/kernel", "scores/bias"]
            variables = layers["scores"].create_group("scores")
            variables["bias"] = np.zeros(3, np.float32)
            kernel(variables, "kernel", folder)
        return folder / "model.h5"

    return write


def _external(variables: h5py.Group, name: str, folder: Path) -> None:
    place = [(str(folder / _VICTIM), 0, h5py.h5f.UNLIMITED)]
    variables.create_dataset(name, _KERNEL.shape, np.float32, external=place)


def _virtual(variables: h5py.Group, name: str, folder: Path) -> None:
    layout = h5py.VirtualLayout(_KERNEL.shape, np.float32)
    layout[:] = h5py.VirtualSource(folder / _VICTIM, "secret", shape=_KERNEL.shape)
    variables.create_virtual_dataset(name, layout)


def _link(target: str) -> Weights:
    def write(variables: h5py.Group, name: str, _: Path) -> None:
        variables[name] = h5py.SoftLink(target)

    return write


def _external_link(variables: h5py.Group, name: str, folder: Path) -> None:
    variables[name] = h5py.ExternalLink(folder / _VICTIM, "/secret")


def _external_group(folder: Path) -> Path:
    """Of a whole group, on the way to an array."""
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers"] = h5py.ExternalLink(folder / _VICTIM, "/")
    return write_archive(folder / "model.keras", _SMALL, content.getvalue())


def _filtered(number: int, *values: int) -> Weights:
    def write(variables: h5py.Group, name: str, _: Path) -> None:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk(_KERNEL.shape)
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, values)
        space = h5py.h5s.create_simple(_KERNEL.shape)
        h5py.h5d.create(variables.id, name.encode(), h5py.h5t.NATIVE_INT32, space, properties)

    return write


def _unwritten(variables: h5py.Group, name: str, _: Path) -> None:
    variables.create_dataset(name, (25_000_000_000,), np.float32)


def _members(*members: tuple[zipfile.ZipInfo | str, bytes]) -> Callable[[Path], Path]:
    """The honest archive with more members."""

    def write(folder: Path) -> Path:
        file = write_honest(folder)
        with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for info, content in members:
                archive.writestr(info, content)
        return file

    return write


def _linked(name: str, target: bytes) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target


def _link_as_config(folder: Path) -> Path:
    file = folder / "model.keras"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(*_linked("config.json", str(folder / _VICTIM).encode()))
        archive.writestr(WEIGHTS, _weights(folder, _kernel_inside))
    return file


def _change_listing(place: int, value: bytes, name: bytes = b"config.json") -> Callable[[Path], Path]:
    """The honest archive with another value in its listing's entry of a member."""

    def write(folder: Path) -> Path:
        file = write_honest(folder)
        content = bytearray(file.read_bytes())
        entry = content.index(name, content.index(b"PK\x01\x02")) - 46
        content[entry + place : entry + place + len(value)] = value
        file.write_bytes(content)
        return file

    return write


def _bomb(folder: Path) -> Path:
    file = write_honest(folder)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(_SMALL))
        archive.writestr(WEIGHTS, b"\0" * 64 * 2**20)
    return file


def _asking(config: Entry) -> Callable[[Path], Path]:
    return lambda folder: write_archive(folder / "model.keras", config, _weights(folder, _kernel_inside))


def _damaged(damage: Callable[[bytearray], None]) -> Callable[[Path], Path]:
    """An old file of three arrays, with a few bytes changed. Which ones is from `python -m tests.mutations.models`."""

    def write(folder: Path) -> Path:
        with h5py.File(folder / "model.h5", "w") as file:
            file.attrs["model_config"] = json.dumps(_SMALL)
            for name in "abc":
                file.create_dataset(f"model_weights/{name}", data=np.zeros(3, np.float32))
        content = bytearray((folder / "model.h5").read_bytes())
        damage(content)
        (folder / "model.h5").write_bytes(content)
        return folder / "model.h5"

    return write


def _empty_rest(content: bytearray) -> None:
    """What is left of the heap with the configuration has no bytes, so that its reader never comes to the end."""
    heap = content.index(b"GCOL")
    (size,) = struct.unpack_from("<Q", content, heap + 24)
    struct.pack_into("<Q", content, heap + 32 + -(-size // 8) * 8 + 8, 0)


def _strange_type(content: bytearray) -> None:
    """The configuration's type is of no kind that there is: the library reads at the address 0."""
    name = content.index(b"model_config\0")
    content[content.index(b"\x19\x01", name) + 1] = 0x4D


HOSTILE: Final[dict[str, Hostile]] = {
    "external-link": Hostile(_with_kernel(_external_link), "a link 'layers/dense/vars/0' to another file"),
    "external-link-of-a-group": Hostile(_external_group, "a link 'layers' to another file"),
    "external-link-in-hdf5": Hostile(_old_with_kernel(_external_link), "a link 'model_weights/.*' to another file"),
    "external-storage": Hostile(_with_kernel(_external), "the array .* lies in another file"),
    "external-storage-in-hdf5": Hostile(_old_with_kernel(_external), "the array .* lies in another file"),
    "virtual-dataset": Hostile(_with_kernel(_virtual), "the array .* lies in another file"),
    "virtual-dataset-in-hdf5": Hostile(_old_with_kernel(_virtual), "the array .* lies in another file"),
    "soft-link": Hostile(_with_kernel(_link("/../../secret")), "a link 'layers/dense/vars/0' to another name"),
    "soft-link-to-itself": Hostile(_with_kernel(_link(f"/{_PLACE}/0")), "a link 'layers/dense/vars/0' to another name"),
    "plug-in": Hostile(_with_kernel(_filtered(_PLUG_IN)), "is packed by a filter that is not read"),
    "scale-offset": Hostile(_with_kernel(_filtered(_SCALE_OFFSET, 2, 0)), "is packed by a filter that is not read"),
    "shape-of-100-gigabytes": Hostile(_with_kernel(_unwritten), r"declares arrays of 1000\d{8} bytes, but holds"),
    "absolute-path": Hostile(_members(("/etc/new", b"new")), "has a member '.*new'"),
    "path-leading-out": Hostile(_members(("assets/../../new", b"new")), r"has a member 'assets/\.\./\.\./new'"),
    "link-as-member": Hostile(_members(_linked("assets", b"/etc")), "has a member 'assets'"),
    "link-as-configuration": Hostile(_link_as_config, r"'config\.json' .* is a link"),
    "double-name": Hostile(_members((WEIGHTS, b"other")), rf"2 members called '{WEIGHTS}'"),
    "encrypted": Hostile(_change_listing(8, b"\x01"), "is encrypted"),
    "wrong-size": Hostile(
        _change_listing(24, struct.pack("<L", 9999), WEIGHTS.encode()), f"'{WEIGHTS}' .* is said to have 9999 bytes"
    ),
    "unpacks-to-more": Hostile(_bomb, "unpacks .* more than 20 times as many"),
    "vocabulary-file": Hostile(_members(("assets/layers/lookup/vocabulary.txt", b"a")), "has a member 'assets/layers"),
    "configuration-of-100-gigabytes": Hostile(
        _asking(_config(layer("Dense", "wide", units=25_000_000_000))), "'wide' has at least 25000000000 weights"
    ),
    "configuration-that-takes-hours": Hostile(_asking(sequentials(14, 290)), "call layers some"),
    "name-leading-out": Hostile(_asking(_config(layer("Dense", "..", units=3))), r"a layer is called '\.\.'"),
    "endless": Hostile(_damaged(_empty_rest), "took more than .* s of processor time"),
    "crash": Hostile(_damaged(_strange_type), "ended with SIGSEGV"),
}
