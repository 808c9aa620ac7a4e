"""Reconstruction: what an autoencoder makes of a picture, and where it is wrong.

The error is decoded minus original, so that red is too bright and blue too dark. MSE, MAE and PSNR are over all pixels
and channels, in the network's own units: PSNR is 10 log10(span² / MSE), with the span from black to white.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.values.autoencoders import (
    ReconstructionItem,
    ReconstructionsOverDataset,
    ReconstructionValues,
    WorstReconstruction,
)
from service.engine.arrays import Array, Pixels
from service.engine.drawing.sheets import lay_on_sheets, plan_grid
from service.engine.drawing.visuals import Drawn, Reconstruction
from service.engine.kinds.context import Context, Reduction, Summary
from service.engine.kinds.method import ImageMethod
from service.engine.kinds.picture_items import Item, Items, NoNote, OverImages, flatten
from service.engine.kinds.requirements import refuse_without_latent
from service.engine.ports.probe import AutoencoderProbe

SLICE: Final = 16
COLUMNS: Final = 2


class AutoencoderReconstructionParams(MethodParams):
    """Parameters of `autoencoder-reconstruction`."""

    worst: int = Field(8, ge=1, le=64, description="Of a dataset, how many of the worst pictures to show together.")


def autoencoder_reconstruction(
    probe: AutoencoderProbe, image: Array, _: AutoencoderReconstructionParams, __: Context
) -> Reconstruction:
    latent = probe.network_info.latent
    assert latent is not None, "refuse() lets only autoencoders through"
    decoded = probe.decode(probe.encode(image[None]))[0]
    return Reconstruction(latent.layer, image, decoded)


def reduce(
    found: Sequence[Item[ReconstructionValues, NoNote]], reduction: Reduction, params: AutoencoderReconstructionParams
) -> Summary:
    """The mean errors of a dataset, and its worst pictures, the worst first."""
    items = [ReconstructionItem.model_validate(flatten(item)) for item in found]
    ranked = sorted(items, key=lambda item: -item.mse)[: params.worst]
    values = ReconstructionsOverDataset(
        mse=float(np.mean([item.mse for item in items])),
        mae=float(np.mean([item.mae for item in items])),
        units=items[0].units,
        worst=[
            WorstReconstruction(index=item.index, name=item.name, label=item.label, mse=item.mse) for item in ranked
        ],
        items=items,
    )
    names = [item.picture for item in ranked if item.picture is not None]
    return Summary(_show(names, reduction.pictures), values)


def _show(names: Sequence[str], pictures: Iterable[tuple[str, Pixels]]) -> Iterator[Drawn]:
    """One sheet of the named pictures, in that order."""
    found = {name: pixels for name, pixels in pictures if name in names}
    ordered = [(name, found[name]) for name in names if name in found]
    if not ordered:
        return
    grid = plan_grid(ordered[0][1].shape[:2], len(ordered), columns=COLUMNS, margin=0)
    yield Drawn("worst", next(lay_on_sheets([name for name, _ in ordered], ordered, grid)))


AUTOENCODER_RECONSTRUCTION = ImageMethod(
    name="autoencoder-reconstruction",
    title="Reconstruction (autoencoder)",
    description="The picture as an autoencoder decodes it again from its latent, and where it errs.",
    params=AutoencoderReconstructionParams,
    values=(ReconstructionValues,),
    compute=autoencoder_reconstruction,
    refuse=refuse_without_latent,
    over_images=OverImages(
        values=ReconstructionsOverDataset, chunk=Items[ReconstructionValues, NoNote], reduce=reduce, slice=SLICE
    ),
    compared="what is decoded, in the network's units",
)
