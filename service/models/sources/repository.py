"""The repository folder: `MODEL/VERSION/model.keras`, found by looking, never by remembering."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from service.models.sources.application_table import APPLICATIONS
from service.preset_files import SHARDS, is_preset, preset_files

# No leading dot: hidden folders are no models, and `.` and `..` lead elsewhere.
MODEL_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
SUFFIXES = (".keras", ".h5", ".hdf5")
# An operator may put these straight into the repository: they are no models.
_WEIGHTS = frozenset(application.weights.name for application in APPLICATIONS.values())


@dataclass(frozen=True)
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
    # Where the file is: a folder of the version's own, or the model's.
    place: Path | None = None


def find_models(root: Path) -> Iterator[str]:
    """The names of the models in a repository folder, sorted; and of what lies there as if it were one."""
    if root.is_dir():
        folders = [child.name for child in root.iterdir() if _is_model_folder(child)]
        yield from sorted({*folders, *_find_misplaced(root)})


def find_versions(root: Path, name: str) -> list[Found]:
    """The versions of one model, newest first; a file straight in the model's folder is version 1."""
    folder = root / name
    if not MODEL_NAME.fullmatch(name):
        return []
    if not folder.is_dir():
        problem = _find_misplaced(root).get(name) if root.is_dir() else None
        return [Found(name, "1", root, None, problem, ())] if problem else []
    numbered = [child for child in folder.iterdir() if child.is_dir() and child.name.isdecimal()]
    found = [_look(name, child.name, folder, child) for child in numbered]
    if not any(item.version == "1" for item in found) and (not found or _model_files(folder)):
        found.append(_look(name, "1", folder, folder))
    return sorted(found, key=lambda item: int(item.version), reverse=True)


def look_again(found: Found) -> Found:
    """The same version as it is now."""
    return found if found.place is None else _look(found.name, found.version, found.folder, found.place)


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
    stamps = _stamp(folder / "model.toml")
    if is_preset(place):
        return Found(name, version, folder, place, None, (_stamp_preset(place), stamps), place)
    names = [path.name for path in _model_files(place)]
    # Asked for last, as it takes a look into every folder.
    has_saved_model = not names and ((place / "saved_model.pb").exists() or any(place.glob("*/saved_model.pb")))
    chosen, problem = choose_file(names, has_saved_model=has_saved_model)
    file = place / chosen if chosen else None
    if (place / SHARDS).exists():
        file, problem = None, "the preset's weights are cut into several files: save it with max_shard_size=None"
    return Found(name, version, folder, file, problem, (_stamp(file), stamps), place)


def _model_files(place: Path) -> list[Path]:
    if is_preset(place):
        return [place]
    try:
        return sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    except FileNotFoundError:
        # It has gone between two looks.
        return []


def _stamp_preset(place: Path) -> tuple[int, int]:
    stamps = [stamp for stamp in map(_stamp, preset_files(place)) if stamp is not None]
    return max((changed for changed, _ in stamps), default=0), sum(size for _, size in stamps)


def _stamp(path: Path | None) -> tuple[int, int] | None:
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return None if status is None else (status.st_mtime_ns, status.st_size)
