"""The values that the tour gives a parameter: never the default, and each choice of an enumeration."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Params = dict[str, Any]
# Where the schema's own numbers would show nothing, or nothing quickly.
_VALUES: Final[Mapping[str, Any]] = {"page_size": 2, "class_index": 1, "size": 64, "low": -1, "high": 2}
# What a parameter needs beside it to have an effect.
_COMPANIONS: Final[Mapping[str, Params]] = {
    "page": {"page_size": 2},
    "scale_max": {"scale": "fixed"},
    "low": {"high": 1},
    "high": {"low": 0},
}
_CHOICE_COMPANIONS: Final[Mapping[tuple[str, str], Params]] = {("scale", "fixed"): {"scale_max": 2.5}}
# Parameters that concern a dataset alone, of methods that take a picture as well.
OF_DATASETS: Final = frozenset({"worst"})


@dataclass(frozen=True)
class Layers:
    """Two layers with a kernel, by path and by index, for the parameters that name layers."""

    paths: tuple[str, ...]
    indices: tuple[int, ...]

    def values(self, name: str) -> list[Any]:
        if name == "layers":
            return [list(self.paths)]
        return [self.paths[-1], self.indices[0]] if self.paths else []


def vary(name: str, schema: Mapping[str, Any], layers: Layers, *, every_choice: bool) -> Iterator[Params]:
    """The parameters of a question for each value of one of them; a single choice where not every one is wanted."""
    if name in ("layer", "layers"):
        values = layers.values(name)
    elif name in _VALUES:
        values = [_VALUES[name]]
    else:
        values = _values(name, schema)
    for value in values if every_choice else values[:1]:
        companions = _COMPANIONS.get(name, {}) | _CHOICE_COMPANIONS.get((name, str(value)), {})
        yield {name: value} | companions


def _values(name: str, schema: Mapping[str, Any]) -> list[Any]:
    default = schema.get("default")
    if "const" in schema:
        return []
    if "enum" in schema:
        return [choice for choice in schema["enum"] if choice != default]
    if "examples" in schema:
        return [schema["examples"][0]]
    kinds = {option["type"]: option for option in schema.get("anyOf", [schema])}
    if "array" in kinds and "string" in kinds:
        # A selection, such as that of channels or units.
        return ["0-1"]
    for kind, bounds in kinds.items():
        if kind in _GUESSES:
            return [_GUESSES[kind](default, bounds)]
    raise ValueError(f"no value is known for the parameter '{name}': give its field an example")


def _integer(default: Any, bounds: Mapping[str, Any]) -> int:
    least: int = bounds.get("minimum", 0)
    if default is None:
        return max(1, least)
    half: int = default // 2
    return half if half > 1 and half >= least else default + 1


def _number(default: Any, bounds: Mapping[str, Any]) -> float:
    return float(default / 2 if default else min(0.5, bounds.get("maximum", 0.5)))


# A value that is not the default, by the schema's type.
_GUESSES: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], Any]]] = {
    "boolean": lambda default, _: not default,
    "integer": _integer,
    "number": _number,
}
