"""What a method returns: what the picture *is*, never its colours or its size on screen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel

from schemas.values.base import Values
from service.engine.arrays import Array, Pixels
from service.engine.ports.answers import Scores, Target

C = TypeVar("C", bound=BaseModel)


@dataclass(frozen=True)
class Heatmap:
    """A scalar map over the picture: `values` (h, w) float32 at the layer's own resolution, unscaled.

    `maximum` is the number that is drawn in full colour where the client does not say; else the map's own.
    """

    values: Array
    layer: str
    target: Target
    scores: Scores
    maximum: float | None = None


@dataclass(frozen=True)
class ScoreList:
    """No picture: the model's scores."""

    scores: Scores


@dataclass(frozen=True)
class Tiles:
    """Many small maps of one layer: `values` (n, h, w) float32, or (n, h, w, 3), unscaled.

    The three channels of a colour tile stand in the network's own order: the renderer knows which that is.

    `scale`: `standard` draws each tile by its own mean and deviation, `bounds` all of them between `low` and `high`,
    `signed` from -`high` to `high` in colours of two signs, `picture` as pictures in the network's units.
    `columns` overrules what the client asked for, where the layout has a meaning. `rows` are names of the rows, and
    `words` stand below each tile: both or neither.
    """

    name: str
    layer: str
    values: Array
    scale: Literal["standard", "bounds", "signed", "picture"]
    low: float = 0.0
    high: float = 1.0
    columns: int | None = None
    rows: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Sheets:
    """Pictures of tiles, and the numbers behind them; `whole` is all that the tiles show some of, by name."""

    tiles: tuple[Tiles, ...]
    numbers: Values
    whole: Mapping[str, Array] = field(default_factory=dict)

    @property
    def layer(self) -> str:
        return self.tiles[0].layer


@dataclass(frozen=True)
class Picture:
    """A picture as it is: (h, w, 3) float32 in 0…1, or (h, w, 1) gray, RGB.

    `frames` (n, h, w, c), likewise, are drawn as an animated picture of their own beside it.
    """

    name: str
    values: Array
    frames: Array | None = None


@dataclass(frozen=True)
class Pictures:
    """Pictures of one layer in their own colours, and the numbers behind them; there may be none.

    `resolved` are parameters whose default the network decided, `plan` is how the pictures were computed. `changes` is
    what was made of the start, before it was drawn, by the picture's name; None where there is no picture.
    """

    layer: str
    pictures: tuple[Picture, ...]
    numbers: BaseModel
    resolved: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Array | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Reconstruction:
    """A picture and what an autoencoder makes of it, both (h, w, c) float32 in the network's units."""

    layer: str
    original: Array
    decoded: Array


@dataclass(frozen=True)
class ScalarMap:
    """A map of no picture in particular: `values` (h, w) float32, of which `maximum` is drawn in full colour."""

    name: str
    layer: str | None
    values: Array
    maximum: float


@dataclass(frozen=True)
class Numbers(Generic[C]):
    """No picture: what a slice of a dataset came to, to be reduced with others. `layer` where there is but one.

    `by_picture` are arrays of one picture each, by its name, that versions are compared by; they are not kept.
    """

    layer: str | None
    numbers: C
    by_picture: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Bar:
    """A row of a chart: its name, a share 0…1 as a bar, and what there is to say of it."""

    label: str
    share: float
    text: str


@dataclass(frozen=True)
class Bars:
    """A chart of horizontal bars, in order from the top."""

    name: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Matrix:
    """Numbers as cells of one colour scale, with the names of rows and columns: `values` (rows, columns) float32.

    `groups` names what each row belongs to, or None; those of one lie together.
    """

    name: str
    layer: str | None
    values: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    groups: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Cell:
    """A picture (h, w, 1 or 3) uint8 RGB, or a map (h, w) float32 in 0…1; and a few words on it.

    `frame` (top, left, bottom, right), in pixels of the picture, is marked in it.
    """

    values: Array | Pixels
    text: str = ""
    frame: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class CellRow:
    """A row of a sheet: its name, and its cells."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class CellSheet:
    """Rows of cells of any sizes, at most `columns` in each; `rows` are read once, one after the other.

    Each is drawn with its longer side `side` pixels.
    """

    name: str
    layer: str | None
    columns: int
    rows: Iterable[CellRow]
    side: int = 112


@dataclass(frozen=True)
class Scatter:
    """Points in a plane: `points` (n, 2) float32, to the right and up. `groups` names the group of each, or None.

    Those of a group are `connected` in their order, as a curve, where that is said. `own_axes` are those that no
    other version has, such as principal components.
    """

    name: str
    points: Array
    groups: tuple[str | None, ...]
    axes: tuple[str, str]
    connected: bool = False
    own_axes: bool = False


@dataclass(frozen=True)
class Drawn:
    """Pixels that are drawn already: (h, w) gray or (h, w, 3) uint8 RGB."""

    name: str
    pixels: Pixels


# All kinds; how each is drawn stands in the table of `renderers`.
Visual = (
    Heatmap
    | ScoreList
    | Sheets
    | Pictures
    | Reconstruction
    | Numbers[Any]
    | Drawn
    | Bars
    | ScalarMap
    | Matrix
    | CellSheet
    | Scatter
    | Tiles
)
