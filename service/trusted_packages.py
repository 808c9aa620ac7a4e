"""Packages whose classes an operator lets model files name: where they lie, and what state they are in.

Nothing is imported here: that takes seconds, and is done where a network is built.
"""

import hashlib
import importlib.util
import re
import sys
from collections.abc import Sequence
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
# What a file may name of them stands in a committed list.
_LISTED: Final = ("keras", "tensorflow")
_CODE: Final = (".py", ".so", ".pyd")


def require_package(name: str, models: Sequence[Path]) -> None:
    """Raise ValueError, with what to do, unless the package is there, and lies outside of all folders of models."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name of a package: give names such as keras_hub or mypackage.layers")
    if name.partition(".")[0] in _LISTED:
        raise ValueError(f"'{name}' needs no trust: which of its classes a file may name is decided by a list")
    spec = _find(name)
    if spec is None:
        advice = "install convscope[keras-hub]" if name == "keras_hub" else "install it beside convscope"
        raise ValueError(f"there is no package '{name}' in this environment: {advice}, or leave it out")
    if any(place.resolve().is_relative_to(folder.resolve()) for place in _places(spec) for folder in models):
        raise ValueError(
            f"'{name}' lies in a folder of models, out of which nothing is imported: install it as a package"
        )


@cache
def describe_package(name: str) -> str:
    """Its name, version and the digest of its code, as a text that changes with any of them."""
    root = name.partition(".")[0]
    try:
        released = version(root)
    except PackageNotFoundError:
        released = "no release"
    digest = hashlib.sha256()
    for place in _places(_find(root)):
        files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.suffix in _CODE)
        for file in files:
            digest.update(f"{file.relative_to(place)}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
    return f"{name} {released} {digest.hexdigest()}"


def _find(name: str) -> ModuleSpec | None:
    """Where a module is. Python's own way would import what it lies in."""
    root, *parts = name.split(".")
    try:
        spec = importlib.util.find_spec(root)
    except ValueError:
        # Such as the main program.
        return None
    for part in parts:
        if spec is None or spec.submodule_search_locations is None:
            return None
        inner, places = f"{spec.name}.{part}", spec.submodule_search_locations
        found = (finder.find_spec(inner, places) for finder in sys.meta_path)
        spec = next((each for each in found if each is not None), None)
    return spec


def _places(spec: ModuleSpec | None) -> list[Path]:
    """Its folders; of a module that is a single file, that."""
    if spec is None:
        return []
    folders = spec.submodule_search_locations
    if folders is not None:
        return [Path(folder) for folder in folders]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []
