"""Darkest: the pictures of a dataset that the network sees darkest."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from schemas.methods import MethodParams
from schemas.values.base import Picture
from schemas.values.datasets import DatasetValues
from service.engine.drawing.visuals import Cell, CellRow, CellSheet, Numbers
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import Chunk
from service.engine.kinds.requirements import refuse_without_image
from service.engine.ports.probe import NetworkProbe


class DarkestParams(MethodParams):
    """Parameters of `darkest`."""

    shown: int = Field(4, ge=1, le=64, description="How many pictures to show.")


class Brightness(Picture):
    """How bright one picture is."""

    brightness: float = Field(description="Mean of the network's input.")


class DarkestChunk(Chunk):
    """Every picture of a slice."""

    pictures: list[Brightness]


class DarkestValues(DatasetValues):
    """The pictures of a dataset by their brightness."""

    darkest: list[Brightness] = Field(description="The darkest first.")


def darkest(_: NetworkProbe, batches: Iterator[Batch], __: DarkestParams, ___: Context) -> Numbers[DarkestChunk]:
    found = [
        Brightness(index=member.index, name=member.name, label=member.label, brightness=float(values.mean()))
        for batch in batches
        for member, values in zip(batch.members, batch.inputs, strict=True)
    ]
    return Numbers(None, DarkestChunk(pictures=found))


def reduce(chunks: Sequence[DarkestChunk], reduction: Reduction, params: DarkestParams) -> Summary:
    found = sorted((one for chunk in chunks for one in chunk.pictures), key=lambda one: one.brightness)[: params.shown]
    row = CellRow("darkest", tuple(Cell(reduction.album(one.index), one.name) for one in found))
    return Summary([CellSheet("darkest", None, params.shown, [row])], DarkestValues(darkest=found))


DARKEST = DatasetMethod(
    name="darkest",
    title="Darkest pictures",
    description="The pictures of a dataset that the network sees darkest.",
    params=DarkestParams,
    values=(DarkestValues,),
    chunk=DarkestChunk,
    compute=darkest,
    reduce=reduce,
    refuse=refuse_without_image,
)
