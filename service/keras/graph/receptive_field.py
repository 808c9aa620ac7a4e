"""What of the picture each position of a layer can see, by arithmetic on the graph alone; nothing runs.

Positions are followed back from the layer to the picture, rows and columns apart. Where a kernel reaches over the
border of a map it meets zeros there and sees nothing; how far it reaches over the picture's own border is told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from service.engine.ports.answers import Box, ReceptiveField
from service.keras.graph.axes.axes import find_order
from service.keras.graph.axes.kinds import kind_of
from service.keras.graph.moves import NONE, Move, Stay, find_moves
from service.keras.graph.replay import Call, Value, Wiring
from service.keras.graph.upright import is_map, upright_shape

_Flags = NDArray[np.bool_]
_Places = NDArray[np.int64]
# A factor for each channel only scales: what it is made of is not what a position looks at.
_SCALING = {"Multiply", "TrueDivide", "Divide"}
# Of one axis, where rows and columns have to be looked at together.
_MOST_FLAGS = 2**25


class _UnknownError(Exception):
    """Something on the way does what is not known here."""


@dataclass(frozen=True)
class _Sight:
    """Of one axis of a map, for each position (h, w) of the layer.

    `sees` (…, places) are the places that it sees; `low` and `high` how far it would reach if maps went on beyond their
    borders. Where all is alike along the other axis, that is 1.
    """

    sees: _Flags
    low: _Places
    high: _Places

    def back(self, move: Move, before: int) -> "_Sight":
        """The same of the map of so many places that this one is made of."""
        taps = move.taps(np.arange(self.sees.shape[-1]))
        table = np.zeros((len(taps), before), np.float32)
        places, which = np.nonzero((taps >= 0) & (taps < before))
        table[places, taps[places, which]] = 1
        sees = self.sees if move == Stay() else self.sees.astype(np.float32) @ table > 0
        low, high = move.taps(self.low.ravel()), move.taps(self.high.ravel())
        lowest, highest = np.where(low == NONE, -NONE, low).min(axis=1), high.max(axis=1)
        return _Sight(sees, lowest.reshape(self.low.shape), highest.reshape(self.high.shape))

    def where(self, visible: _Flags) -> "_Sight":
        """Nothing where the other axis sees nothing."""
        if visible.all():
            return self
        if prod(np.broadcast_shapes(visible[..., None].shape, self.sees.shape)) > _MOST_FLAGS:
            raise _UnknownError
        return _Sight(self.sees & visible[..., None], self.low, self.high)

    def join(self, other: "_Sight") -> "_Sight":
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return _Sight(self.sees | other.sees, low, high)


_Sights = tuple[_Sight, _Sight]


def find_receptive_field(wiring: Wiring, call: Call, size: tuple[int, int]) -> ReceptiveField | None:
    """Of a layer's output, for pictures of (h, w); None where it has no space, or something is not known."""
    value = call.outputs[0]
    if not is_map(value) or len(wiring.inputs) != 1:
        return None
    try:
        sizes = _measure(wiring, value, size)
        down, across = _follow(wiring, value, sizes)
    except _UnknownError:
        return None
    return ReceptiveField(*_describe(down), *_describe(across))


def find_extent(wiring: Wiring, call: Call) -> Box | None:
    """What all positions of a layer see together, within the picture; None where that or the picture's size is open."""
    _, height, width, *_ = *wiring.inputs[0].shape, None, None
    if not height or not width:
        return None
    field = find_receptive_field(wiring, call, (height, width))
    if field is None:
        return None
    tops, lefts = max(int(field.top.min()), 0), max(int(field.left.min()), 0)
    return tops, lefts, min(int(field.bottom.max()), height), min(int(field.right.max()), width)


