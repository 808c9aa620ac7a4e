"""Which part of a picture fills which part of a network's input, as `fit` in model.toml says. Arithmetic alone.

`stretch` takes the whole picture for the whole input; `crop` the largest window in the picture's middle that has the
input's aspect; `pad` puts the whole picture into the input's middle, its aspect kept, with black around it.
"""

from dataclasses import dataclass

from schemas.models import Fit

Size = tuple[int, int]
# Top, left, bottom, right.
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Framing:
    """`taken` of a picture of `size` (h, w) fills `place` of an input of `input_size` (h, w); the rest is black."""

    fit: Fit
    size: Size
    input_size: Size
    taken: Box
    place: Box

    @property
    def is_whole(self) -> bool:
        """Whether the input shows the whole picture and nothing else."""
        return self.taken == _all_of(self.size) and self.fills_input

    @property
    def fills_input(self) -> bool:
        return self.place == _all_of(self.input_size)

    @property
    def window(self) -> tuple[float, float, float, float]:
        """The input's top, left, bottom, right as shares of the picture's height and width; borders are outside 0…1."""
        top, bottom = (self._share(0, edge) for edge in (0, self.input_size[0]))
        left, right = (self._share(1, edge) for edge in (0, self.input_size[1]))
        return top, left, bottom, right

    def _share(self, axis: int, edge: int) -> float:
        start, end = self.place[axis], self.place[axis + 2]
        low, high = self.taken[axis], self.taken[axis + 2]
        return (low + (edge - start) / (end - start) * (high - low)) / self.size[axis]


def frame(fit: Fit, size: Size, input_size: Size) -> Framing:
    """How a picture of (h, w) comes to fill an input of (h, w)."""
    taken, place = _all_of(size), _all_of(input_size)
    if fit == "crop":
        taken = _centre(_shrink(input_size, size), size)
    if fit == "pad":
        place = _centre(_shrink(size, input_size), input_size)
    return Framing(fit, size, input_size, taken, place)


def _all_of(size: Size) -> Box:
    return 0, 0, *size


def _shrink(shape: Size, room: Size) -> Size:
    """The largest size of the aspect of `shape` that fits into `room`, rounded to whole pixels."""
    # Whole numbers: the side that fits exactly is never a pixel short.
    if shape[0] * room[1] > shape[1] * room[0]:
        return room[0], max(1, round(shape[1] * room[0] / shape[0]))
    return max(1, round(shape[0] * room[1] / shape[1])), room[1]


def _centre(size: Size, room: Size) -> Box:
    """Of an odd rest the smaller half is above and on the left."""
    top, left = (room[0] - size[0]) // 2, (room[1] - size[1]) // 2
    return top, left, top + size[0], left + size[1]
