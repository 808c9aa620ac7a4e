"""The preprocessing modes that model.toml names, as affine maps from 0…255 RGB."""

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Schema
from service.engine.images.preprocessing import Preprocessing

PreprocessingMode = Literal["caffe", "tf", "torch", "unit", "none"]

# The means and deviations are ImageNet's, as in keras.applications.imagenet_utils.preprocess_input.
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (123.68, 116.779, 103.939)


class PreprocessingTable(Schema):
    """`(x * scale + offset - mean) / std` per channel, in RGB order; then the channels in `channel_order`."""

    scale: float = 1.0
    offset: float = 0.0
    mean: float | tuple[float, float, float] = 0.0
    std: float | tuple[float, float, float] = Field(1.0)
    channel_order: Literal["rgb", "bgr"] = "rgb"

    @model_validator(mode="after")
    def _std_divides(self) -> Self:
        if 0.0 in _triple(self.std):
            raise ValueError("'std' must not be 0")
        return self

    def to_preprocessing(self) -> Preprocessing:
        pairs = list(zip(_triple(self.mean), _triple(self.std), strict=True))
        return Preprocessing(
            name="custom",
            scale=tuple(self.scale / std for _, std in pairs),
            offset=tuple((self.offset - mean) / std for mean, std in pairs),
            channel_order=self.channel_order,
        )


PRESETS: Final[dict[PreprocessingMode, Preprocessing]] = {
    "none": Preprocessing("none", (1.0,), (0.0,)),
    "unit": Preprocessing("unit", (1 / 255,), (0.0,)),
    "tf": Preprocessing("tf", (1 / 127.5,), (-1.0,)),
    "caffe": Preprocessing("caffe", (1.0,), tuple(-mean for mean in _CAFFE_MEAN), channel_order="bgr"),
    "torch": Preprocessing(
        "torch",
        tuple(1 / (255 * std) for std in _IMAGENET_STD),
        tuple(-mean / std for mean, std in zip(_IMAGENET_MEAN, _IMAGENET_STD, strict=True)),
    ),
}


def _triple(value: float | tuple[float, float, float]) -> tuple[float, float, float]:
    return value if isinstance(value, tuple) else (value, value, value)
