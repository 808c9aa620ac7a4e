"""What is done with every kind of visual: drawn, put in numbers, checked, and held against that of another version."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray
from pydantic import BaseModel

from schemas.methods import MethodParams
from schemas.values.base import NoValues
from service.engine.arrays import Array
from service.engine.correlation import Arrays
from service.engine.drawing.rendering import Drawing
from service.engine.images.photo import Photo
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.answers import Scores, Target

V = TypeVar("V")


@dataclass(frozen=True)
class Scene:
    """What a drawing depends on beside the visual. `photo` is the picture that was looked at, where there is one."""

    params: MethodParams
    preprocessing: Preprocessing
    photo: Photo | None = None
    layer: str | None = None


@dataclass(frozen=True)
class Facts:
    """What a visual is about. `resolved` are parameters that the network decided, `plan` is how it was computed."""

    layer: str | None = None
    target: Target | None = None
    scores: Scores | None = None
    resolved: Mapping[str, object] = field(default_factory=dict)
    plan: Mapping[str, object] = field(default_factory=dict)


def _draw_nothing(_: object, __: Scene) -> Iterable[Drawing]:
    return ()


def _no_values(_: object, __: Scene) -> BaseModel:
    return NoValues()


def _no_facts(_: object) -> Facts:
    return Facts()


def _no_arrays(_: object) -> Iterable[NDArray[Any]]:
    return ()


def _nothing_compared(_: object) -> Arrays:
    return {}


def _as_they_are(visuals: Sequence[V]) -> Sequence[V]:
    return visuals


def _itself(visual: V) -> V:
    return visual


@dataclass(frozen=True, kw_only=True)
class Renderer(Generic[V]):
    """One line of the table. All but `draw` have nothing to say by default.

    `draw(visual, scene)` gives its pictures, the first being the one that stands for it. `values(visual, scene)` are
    its numbers, `arrays` all that must be finite. `compared` are the arrays by which versions are compared; `share`
    brings those of several versions on one scale, and `drop_arrays` lets go of what is not drawn.
    """

    draw: Callable[[V, Scene], Iterable[Drawing]] = _draw_nothing
    values: Callable[[V, Scene], BaseModel] = _no_values
    facts: Callable[[V], Facts] = _no_facts
    arrays: Callable[[V], Iterable[Array]] = _no_arrays
    compared: Callable[[V], Arrays] = _nothing_compared
    share: Callable[[Sequence[V]], Sequence[V]] = _as_they_are
    drop_arrays: Callable[[V], V] = _itself
