"""One call and the axes of its tensors, as rules take it; what most rules need. Knows no kind of layer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import keras

from service.keras.graph.axes.axes import BATCH, Axes, Axis, Shape, axis, has_batch, meet, name_of, unknown
from service.keras.graph.axes.kinds import kind_of


@dataclass(frozen=True)
class Step:
    """One call: its operation, how it was called, the axes and shapes that go in, and the shapes that come out."""

    operation: keras.Operation
    args: tuple[object, ...]
    kwargs: dict[str, object]
    given: tuple[Axes, ...]
    shapes: tuple[Shape, ...]
    made: tuple[Shape, ...]

    @property
    def kind(self) -> str:
        return kind_of(self.operation)


# Axes for every output alike, or a list of one for each.
Rule = Callable[[Step], Axes | list[Axes]]


def space_of(operation: keras.Operation, rank: int) -> tuple[int, ...]:
    """Which axes a layer with windows takes for its space, slowest first."""
    form = getattr(operation, "data_format", None) or keras.config.image_data_format()
    return tuple(range(2, rank)) if form == "channels_first" else tuple(range(1, rank - 1))


def channels_of(operation: keras.Operation, rank: int) -> int:
    return ({*range(1, rank)} - {*space_of(operation, rank)}).pop()


def leave_unknown(step: Step) -> list[Axes]:
    keeps = bool(step.given) and all(has_batch(axes) for axes in step.given if axes)
    return [(BATCH, *unknown(shape)[1:]) if keeps and shape else unknown(shape) for shape in step.made]


def stay(step: Step) -> Axes | list[Axes]:
    """Every number stays where it is."""
    return step.given[0] if step.shapes[0] == step.made[0] and len(step.made) == 1 else leave_unknown(step)


def merge(step: Step) -> Axes:
    """Number by number, what is smaller repeated."""
    rank = len(step.made[0])
    made: list[Axis] = [()] * rank
    for axes, shape in zip(step.given, step.shapes, strict=True):
        places = [*range(rank - len(axes), rank)]
        if isinstance(step.operation, keras.layers.Layer) and places:
            # As Keras's own layers repeat what has fewer axes: picture by picture.
            places[0] = 0
        for place, one, size in zip(places, axes, shape, strict=True):
            made[place] = made[place] if size == 1 and step.made[0][place] != 1 else meet(made[place], one)
    return tuple(made)


def mix_all(step: Step) -> list[Axes]:
    """Nothing can be said, not even of pictures."""
    return [tuple(axis("?") for _ in shape) for shape in step.made]


def cut_along(step: Step, places: set[int]) -> Axes:
    """A piece of an axis: of channels still channels; of rows no more those of the whole picture."""
    return tuple(
        one if at not in places or name_of(one) == "*" else axis("c" if name_of(one) == "c" else "?")
        for at, one in enumerate(step.given[0])
    )


def as_list(places: int | Iterable[int]) -> list[int]:
    return [places] if isinstance(places, int) else list(places)
