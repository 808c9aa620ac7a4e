"""A JSON body's parameters and pictures, bounded before anything is made of it. Blocks: for a thread, not the loop."""

import base64
import binascii
from typing import IO

from pydantic_core import from_json

from service.api.requests.dataset_uploads import pack_pictures
from service.errors import ConvscopeError, DatasetInvalidError, ImageInvalidError, ImageTooLargeError

# Of a JSON body, whose objects take a hundred times its bytes: no parameter is a list of lists, or has as many items.
_MAX_JSON_COMMAS = 100_000
_MAX_JSON_NESTED = 1000
_WHITE_SPACE = b" \t\r\n\v\f"
# Parameters as they came, the image, a dataset as an open ZIP.
Parsed = tuple[dict[str, object], bytes | None, IO[bytes] | None]


class InvalidJsonError(ConvscopeError):
    code = "invalid_json"


def parse_json(data: bytes, max_image_bytes: int, *, takes_dataset: bool) -> Parsed:
    """Parameters, the image's bytes and the dataset. Raises InvalidJsonError, or an error of an image or dataset."""
    if _count(data, b",") > _MAX_JSON_COMMAS or _count(data, b"[") + _count(data, b"{") > _MAX_JSON_NESTED:
        raise InvalidJsonError(
            f"the JSON has more than {_MAX_JSON_COMMAS} values, or {_MAX_JSON_NESTED} arrays and objects"
        )
    try:
        given = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidJsonError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidJsonError("the body must be a JSON object of parameters")
    image = given.pop("image", None)
    images = given.pop("images", None) if takes_dataset else None
    return (
        given,
        None if image is None else _json_image(image, max_image_bytes),
        None if images is None else _json_images(images, max_image_bytes),
    )


def _count(data: bytes, what: bytes) -> int:
    # A megabyte at a time, between which other threads have their turn.
    return sum(data.count(what, start, start + 2**20) for start in range(0, len(data), 2**20))


def _json_image(image: object, max_image_bytes: int) -> bytes:
    if not isinstance(image, str):
        raise ImageInvalidError("'image' must be a string: base64 or a data URL")
    return decode_base64(image, max_image_bytes, "send base64 (RFC 4648) or a base64 data URL")


def _json_images(images: object, max_image_bytes: int) -> IO[bytes]:
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
        raise DatasetInvalidError("'images' must be a ZIP as base64, or a list of pictures as base64 or data URLs")
    return pack_pictures([_json_image(image, max_image_bytes) for image in images])


def decode_base64(text: str, max_image_bytes: int, advice: str) -> bytes:
    """An image's bytes, of base64 or a base64 data URL. Raises ImageInvalidError or ImageTooLargeError."""
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise ImageInvalidError(f"the data URL of 'image' is not base64: {advice}")
    try:
        # Not `split`, which makes an object of every piece.
        data = base64.b64decode(text.encode("ascii").translate(None, _WHITE_SPACE), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageInvalidError(f"'image' is not base64: {advice}") from error
    if len(data) > max_image_bytes:
        raise ImageTooLargeError(f"the image has {len(data)} bytes; at most {max_image_bytes} are taken")
    return data
