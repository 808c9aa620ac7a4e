"""What a preset of KerasHub does with a picture before the network sees it, as far as it can be said here.

Its image converter resizes, and maps each channel by a scale and an offset. Knows no KerasHub: the file is JSON.
"""

import json
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from service.errors import ModelFailedError
from service.models.preprocessing import PreprocessingTable
from service.preset_files import CONVERTER, PREPROCESSOR

_MAX_BYTES: Final = 2**16


def _require_divisor(value: float) -> float:
    if value == 0:
        raise ValueError("it makes every picture the same")
    return value


_Number = Annotated[float, Field(allow_inf_nan=False)]
_Scale = Annotated[_Number, AfterValidator(_require_divisor)]
_Numbers = _Number | Annotated[list[_Number], Field(min_length=3, max_length=3)] | None
_Scales = _Scale | Annotated[list[_Scale], Field(min_length=3, max_length=3)] | None
_Side = Annotated[int, Field(ge=1, le=4096)]
_ADVICE: Final = "state preprocessing (a table of scale and offset), fit and input_size in model.toml"


class _Converter(BaseModel):
    """Its members, and no others: they may mean that pictures come to the network in another way."""

    model_config = ConfigDict(extra="forbid")

    image_size: tuple[_Side, _Side] | None = None
    scale: _Scales = None
    offset: _Numbers = None
    crop_to_aspect_ratio: bool = True
    pad_to_aspect_ratio: bool = False
    # What of them is done differently here changes colours at edges a little.
    interpolation: str = "bilinear"
    antialias: bool = False
    bounding_box_format: str = "yxyx"
    name: str | None = None
    trainable: bool = True
    dtype: Any = None


def read_conversion(folder: Path) -> dict[str, object]:
    """Of a preset's folder, as members of a model.toml; none where it does not say.

    Raises ModelFailedError where it cannot be said so.
    """
    config = _find(folder)
    if config is None:
        return {}
    try:
        converter = _Converter.model_validate(config)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ModelFailedError(
            f"the preset's image converter has a '{fault['loc'][0]}' that cannot be followed here: {_ADVICE}"
        ) from error
    said: dict[str, object] = {"preprocessing": _table(converter)}
    if converter.image_size is not None:
        fit = "crop" if converter.crop_to_aspect_ratio else "pad" if converter.pad_to_aspect_ratio else "stretch"
        said |= {"input_size": converter.image_size, "fit": fit}
    return said


def _table(converter: _Converter) -> PreprocessingTable:
    """`x * scale + offset`, as `(x - mean) / std`."""
    scales, offsets = _triple(converter.scale, 1.0), _triple(converter.offset, 0.0)
    red, green, blue = ((-offset / scale, 1 / scale) for scale, offset in zip(scales, offsets, strict=True))
    return PreprocessingTable(mean=(red[0], green[0], blue[0]), std=(red[1], green[1], blue[1]))


def _find(folder: Path) -> dict[str, Any] | None:
    """The image converter's arguments, in a file of its own or in the preprocessor's."""
    for name in (CONVERTER, PREPROCESSOR):
        entry = _read(folder / name)
        if name == PREPROCESSOR and entry is not None:
            entry = entry.get("image_converter")
            entry = entry.get("config") if isinstance(entry, dict) else None
        if entry is not None:
            return entry
    return None


def _read(file: Path) -> dict[str, Any] | None:
    """The `config` of what is written in a file."""
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    try:
        entry = json.loads(text) if len(text) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        entry = None
    config = entry.get("config") if isinstance(entry, dict) else None
    if not isinstance(config, dict):
        raise ModelFailedError(f"the preset's {file.name} is not what KerasHub writes: {_ADVICE}, and leave it out")
    return config


def _triple(value: float | list[float] | None, otherwise: float) -> list[float]:
    return value if isinstance(value, list) else [otherwise if value is None else value] * 3
