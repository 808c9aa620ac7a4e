"""Rules for what moves numbers without computing with them, or reduces some axes: what becomes of the axes."""

from dataclasses import replace

import keras

from service.keras.graph.axes.axes import Axes, Axis, axis, meet, name_of, regroup
from service.keras.graph.axes.steps import Step, as_list, channels_of, cut_along, leave_unknown, merge


def flatten(step: Step) -> Axes:
    axes = step.given[0]
    if len(axes) < 2:
        return (*axes, ())
    if channels_of(step.operation, len(axes)) == 1 and len(axes) > 2:
        axes = (axes[0], *axes[2:], axes[1])
    return (axes[0], tuple(factor for one in axes[1:] for factor in one if factor.size != 1))


def reshape(step: Step) -> Axes:
    axes, shape = step.given[0], step.made[0]
    if isinstance(step.operation, keras.layers.Layer):
        # Picture by picture, as the operation of this name need not be.
        return (axes[0], *regroup(axes[1:], shape[1:]))
    return regroup(axes, shape)


def permute(step: Step) -> Axes:
    return tuple(step.given[0][place] for place in (0, *step.operation.dims))


def transpose(step: Step) -> Axes:
    axes = step.given[0]
    order = step.operation.axes
    return tuple(axes[place] for place in (reversed(range(len(axes))) if order is None else order))


def move_axes(step: Step) -> Axes:
    axes = step.given[0]
    operation, rank = step.operation, len(axes)
    sources, targets = (
        [place % rank for place in as_list(places)] for places in (operation.source, operation.destination)
    )
    rest = iter(place for place in range(rank) if place not in sources)
    order = [sources[targets.index(place)] if place in targets else next(rest) for place in range(rank)]
    return tuple(axes[place] for place in order)


def swap_axes(step: Step) -> Axes:
    axes = list(step.given[0])
    one, other = step.operation.axis1, step.operation.axis2
    axes[one], axes[other] = axes[other], axes[one]
    return tuple(axes)


def expand(step: Step) -> Axes:
    axes = list(step.given[0])
    rank = len(step.made[0])
    for place in sorted(place % rank for place in as_list(step.operation.axis)):
        axes.insert(place, ())
    return tuple(axes)


def squeeze(step: Step) -> Axes:
    axes, shape = step.given[0], step.shapes[0]
    chosen = step.operation.axis
    gone = {place % len(axes) for place in as_list(chosen)} if chosen is not None else None
    return tuple(
        one for place, one in enumerate(axes) if (place not in gone if gone is not None else shape[place] != 1)
    )


def reduce(step: Step) -> Axes | list[Axes]:
    axes, operation = step.given[0], step.operation
    chosen = getattr(operation, "axis", None)
    keeps = bool(getattr(operation, "keepdims", False))
    places = {*range(len(axes))} if chosen is None else {place % len(axes) for place in as_list(chosen)}
    if keeps:
        return tuple(() if place in places else one for place, one in enumerate(axes))
    return tuple(one for place, one in enumerate(axes) if place not in places)


def concatenate(step: Step) -> Axes:
    place = step.operation.axis % len(step.made[0])
    made = list(step.given[0])
    for axes in step.given[1:]:
        made = [
            one if at == place else meet(one, other) for at, (one, other) in enumerate(zip(made, axes, strict=True))
        ]
    if len(step.given) > 1:
        along = {name_of(axes[place]) if step.shapes[at][place] != 1 else "c" for at, axes in enumerate(step.given)}
        made[place] = axis("c" if along == {"c"} else "?")
    return tuple(made)


def stack(step: Step) -> Axes:
    made = list(merge(replace(step, made=step.shapes[:1])))
    made.insert(step.operation.axis % len(step.made[0]), axis("?"))
    return tuple(made)


def split(step: Step) -> Axes:
    return cut_along(step, {step.operation.axis % len(step.given[0])})


def unstack(step: Step) -> Axes:
    place = step.operation.axis % len(step.given[0])
    return tuple(one for at, one in enumerate(step.given[0]) if at != place)


def get_item(step: Step) -> Axes | list[Axes]:
    key = step.args[1] if len(step.args) > 1 else step.kwargs.get("key")
    keys = list(key) if isinstance(key, tuple) else [key]
    axes: Axes = step.given[0]
    made: list[Axis] = []
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(axes) - sum(each is not None for each in keys) + 1)
    rest = iter(axes)
    for each in keys:
        if each is None:
            made.append(())
        elif isinstance(each, slice):
            one = next(rest, ())
            is_all = (each.start, each.stop, each.step) in ((None, None, None), (0, None, None), (0, None, 1))
            made.append(one if is_all else axis("c") if name_of(one) == "c" and one else axis("?"))
        elif isinstance(each, int):
            next(rest, None)
        else:
            return leave_unknown(step)
    return (*made, *rest)


def take_slice(step: Step) -> Axes:
    shapes = zip(step.shapes[0], step.made[0], strict=True)
    return cut_along(step, {at for at, (before, after) in enumerate(shapes) if before != after})


def reorder(step: Step) -> Axes:
    """Turned round, shifted or cut along some axes."""
    chosen = getattr(step.operation, "axis", None)
    rank = len(step.given[0])
    places = {*range(rank)} if chosen is None else {place % rank for place in as_list(chosen)}
    return cut_along(step, places)


def repeat(step: Step) -> Axes:
    """Along one axis, each place some times, or the whole again."""
    places = {at for at, size in enumerate(step.made[0]) if step.shapes[0][at] != size}
    return tuple(
        one if at not in places else axis("*") if name_of(one) == "*" else axis("c" if name_of(one) == "c" else "?")
        for at, one in enumerate(step.given[0])
    )


def repeat_rows(step: Step) -> Axes | list[Axes]:
    is_even = isinstance(step.operation.repeats, int) and step.operation.axis is not None
    return step.given[0] if is_even else leave_unknown(step)


def broadcast(step: Step) -> Axes:
    axes = step.given[0]
    made = [axis("*")] * (len(step.made[0]) - len(axes)) + list(axes)
    return tuple(axis("*") if name_of(one) == "*" else one for one in made)


def repeat_vector(step: Step) -> Axes:
    return (step.given[0][0], axis("*"), *step.given[0][1:])
