"""Weight norms: how large the kernels of a layer are, as one strip."""

import numpy as np
from pydantic import Field

from schemas.references import LayerReference
from schemas.rendering import TilesRendering
from schemas.values.base import Values
from service.engine.drawing.visuals import Sheets, Tiles
from service.engine.kinds.context import Context
from service.engine.kinds.method import NetworkMethod
from service.engine.kinds.requirements import refuse_without_kernel
from service.engine.ports.probe import NetworkProbe


class WeightNormsParams(TilesRendering):
    """Parameters of `weight-norms`."""

    layer: LayerReference | None = Field(None, description="A layer with a kernel; default: the first.")


class WeightNormsValues(Values):
    """The norms of a layer's filters."""

    largest: float = Field(description="The largest Euclidean norm of a filter.")


def weight_norms(probe: NetworkProbe, params: WeightNormsParams, _: Context) -> Sheets:
    first = next(layer.path for layer in probe.network_info.layers if layer.kernel_shape is not None)
    kernel = probe.kernels(params.layer or first)[-1]
    norms = np.linalg.norm(kernel.values.reshape(-1, kernel.values.shape[-1]), axis=0).astype(np.float32)
    tiles = Tiles("norms", kernel.layer, norms[:, None, None], "bounds", 0.0, float(norms.max()))
    return Sheets((tiles,), WeightNormsValues(largest=float(norms.max())), whole={"": norms})


WEIGHT_NORMS = NetworkMethod(
    name="weight-norms",
    title="Norms of filters",
    description="How large the kernels of a layer are, filter by filter.",
    params=WeightNormsParams,
    values=(WeightNormsValues,),
    compute=weight_norms,
    refuse=refuse_without_kernel,
    compared="the norms of all filters",
)
