"""The repository folder: `MODEL/VERSION/model.keras`, found by looking, never by remembering."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# No leading dot: hidden folders are no models, and `.` and `..` lead elsewhere.
MODEL_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")
SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True)
class Found:
    """One version on disk. `file` is None where the folder holds no model file, or `problem` says what it holds.

    Two finds compare equal as long as nothing on disk changed.
    """

    name: str
    version: str
    folder: Path
    file: Path | None
    problem: str | None
    stamp: tuple[tuple[int, int] | None, ...]


def find_models(root: Path) -> Iterator[str]:
    """The names of the models in a repository folder, sorted."""
    if root.is_dir():
        for folder in sorted(root.iterdir()):
            if _is_model_folder(folder):
                yield folder.name


def find_versions(root: Path, name: str) -> list[Found]:
    """The versions of one model, newest first; a file straight in the model's folder is version 1."""
    folder = root / name
    if not MODEL_NAME.fullmatch(name) or not folder.is_dir():
        return []
    numbered = [child for child in folder.iterdir() if child.is_dir() and child.name.isdecimal()]
    found = [_look(name, child.name, folder, child) for child in numbered]
    if not any(item.version == "1" for item in found) and (not found or _model_files(folder)):
        found.append(_look(name, "1", folder, folder))
    return sorted(found, key=lambda item: int(item.version), reverse=True)


def _is_model_folder(folder: Path) -> bool:
    return MODEL_NAME.fullmatch(folder.name) is not None and folder.is_dir()


def _look(name: str, version: str, folder: Path, place: Path) -> Found:
    files = _model_files(place)
    file = place / "model.keras" if place / "model.keras" in files else None
    problem = None
    if file is None and len(files) == 1:
        file = files[0]
    elif file is None and files:
        problem = f"several model files ({', '.join(path.name for path in files)}): keep one, or name one model.keras"
    elif (place / "saved_model.pb").exists() or any(place.glob("*/saved_model.pb")):
        problem = "a SavedModel has no layers to look into: save the network with model.save('model.keras')"
    elif not files:
        problem = "no .keras, .h5 or .hdf5 file in the folder"
    return Found(name, version, folder, file, problem, (_stamp(file), _stamp(folder / "model.toml")))


def _model_files(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.suffix in SUFFIXES and path.is_file())


def _stamp(path: Path | None) -> tuple[int, int] | None:
    if path is None or not path.exists():
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size
