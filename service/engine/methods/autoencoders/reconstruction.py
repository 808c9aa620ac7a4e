"""Reconstruction: what an autoencoder makes of a picture, and where it is wrong.

The error is decoded minus original, so that red is too bright and blue too dark. MSE, MAE and PSNR are over all pixels
and channels, in the network's own units: PSNR is 10 log10(span² / MSE), with the span from black to white.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from pydantic import Field

from schemas.methods import MethodParams
from schemas.results import Answer
from service.engine.arrays import Array, Pixels
from service.engine.drawing.sheets import lay_on_sheets, plan_grid
from service.engine.drawing.visuals import Reconstruction
from service.engine.method import Compared, Method, OverImages, Whole, refuse_without_latent
from service.engine.ports.probe import Probe

SLICE: Final = 16
COLUMNS: Final = 2


class AutoencoderReconstructionParams(MethodParams):
    """Parameters of `autoencoder-reconstruction`."""

    worst: int = Field(8, ge=1, le=64, description="Of a dataset, how many of the worst pictures to show together.")


def autoencoder_reconstruction(probe: Probe, image: Array, _: AutoencoderReconstructionParams) -> Reconstruction:
    latent = probe.network_info.latent
    assert latent is not None, "refuse() lets only autoencoders through"
    decoded = probe.decode(probe.encode(image[None]))[0]
    return Reconstruction(latent.layer, image, decoded)


def combine(
    parts: Sequence[Answer], pictures: Iterable[tuple[str, Pixels]], params: AutoencoderReconstructionParams
) -> Whole:
    """The mean errors of a dataset, and its worst pictures, the worst first."""
    items = [item for part in parts for item in part.values["items"]]
    ranked = sorted(items, key=lambda item: -item["mse"])[: params.worst]
    names = [item["picture"] for item in ranked]
    numbers: dict[str, Any] = {
        "mse": float(np.mean([item["mse"] for item in items])),
        "mae": float(np.mean([item["mae"] for item in items])),
        "units": items[0]["units"],
        "worst": [{name: item[name] for name in ("index", "name", "label", "mse")} for item in ranked],
        "items": items,
    }
    return Whole(_show(names, pictures), numbers)


def _show(names: Sequence[str], pictures: Iterable[tuple[str, Pixels]]) -> Iterable[tuple[str, Pixels]]:
    """One sheet of the named pictures, in that order."""
    found = {name: pixels for name, pixels in pictures if name in names}
    ordered = [(name, found[name]) for name in names if name in found]
    if not ordered:
        return
    grid = plan_grid(ordered[0][1].shape[:2], len(ordered), columns=COLUMNS, margin=0)
    yield "worst", next(lay_on_sheets([name for name, _ in ordered], ordered, grid))


AUTOENCODER_RECONSTRUCTION = Method(
    name="autoencoder-reconstruction",
    title="Reconstruction (autoencoder)",
    description="The picture as an autoencoder decodes it again from its latent, and where it errs.",
    kind="interactive",
    consumes="image",
    params=AutoencoderReconstructionParams,
    compute=autoencoder_reconstruction,
    refuse=refuse_without_latent,
    over_images=OverImages(combine, slice=SLICE),
    compared=Compared("what is decoded, in the network's units", lambda seen: {"": seen.decoded}),
)
