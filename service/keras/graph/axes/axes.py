"""What the axes of a tensor are: the picture's height and width, channels, or something else. Knows no layers.

An axis is a tuple of factors, slowest first: one for an axis that is its own, several where others were flattened into
one, none for an axis of one place. A factor may be a part of what it names, as windows are of a height; parts that come
together again make the whole.
"""

from collections.abc import Sequence
from math import prod
from typing import Final, Literal, NamedTuple

Shape = tuple[int | None, ...]
# `n` the batch; `h` and `w` the picture's; `c` channels, or units; `y` and `x` rows and columns that are not the
# picture's, as a decoder makes them; `*` the same at every place, as after an upsampling of one; `?` anything else.
Name = Literal["n", "h", "w", "c", "y", "x", "*", "?"]


class Factor(NamedTuple):
    """Of an axis that has `of` places, `size`: one in every `step`."""

    name: Name
    size: int | None
    step: int = 1
    of: int | None = None

    @property
    def is_whole(self) -> bool:
        return self.of is None or self.of == self.size


Axis = tuple[Factor, ...]
Axes = tuple[Axis, ...]

BATCH: Final[Axis] = (Factor("n", None),)
# Ways in which maps may lie, the usual first.
_WAYS: Final = ("hwc", "chw", "whc", "cwh", "hcw", "wch")
_SLOT: Final = {"h": "h", "y": "h", "w": "w", "x": "w", "c": "c"}


def axis(name: Name) -> Axis:
    """One of its own, whose size `stamp` will know."""
    return (Factor(name, None),)


def unknown(shape: Shape) -> Axes:
    """Of a tensor of which nothing is known but its batch."""
    return tuple(BATCH if place == 0 and size is None else axis("?") for place, size in enumerate(shape))


def name_of(one: Axis) -> Name:
    """What an axis is, as a whole."""
    names = {factor.name for factor in one}
    if not names:
        return "*"
    if names == {"c"}:
        return "c"
    return one[0].name if len(one) == 1 and one[0].is_whole else "?"


def stamp(axes: Sequence[Axis], shape: Shape) -> Axes:
    """The axes with the sizes that they have in a tensor of this shape."""
    if len(axes) != len(shape):
        return unknown(shape)
    return tuple(_stamp(one, size) if place else one for place, (one, size) in enumerate(zip(axes, shape, strict=True)))


def _stamp(one: Axis, size: int | None) -> Axis:
    if not one:
        return () if size == 1 else (Factor("?", size),)
    sizes = [factor.size for factor in one]
    if None not in sizes and prod(each or 1 for each in sizes) == size:
        return one
    if len(one) == 1 and one[0].is_whole:
        return (Factor(one[0].name, size),)
    if name_of(one) == "c":
        return (Factor("c", size),)
    return one if size is None and None in sizes else (Factor("?", size),)


def meet(first: Axis, second: Axis) -> Axis:
    """What an axis is that lies along both, as those of a sum."""
    one, other = name_of(first), name_of(second)
    if first == second or other == "*":
        return first
    if one == "*":
        return second
    if one == other != "?":
        return first
    if {one, other} in ({"h", "y"}, {"w", "x"}):
        return first if one in "yx" else second
    return axis("?")


def regroup(axes: Axes, shape: Shape) -> Axes:
    """The same numbers in the same order, in another shape."""
    factors = [factor for one in axes for factor in one if factor.size != 1]
    ends: list[Axis] = []
    places = list(shape)
    # From the right up to an open size, then from the left; what that leaves is the open one's.
    while len(places) > 1 and places[-1] is not None:
        ends.insert(0, _take(factors, places.pop() or 0, last=True))
    starts: list[Axis] = []
    while len(places) > 1:
        size = places.pop(0)
        starts.append(_take_open(factors) if size is None else _take(factors, size, last=False))
    made = (*starts, _join(factors), *ends)
    return tuple(made)


def _take_open(factors: list[Factor]) -> Axis:
    """One factor of open size, if that is what comes."""
    return (factors.pop(0),) if factors and factors[0].size is None else axis("?")


def _take(factors: list[Factor], size: int, *, last: bool) -> Axis:
    """Factors that make `size` places, off one end; one that is too large is cut in two."""
    taken: list[Factor] = []
    while size > 1:
        factor = factors.pop(-1 if last else 0) if factors else Factor("?", None)
        if factor.size is None:
            factors.clear()
            return axis("?")
        if size % factor.size == 0:
            size //= factor.size
            piece = factor
        elif factor.size % size == 0:
            outer, piece = _cut(factor, size if last else factor.size // size)
            rest = outer if last else piece
            piece = piece if last else outer
            factors.insert(len(factors) if last else 0, rest)
            size = 1
        else:
            factors.clear()
            return axis("?")
        taken.insert(0 if last else len(taken), piece)
    return _join(taken)


def _cut(factor: Factor, inner: int) -> tuple[Factor, Factor]:
    size, of = factor.size or 0, factor.of or factor.size
    return Factor(factor.name, size // inner, factor.step * inner, of), Factor(factor.name, inner, factor.step, of)


def _join(factors: Sequence[Factor]) -> Axis:
    """Parts of one that come together again are one."""
    joined: list[Factor] = []
    for factor in factors:
        before = joined[-1] if joined else None
        if before and factor.size and before.size and _follow(before, factor):
            joined[-1] = Factor(factor.name, before.size * factor.size, factor.step, factor.of)
        else:
            joined.append(factor)
    return tuple(joined)


def _follow(before: Factor, factor: Factor) -> bool:
    return (before.name, before.of) == (factor.name, factor.of) and before.step == factor.step * (factor.size or 0)


def has_batch(axes: Axes) -> bool:
    """Whether the first axis counts pictures, and nothing else."""
    return bool(axes) and len(axes[0]) == 1 and axes[0][0].name == "n"


def find_order(axes: Axes) -> tuple[int, ...] | None:
    """How to turn a tensor so that channels come last, and height before width; None where it cannot be known."""
    if not has_batch(axes):
        return None
    names = [name_of(one) for one in axes]
    places = tuple(range(len(names)))
    if len(names) != 4:
        channels = [place for place in places[1:] if names[place] == "c"]
        return (*(place for place in places if place not in channels), *channels) if len(channels) == 1 else places
    if _is_cut_from_units(axes):
        return places
    for way in _WAYS:
        if all(name == "*" or _SLOT.get(name) == slot for name, slot in zip(names[1:], way, strict=True)):
            return (0, *(1 + way.index(slot) for slot in "hwc"))
    return None


def _is_cut_from_units(axes: Axes) -> bool:
    """Whether the places are units of one vector, as those of a dense layer before a decoder."""
    return all(factor.name == "c" for one in axes[1:] for factor in one) and sum(map(bool, axes[1:])) > 1


def is_of_picture(axes: Axes) -> bool:
    """Whether a tensor's rows and columns are the picture's, whichever way it lies."""
    order = find_order(axes)
    if order is None or len(axes) != 4:
        return False
    return (name_of(axes[order[1]]), name_of(axes[order[2]])) in (("h", "w"), ("h", "*"), ("*", "w"))
