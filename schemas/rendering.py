"""How a client wants its pictures drawn."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.methods import MethodParams

Colormap = Literal["viridis", "inferno", "magma", "plasma", "cividis", "turbo", "jet", "gray", "coolwarm"]


class TilesRendering(MethodParams):
    """For methods that lay many small maps out as tiles of one picture, row by row."""

    colormap: Colormap = Field("viridis", description="Colour map of the tiles.")
    columns: int = Field(16, ge=1, le=256, description="Tiles in a row.")
    margin: int = Field(0, ge=0, le=64, description="Pixels between tiles.")


class HeatmapRendering(MethodParams):
    """For methods that lay a heat map over the picture."""

    colormap: Colormap = Field("inferno", description="Colour map of the heat map.")
    opacity: float = Field(0.4, ge=0, le=1, description="Share of the heat map in the overlay.")
    scale: Literal["per_image", "fixed"] = Field(
        "per_image",
        description="`per_image`: the map's own maximum is full colour. `fixed`: `scale_max` is, so that maps compare.",
    )
    scale_max: float | None = Field(None, gt=0, description="The raw value drawn in full colour; with `scale=fixed`.")
    values: Literal["none", "raw"] = Field(
        "none", description="`raw` adds `values.map`: the float map at the layer's own resolution, rows of numbers."
    )

    @model_validator(mode="after")
    def _fixed_scale_has_its_maximum(self) -> Self:
        if (self.scale == "fixed") != (self.scale_max is not None):
            raise ValueError("'scale=fixed' and 'scale_max' go together: give both or neither")
        return self
