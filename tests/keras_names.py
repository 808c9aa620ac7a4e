"""Which names Keras has that a model file could use, beside the list of those that it may use (`names.toml`).

`python -m tests.keras_names` prints what the list lacks or has too much; with `--write` it adds what is new as refused:
whoever reviews it moves a name up where it runs nothing, reads nothing and changes nothing but its own result.
"""

import importlib
import inspect
import pkgutil
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import keras
from keras.src.api_export import REGISTERED_NAMES_TO_OBJS
from keras.src.ops.operation import Operation

LIST = Path(__file__).parents[1] / "service" / "keras" / "files" / "admission" / "names.toml"
# Kind to module to names.
Names = dict[str, dict[str, set[str]]]


def names_of_keras() -> Names:
    """Every class and function that Keras could make of a configuration in one of the places of the list."""
    source = keras.src
    return {
        "models": {
            "keras": {"Model", "Sequential"},
            "keras.models": {"Model", "Sequential"},
            "keras.src.models.functional": {"Functional"},
        },
        # Some of Keras's own networks have layers of their own.
        "layers": {"keras.layers": _classes("keras.layers")} | _own(source.applications, keras.Layer),
        "operations": _own(source.ops, Operation),
        "activations": {"": set(source.activations.ALL_OBJECTS_DICT)},
        "initializers": {
            "": set(source.initializers.ALL_OBJECTS_DICT),
            "keras.initializers": _classes("keras.initializers"),
        },
        "regularizers": {
            "": set(source.regularizers.ALL_OBJECTS_DICT),
            "keras.regularizers": _classes("keras.regularizers"),
        },
        "constraints": {
            "": set(source.constraints.ALL_OBJECTS_DICT),
            "keras.constraints": _classes("keras.constraints"),
        },
        "policies": {"keras": {"DTypePolicy"}, "keras.dtype_policies": set(source.dtype_policies.ALL_OBJECTS_DICT)},
        "quantizers": {"keras.quantizers": _classes("keras.quantizers")},
        "seeds": {"keras.random": {"SeedGenerator"}},
        "dtypes": {"": set(source.backend.common.dtypes.ALLOWED_DTYPES)},
    }


@cache
def read_list() -> dict[str, Names]:
    """The committed list: `allowed` and `refused`."""
    text = LIST.read_text(encoding="utf-8")
    return {
        decision: {kind: {module: set(names) for module, names in modules.items()} for kind, modules in kinds.items()}
        for decision, kinds in tomllib.loads(text).items()
    }


def undecided() -> Iterator[tuple[str, str, str]]:
    """Kind, module and name of whatever Keras has and the list does not."""
    listed = read_list()
    for kind, modules in names_of_keras().items():
        for module, names in modules.items():
            known = {name for decision in listed.values() for name in decision.get(kind, {}).get(module, ())}
            yield from ((kind, module, name) for name in sorted(names - known))


def gone() -> Iterator[tuple[str, str, str]]:
    """Kind, module and name of whatever is allowed though this version of Keras does not have it."""
    present = names_of_keras()
    for kind, modules in read_list()["allowed"].items():
        for module, names in modules.items():
            yield from ((kind, module, name) for name in sorted(names - present.get(kind, {}).get(module, set())))


def write(listed: dict[str, Names]) -> None:
    """Write the list anew, below the comment that it begins with."""
    head = LIST.read_text(encoding="utf-8").split("\n[", 1)[0].rstrip()
    LIST.write_text(head + "\n" + "\n".join(_lines(listed)) + "\n", encoding="utf-8")


def _lines(listed: dict[str, Names]) -> Iterator[str]:
    for decision, kinds in listed.items():
        for kind, modules in kinds.items():
            if any(modules.values()):
                yield f"\n[{decision}.{kind}]"
            for module, names in modules.items():
                if names:
                    yield f'"{module}" = ['
                    yield from (f'    "{name}",' for name in sorted(names))
                    yield "]"


def _classes(module: str) -> set[str]:
    """Its classes under the names that Keras writes: not those it has as well, such as `AvgPool2D`."""
    paths = (path.rpartition(".") for path, item in REGISTERED_NAMES_TO_OBJS.items() if inspect.isclass(item))
    return {name for place, _, name in paths if place == module}


def _own(package: Any, kind: type) -> dict[str, set[str]]:
    """By module, classes that are not exported: Keras writes where they stand."""
    found = {module.__name__: _own_of(module, kind) for module in _modules(package)}
    return {module: names for module, names in found.items() if names}


def _own_of(module: Any, kind: type) -> set[str]:
    classes = {name: item for name, item in vars(module).items() if inspect.isclass(item)}
    return {name for name, item in classes.items() if issubclass(item, kind) and item.__module__ == module.__name__}


def _modules(package: Any) -> Iterator[Any]:
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("_test"):
            yield importlib.import_module(found.name)


def main() -> None:
    new, old = list(undecided()), list(gone())
    for title, names in (("not in the list", new), ("allowed, but not in Keras", old)):
        for kind, module, name in names:
            print(f"{title}: {kind}: {module}.{name}")  # noqa: T201 - a script
    if "--write" in sys.argv:
        listed = read_list()
        for kind, module, name in new:
            listed["refused"].setdefault(kind, {}).setdefault(module, set()).add(name)
        write(listed)


if __name__ == "__main__":
    main()