def _measure(wiring: Wiring, value: Value, size: tuple[int, int]) -> dict[Value, tuple[int, int]]:
    """Rows and columns of every map on the way."""
    sizes = {wiring.inputs[0]: size}
    for call in _calls_before(value):
        for made in call.outputs:
            known = upright_shape(made)[1:3]
            if call.is_input or not is_map(made):
                continue
            if None in known:
                source = next(iter(_sources(call)))
                moves = _moves(call, source, made)
                known = tuple(move.count(count) for move, count in zip(moves, sizes[source], strict=True))
            if any(not count or count < 1 for count in known):
                raise _UnknownError
            sizes[made] = (known[0] or 0, known[1] or 0)
    return sizes


def _follow(wiring: Wiring, value: Value, sizes: dict[Value, tuple[int, int]]) -> _Sights:
    found = {value: _start(sizes[value])}
    for call in reversed(_calls_before(value)):
        for made in call.outputs:
            if made not in found or call.is_input:
                continue
            for source in _sources(call):
                moves = _moves(call, source, made)
                if any(move.count(count) is None for move, count in zip(moves, sizes[source], strict=True)):
                    raise _UnknownError
                counts = zip(sizes[source], sizes[made], strict=True)
                placed = [move.between(*count) for move, count in zip(moves, counts, strict=True)]
                sights = zip(found[made], placed, sizes[source], strict=True)
                down, across = (sight.back(move, count) for sight, move, count in sights)
                found[source] = _join(found.get(source), (down, across))
    if wiring.inputs[0] not in found:
        raise _UnknownError
    return found[wiring.inputs[0]]


def _start(size: tuple[int, int]) -> _Sights:
    rows, columns = (np.arange(count) for count in size)
    down, across = np.eye(size[0], dtype=np.bool_)[:, None], np.eye(size[1], dtype=np.bool_)[None]
    return _Sight(down, rows[:, None], rows[:, None]), _Sight(across, columns[None], columns[None])


def _join(one: _Sights | None, other: _Sights) -> _Sights:
    """By both ways together. A way on which rows see nothing shows nothing in the columns either."""
    down, across = other
    rows, columns = (np.asarray(sight.sees.any(axis=-1)) for sight in other)
    down, across = down.where(columns), across.where(rows)
    return (one[0].join(down), one[1].join(across)) if one else (down, across)


def _calls_before(value: Value) -> list[Call]:
    """What a map is made by, in execution order, as far as it has places of the picture."""
    seen: set[Value] = set()
    calls: dict[int, Call] = {}
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        calls[current.call.order] = current.call
        if not current.call.is_input:
            waiting += _sources(current.call)
    return [calls[order] for order in sorted(calls)]


def _sources(call: Call) -> list[Value]:
    """The maps that a call's positions come from."""
    maps = [value for value in call.inputs if is_map(value)]
    others = [value for value in call.inputs if not is_map(value)]
    scales = kind_of(call.operation) in _SCALING and all(map(_is_factor, others))
    if not maps or (others and not scales):
        raise _UnknownError
    return maps


def _is_factor(value: Value) -> bool:
    shape = upright_shape(value)
    return len(shape) == 2 or (len(shape) == 4 and shape[1:3] == (1, 1))


def _moves(call: Call, source: Value, made: Value) -> Sequence[Move]:
    """Along height and along width."""
    before, after = find_order(source.axes), find_order(made.axes)
    if before is None or after is None or not is_map(made):
        raise _UnknownError
    moves = find_moves(call.operation, before[1:], len(source.shape))
    if moves is None:
        raise _UnknownError
    return moves


def _describe(sight: _Sight) -> tuple[_Places, _Places]:
    """The first place, and that after the last. What lies beyond the picture counts where its border is seen."""
    sees, size = sight.sees, sight.sees.shape[-1]
    first, last = sees.argmax(axis=-1), size - 1 - sees[..., ::-1].argmax(axis=-1)
    low = np.where(sees[..., 0] & (sight.low < 0), sight.low, first)
    high = np.where(sees[..., -1] & (sight.high >= size), sight.high, last)
    is_blind = ~sees.any(axis=-1)
    return np.where(is_blind, 0, low), np.where(is_blind, 0, high + 1)
