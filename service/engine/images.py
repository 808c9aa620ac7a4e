"""Untrusted bytes to an upright 8-bit RGB picture, and that picture to a network's input size. Uses Pillow alone."""

import io
import logging
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from service.engine.arrays import Pixels
from service.errors import ImageInvalidError, ImageTooLargeError, ImageTooManyPixelsError

logger = logging.getLogger(__name__)

# JPEG brings MPO with it: Pillow tells them apart itself. No ICO: Pillow decodes it before it tells the true size.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
# As long as a JPEG can be; PNG encoders refuse much longer rows.
MAX_SIDE = 65_500
_TRANSPARENT_MODES = {"RGBA", "LA", "PA", "RGBa", "La"}
_SIXTEEN_BITS = 0xFFFF
_SIXTEEN_BIT_MODES = {"I;16", "I;16B", "I;16L", "I;16N", "I"}


@dataclass(frozen=True)
class ImageLimits:
    """What a picture may cost before it is decoded."""

    max_bytes: int
    max_pixels: int


def decode(data: bytes, limits: ImageLimits) -> Pixels:
    """Decode the first frame to (h, w, 3) uint8 RGB, EXIF orientation applied, transparency laid on white.

    The size is checked in the file's header, before a pixel is decoded. Raises ImageInvalidError,
    ImageTooLargeError or ImageTooManyPixelsError.
    """
    if not data:
        raise ImageInvalidError("the image is empty: send the bytes of a picture")
    if len(data) > limits.max_bytes:
        raise ImageTooLargeError(f"the image has {len(data)} bytes; at most {limits.max_bytes} are taken")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image, limits)
            image.load()
            _turn_upright(image)
            return np.asarray(_to_rgb(image))
    except (ImageInvalidError, ImageTooManyPixelsError):
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
    """Stretch (h, w, 3) to (height, width, channels) uint8 with Pillow's antialiased BILINEAR.

    No other resampling: OpenCV's and TensorFlow's change heat maps visibly (correlation down to 0.956).
    """
    if picture.shape == (height, width, channels):
        # What resizing to its own size comes to.
        return picture
    image = Image.fromarray(picture)
    if channels == 1:
        image = image.convert("L")
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized).reshape(height, width, channels)


def _check_size(image: Image.Image, limits: ImageLimits) -> None:
    width, height = image.size
    if max(width, height) > MAX_SIDE:
        raise ImageTooManyPixelsError(f"the image measures {width} x {height}; no side may be over {MAX_SIDE} pixels")
    if width * height > limits.max_pixels:
        raise ImageTooManyPixelsError(
            f"the image has {width} x {height} pixels; at most {limits.max_pixels} are decoded: send a smaller one"
        )


def _turn_upright(image: Image.Image) -> None:
    # Damaged EXIF raises anything at all, and the picture is fine without it.
    with suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT_MODES:
        return _from_sixteen_bits(image).convert("RGB")
    if image.mode == "F":
        raise ImageInvalidError("floating-point pixels have no agreed range: send 8 or 16 bits per channel")
    if image.mode in _TRANSPARENT_MODES or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255 instead of scaling.
    values = np.asarray(image).astype(np.int64)
    if values.min(initial=0) < 0 or values.max(initial=0) > _SIXTEEN_BITS:
        raise ImageInvalidError("32-bit pixels have no agreed range: send 8 or 16 bits per channel")
    return Image.fromarray(np.round(values / 257).astype(np.uint8))
