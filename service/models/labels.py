"""Class labels: ImageNet's, a file's, or a list's."""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from service.engine.text_files import to_utf8
from service.errors import ModelFailedError

_NUMBERED = re.compile(r"([0-9]+)\s+(\S.*)")


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 ImageNet class names by index, as keras.applications lists them (imagenet_class_index.json)."""
    text = files("service.models").joinpath("imagenet_labels.txt").read_text(encoding="utf-8")
    return tuple(text.split())


def read_labels(labels: str | list[str] | None, folder: Path) -> tuple[str, ...] | None:
    """Resolve `labels` of a model.toml: "imagenet", a text file in the model's folder, or the list itself."""
    if labels is None or isinstance(labels, list):
        return tuple(labels) if labels else None
    if labels == "imagenet":
        return imagenet_labels()
    file = folder / labels
    if file.parent != folder or not file.is_file():
        raise ModelFailedError(f"labels: there is no file '{labels}' beside model.toml")
    try:
        lines = to_utf8(file.read_bytes()).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ModelFailedError(f"labels: '{labels}' cannot be read as UTF-8 text") from error
    return _without_numbers(tuple(line.strip() for line in lines if line.strip()))


def _without_numbers(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Teachable Machine writes `0 cat`, `1 dog`; where but one line is not so numbered, numbers belong to the names."""
    found = [_NUMBERED.fullmatch(label) for label in labels]
    names = tuple(match[2] for place, match in enumerate(found) if match is not None and int(match[1]) == place)
    return names if len(names) == len(labels) else labels
