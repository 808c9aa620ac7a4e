"""Untrusted bytes to an upright 8-bit RGB picture, and that picture to a network's input size. Uses Pillow alone."""

import io
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from service.engine.arrays import Pixels
from service.engine.images.colour_range import spread_colours
from service.engine.images.framing import Box, Framing, frame
from service.engine.images.memory import estimate_bytes, tile_pixels
from service.engine.images.sample_range import SampleRange, read_statement
from service.engine.images.structure import inspect
from service.engine.images.transparent_value import find_raw_mode, mend_transparent_value
from service.engine.images.upright import read_range, to_upright_rgb
from service.errors import ConvscopeError, ImageInvalidError, ImageTooLargeError, ImageTooManyPixelsError

logger = logging.getLogger(__name__)

# JPEG brings MPO with it: Pillow tells them apart itself. No ICO: Pillow decodes it before it tells the true size.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# As long as a JPEG can be; PNG encoders refuse much longer rows.
MAX_SIDE = 65_500


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may cost before it is decoded."""

    max_bytes: int
    max_pixels: int


def _take_freely(_: int) -> None:
    """For processes that decode few pictures at the same time."""


@dataclass(frozen=True)
class Decoded:
    """(h, w, 3) uint8 RGB; and from which range its numbers come, where they have sixteen bits."""

    pixels: Pixels
    samples: SampleRange | None


def decode(data: bytes, limits: ImageLimits, reserve: Callable[[int], None] = _take_freely) -> Pixels:
    """The pixels alone of `read_picture`. Raises what that raises."""
    return read_picture(data, limits, reserve).pixels


def read_picture(
    data: bytes,
    limits: ImageLimits,
    reserve: Callable[[int], None] = _take_freely,
    *,
    drawn: bool = False,
    bits: int | None = None,
) -> Decoded:
    """Decode the first frame to (h, w, 3) uint8 RGB, EXIF orientation applied, transparency laid on white.

    The size is checked in the file's header, before a pixel is decoded; `reserve` is told the bytes of memory that
    this takes, and drawing over the picture where it is to be `drawn`, and may raise. `bits` are those that gray of
    sixteen uses, where that is known. Raises ImageInvalidError, ImageTooLargeError or ImageTooManyPixelsError.
    """
    if not data:
        raise ImageInvalidError("the image is empty: send the bytes of a picture")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(f"the image has {len(data)} bytes; at most {limits.max_bytes} are taken")
    try:
        scans = inspect(data)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, limits)
            reserve(estimate_bytes(image, scans, drawn=drawn))
            mend_transparent_value(image)
            stated, raw_mode = read_statement(image, data, bits), find_raw_mode(image)
            image.load()
            samples = read_range(image, stated) or spread_colours(image, data, raw_mode, stated)
            return Decoded(to_upright_rgb(image, samples), samples)
    except ConvscopeError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooManyPixelsError(f"the image has more than {limits.max_pixels} pixels") from error
    except UnidentifiedImageError as error:
        raise ImageInvalidError(f"not a picture in a format that is read here: {', '.join(FORMATS)}") from error
    except Exception as error:
        # Decoders meet hostile bytes with whatever exception they stumble over: SyntaxError, struct.error, KeyError…
        logger.info("image not decoded: %r", error)
        raise ImageInvalidError("the image is damaged or cut short and cannot be decoded") from error


def fit(picture: Pixels, *, height: int, width: int, channels: int) -> Pixels:
    """Stretch (h, w, 3) to (height, width, channels) uint8, as `fit_into` does."""
    size = (picture.shape[0], picture.shape[1])
    return fit_into(picture, frame("stretch", size, (height, width)), channels)


def fit_into(picture: Pixels, framing: Framing, channels: int) -> Pixels:
    """(h, w, 3) to the framing's input size with `channels`, uint8, with Pillow's antialiased BILINEAR.

    No other resampling: OpenCV's and TensorFlow's change heat maps visibly (correlation down to 0.956).
    """
    height, width = framing.input_size
    if framing.is_whole and picture.shape == (height, width, channels):
        # What resizing to its own size comes to.
        return picture
    image = _take(picture, framing.taken)
    if channels == 1:
        image = image.convert("L")
    top, left, bottom, right = framing.place
    resized = np.asarray(image.resize((right - left, bottom - top), Image.Resampling.BILINEAR))
    resized = resized.reshape(bottom - top, right - left, channels)
    if framing.fills_input:
        return resized
    padded = np.zeros((height, width, channels), np.uint8)
    padded[top:bottom, left:right] = resized
    return padded


def _take(picture: Pixels, box: Box) -> Image.Image:
    """A window of a picture. Cut before it is resized, so that nothing from outside is mixed in; copied only once."""
    top, left, bottom, right = box
    if (bottom - top, right - left) == picture.shape[:2]:
        return Image.fromarray(picture)
    row = picture.shape[1] * 3
    rows = np.ascontiguousarray(picture).reshape(-1)[top * row + left * 3 :]
    return Image.frombuffer("RGB", (right - left, bottom - top), rows, "raw", "RGB", row, 1)


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if tile_pixels(image) > limits.max_pixels:
        raise ImageTooManyPixelsError(f"a tile of the image has more than {limits.max_pixels} pixels: save it anew")
    if max(width, height) > MAX_SIDE:
        raise ImageTooManyPixelsError(f"the image measures {width} x {height}; no side may be over {MAX_SIDE} pixels")
    if width * height > limits.max_pixels:
        raise ImageTooManyPixelsError(
            f"the image has {width} x {height} pixels; at most {limits.max_pixels} are decoded: send a smaller one"
        )
