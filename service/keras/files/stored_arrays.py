"""The arrays that a model file holds, by its own arithmetic: what they declare against the bytes that are there.

HDF5 lets an array of gigabytes stand in a kilobyte: never written, packed, several times in one place, or in another
file. Keras allocates what is declared. Nothing leads out of a file, and no array is read.
"""

import os
from pathlib import Path
from typing import Final

import h5py

from service.errors import ModelFailedError
from service.keras.files.admission.limits import ModelFileLimits, Stored, shown
from service.keras.files.archive_listing import open_weights

# deflate, shuffle, fletcher32, szip, and h5py's lzf. For those of others the library would load a plug-in; its own
# N-bit and scale-offset have known faults (docs/known-vulnerabilities.md), and Keras uses neither.
_FILTERS: Final = {1, 2, 3, 4, 32000}
# Unpacked whatever the bytes in the file.
_FREE_BYTES: Final = 2**20
# Groups and arrays: 5,000 layers have some 20 each, an optimizer's among them.
_MAX_OBJECTS: Final = 100_000


def measure_arrays(path: Path, file_format: str, limits: ModelFileLimits) -> Stored:
    """Add up the arrays of a `.keras` or HDF5 file. Raises ModelFailedError where the file cannot hold them."""
    try:
        if file_format == "hdf5":
            with h5py.File(path, "r") as file:
                return _measure(file, path, path.stat().st_size, limits)
        with open_weights(path) as stream:
            if stream is None:
                return Stored()
            size = stream.seek(0, os.SEEK_END)
            with h5py.File(stream, "r") as file:
                return _measure(file, path, size, limits)
    except ModelFailedError:
        raise
    except Exception as error:
        # h5py has another one for each place where a file can be damaged.
        raise ModelFailedError(f"the weights in '{path.name}' are damaged: copy the file again") from error


class _Sum:
    """Visits every object of a file once, however many names it has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.numbers = self.declared = self.stored = self._objects = 0

    def __call__(self, name: str, found: h5py.Dataset | h5py.Group) -> None:
        self._objects += 1
        if self._objects > _MAX_OBJECTS:
            raise ModelFailedError(f"'{self._path.name}' has more than {_MAX_OBJECTS} groups and arrays of weights")
        if not isinstance(found, h5py.Dataset):
            return
        properties = found.id.get_create_plist()
        filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
        if found.external or found.is_virtual:
            raise ModelFailedError(
                f"the array '{shown(name)}' in '{self._path.name}' lies in another file: save the model again with "
                "model.save()"
            )
        if not filters <= _FILTERS:
            raise ModelFailedError(
                f"the array '{shown(name)}' in '{self._path.name}' is packed by a filter that is not read: save the "
                "model again with model.save()"
            )
        chunk = 1
        for side in found.chunks or ():
            chunk *= side
        self.numbers += found.size or 0
        # A part is unpacked as a whole, even where it is larger than the array.
        self.declared += max(found.size or 0, chunk) * found.dtype.itemsize
        self.stored += found.id.get_storage_size()


class _Links:
    """What is wrong with a link: it leads out of the file, or there are too many. Whoever reads a file follows them."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, name: str, link: object) -> str | None:
        # A text ends the visit; an error raised here would become another one in h5py.
        self._count += 1
        if self._count > _MAX_OBJECTS:
            return f"has more than {_MAX_OBJECTS} names of groups and arrays"
        if isinstance(link, h5py.HardLink):
            return None
        target = "another file" if isinstance(link, h5py.ExternalLink) else "another name"
        return f"has a link '{shown(name)}' to {target}, and Keras writes none: save the model again with model.save()"


def _measure(file: h5py.File, path: Path, size: int, limits: ModelFileLimits) -> Stored:
    if wrong := file.visititems_links(_Links()):
        raise ModelFailedError(f"'{path.name}' {wrong}")
    found = _Sum(path)
    file.visititems(found)
    if found.stored > size or found.declared > _FREE_BYTES + limits.expansion * found.stored:
        raise ModelFailedError(
            f"'{path.name}' declares arrays of {found.declared} bytes, but holds {min(found.stored, size)} bytes for "
            f"them, more than {limits.expansion} times fewer (CONVSCOPE_LIMITS__MODEL_EXPANSION): "
            "save the model again with model.save()"
        )
    return Stored(found.numbers)
