"""The repository folder: `MODEL/VERSION/model.keras`, found by looking, never by remembering."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Final

from service.models.sources.application_table import APPLICATIONS
from service.preset_files import BACKBONE, SHARDS, WEIGHTS, preset_files

# No leading dot: hidden folders are no models, and `.` and `..` lead elsewhere.
MODEL_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
SUFFIXES = (".keras", ".h5", ".hdf5")
# An operator may put these straight into the repository: they are no models.
_WEIGHTS = frozenset(application.weights.name for application in APPLICATIONS.values())


@dataclass(frozen=True, slots=True)
class Found:
    """One version on disk. `file` is None where the folder holds no model file, or `problem` says what it holds.

    A preset of KerasHub is several files: then `file` is their folder.

    Two finds compare equal as long as nothing on disk changed.
    """

    name: str
    version: str
    folder: Path
    file: Path | None
    problem: str | None
    stamp: tuple[tuple[int, int] | None, ...]
    # Where the file is: a folder of the version's own, or the model's; and that folder's time.
    place: Path | None = None
    changed: int | None = field(default=None, compare=False)


_NONE_KNOWN: Final[Mapping[str, Found]] = MappingProxyType({})


def find_models(root: Path) -> Iterator[str]:
    """The names of the models in a repository folder, sorted; and of what lies there as if it were one."""
    if root.is_dir():
        folders = [child.name for child in root.iterdir() if _is_model_folder(child)]
        yield from sorted({*folders, *_find_misplaced(root)})


def find_versions(root: Path, name: str, known: Mapping[str, Found] = _NONE_KNOWN) -> list[Found]:
    """The versions of one model, newest first; a file straight in the model's folder is version 1.

    Those `known` by their number are not looked at again whose folders' times are the same.
    """
    folder = root / name
    if not MODEL_NAME.fullmatch(name):
        return []
    if not folder.is_dir():
        problem = _find_misplaced(root).get(name) if root.is_dir() else None
        return [Found(name, "1", root, None, problem, ())] if problem else []
    found = [_look_unless_known(name, version, folder, known) for version in _numbered(folder)]
    if not any(item.version == "1" for item in found) and (not found or _model_files(folder)):
        found.append(_look(name, "1", folder, folder))
    return sorted(found, key=lambda item: int(item.version), reverse=True)


def with_config(found: Found, newer: Found) -> Found:
    """The same version with the stamp that another of the same model has of its model.toml."""
    is_same = found.stamp[1:] == newer.stamp[1:]
    return found if is_same else replace(found, stamp=(found.stamp[0], *newer.stamp[1:]))


def look_again(found: Found) -> Found:
    """The same version as it is now."""
    return found if found.place is None else _look(found.name, found.version, found.folder, found.place)


def _numbered(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if entry.name.isdecimal() and entry.is_dir()]


def _look_unless_known(name: str, version: str, folder: Path, known: Mapping[str, Found]) -> Found:
    place = folder / version
    old = known.get(version)
    if old is not None and old.place == place and old.changed is not None and old.changed == time_of(place):
        return old
    return _look(name, version, folder, place)


def _find_misplaced(root: Path) -> dict[str, str]:
    """What is no model where it lies, by the name that it could have: a loose file, a folder whose name is none."""
    found: dict[str, str] = {}
    for child in root.iterdir():
        name = _NOT_IN_NAMES.sub("-", child.stem if child.is_file() else child.name)[:100]
        if child.name.startswith(".") or child.name in _WEIGHTS or not MODEL_NAME.fullmatch(name):
            continue
        if child.is_file() and child.suffix.lower() in SUFFIXES:
            found[name] = f"'{child.name}' lies straight in the repository: move it to {name}/1/{child.name}"
        elif child.is_dir() and name != child.name and _holds_models(child):
            found[name] = f"'{child.name}' is no name of a model (A-Z a-z 0-9 . _ -): call the folder {name}"
    return found


def _holds_models(folder: Path) -> bool:
    places = [folder, *(child for child in folder.iterdir() if child.is_dir())]
    return any(_model_files(place) for place in places)


def _is_model_folder(folder: Path) -> bool:
    return MODEL_NAME.fullmatch(folder.name) is not None and folder.is_dir()


def choose_file(names: Sequence[str], *, has_saved_model: bool) -> tuple[str | None, str | None]:
    """Which file of a folder is the model's, or why none is."""
    files = sorted(name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES)
    if "model.keras" in files:
        return "model.keras", None
    if len(files) == 1:
        return files[0], None
    if files:
        return None, f"several model files ({', '.join(files)}): keep one, or name one model.keras"
    if has_saved_model:
        return None, "a SavedModel has no layers to look into: save the network with model.save('model.keras')"
    return None, "no .keras, .h5 or .hdf5 file in the folder"


def _look(name: str, version: str, folder: Path, place: Path) -> Found:
    # Before what it holds: what comes meanwhile has a later time.
    changed, config = time_of(place), _stamp(folder / "model.toml")
    listed = _file_names(place)
    if {BACKBONE, WEIGHTS} <= listed:
        return Found(name, version, folder, place, None, (_stamp_preset(place), config), place, changed)
    names = sorted(file for file in listed if file.lower().endswith(SUFFIXES))
    # Asked for last, as it takes a look into every folder.
    has_saved_model = not names and ((place / "saved_model.pb").exists() or any(place.glob("*/saved_model.pb")))
    chosen, problem = choose_file(names, has_saved_model=has_saved_model)
    file = place / chosen if chosen else None
    if SHARDS in listed:
        file, problem = None, "the preset's weights are cut into several files: save it with max_shard_size=None"
    return Found(name, version, folder, file, problem, (_stamp(file), config), place, changed)


def _model_files(place: Path) -> list[Path]:
    listed = _file_names(place)
    if {BACKBONE, WEIGHTS} <= listed:
        return [place]
    return [place / name for name in sorted(listed) if name.lower().endswith(SUFFIXES)]


def _file_names(place: Path) -> set[str]:
    try:
        with os.scandir(place) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except FileNotFoundError:
        # It has gone between two looks.
        return set()


def _stamp_preset(place: Path) -> tuple[int, int]:
    stamps = [stamp for stamp in map(_stamp, preset_files(place)) if stamp is not None]
    return max((changed for changed, _ in stamps), default=0), sum(size for _, size in stamps)


def time_of(folder: Path) -> int | None:
    """When something came into a folder or left it; None where there is none."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_size)
