"""A request's body, form or JSON, to the same flat parameters and image bytes. Nothing here trusts the client.

FastAPI cannot declare both on one route: JSON sent to a form route would silently leave every parameter at its default.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import IO, Any

import anyio.to_thread
from fastapi import Request
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from schemas.problems import ProblemError
from service.api.sets import pack_files, pack_pictures
from service.engine.parameters import InvalidParametersError, pointer
from service.errors import ConvscopeError, ImageInvalidError, ImageTooLargeError, SetInvalidError

# What a form or a JSON object may need besides the image.
_ENVELOPE_BYTES = 2**20
_MAX_FIELDS = 64
# More come in a ZIP: each file of a form keeps a descriptor open.
_MAX_SET_FILES = 100
_MAX_EPILOGUE_BYTES = 256
# A client that is cut off while it sends sees a broken pipe, not our answer; so much more is read and dropped.
_DRAIN_FACTOR = 4


class UnsupportedMediaTypeError(ConvscopeError):
    code = "unsupported_media_type"


class InvalidJsonError(ConvscopeError):
    code = "invalid_json"


class InvalidFormError(ConvscopeError):
    code = "invalid_form"


class BodyTooLargeError(ConvscopeError):
    code = "body_too_large"


class BodyIncompleteError(ConvscopeError):
    code = "body_incomplete"


class BodyTimeoutError(ConvscopeError):
    code = "body_timeout"


@dataclass(frozen=True)
class Body:
    """Parameters as they came (strings in a form), the image's bytes, and a set of images as an open ZIP."""

    params: dict[str, Any]
    image: bytes | None = None
    images: IO[bytes] | None = None


@dataclass(frozen=True)
class BodyLimits:
    """What a body may cost. A set, where one is taken, comes as a form; in JSON no more than a large image."""

    max_image_bytes: int
    timeout_seconds: float
    max_set_bytes: int
    set_timeout_seconds: float


async def read_body(request: Request, limits: BodyLimits, *, takes_set: bool = False) -> Body:
    """Read the body by its Content-Type. Raises the errors above, or those of an image."""
    header = request.headers.get("content-type", "")
    media_type = parse_options_header(header)[0].decode("latin-1").lower()
    is_form = media_type == "multipart/form-data"
    limit = limits.max_image_bytes if is_form else limits.max_image_bytes * 4 // 3
    seconds = limits.timeout_seconds
    if takes_set and is_form and announces_set(request, limits):
        limit, seconds = max(limit, limits.max_set_bytes), limits.set_timeout_seconds
    stream = _limited(request, limit + _ENVELOPE_BYTES)
    try:
        async with asyncio.timeout(seconds):
            if is_form:
                return await _read_form(request, stream, limits.max_image_bytes, takes_set=takes_set)
            data = b"".join([chunk async for chunk in stream])
    except TimeoutError as error:
        raise BodyTimeoutError(f"the body did not arrive within {seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise BodyIncompleteError("the connection ended before the body did") from error
    if media_type == "application/json":
        return await anyio.to_thread.run_sync(_parse_json, data, limits.max_image_bytes, takes_set)
    if not header and not data:
        return Body({})
    raise UnsupportedMediaTypeError(
        f"'{media_type or 'no Content-Type'}' is not taken here: send multipart/form-data or application/json"
    )


def announces_set(request: Request, limits: BodyLimits) -> bool:
    """True for a body that says it is larger than one with an image may be; it takes long, and room on the disk."""
    length = request.headers.get("content-length", "")
    return length.isdecimal() and int(length) > limits.max_image_bytes + _ENVELOPE_BYTES


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body's chunks; one that is too large is read a while longer, so that the client hears why."""
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received <= limit:
            yield chunk
        elif received > limit * _DRAIN_FACTOR:
            break
    if received > limit:
        raise BodyTooLargeError(f"the body is larger than {limit} bytes")


async def _whole(stream: AsyncGenerator[bytes, None], boundary: bytes) -> AsyncGenerator[bytes, None]:
    """The form's chunks; the parser itself would take a form that was cut off for a whole one."""
    end, tail = b"--" + boundary + b"--", b""
    async for chunk in stream:
        tail = (tail + chunk)[-len(end) - _MAX_EPILOGUE_BYTES :]
        yield chunk
    if end not in tail:
        raise InvalidFormError("the multipart form is cut off: its closing boundary is missing")


class _SetParser(MultiPartParser):
    """For many files at once: each in memory only while it is small."""

    spool_max_size = 2**16


async def _read_form(
    request: Request, stream: AsyncGenerator[bytes, None], max_image_bytes: int, *, takes_set: bool
) -> Body:
    _, options = parse_options_header(request.headers["content-type"])
    whole = _whole(stream, options.get(b"boundary", b""))
    parser: MultiPartParser = (
        _SetParser(request.headers, whole, max_files=_MAX_SET_FILES, max_fields=_MAX_FIELDS)
        if takes_set
        else MultiPartParser(request.headers, whole, max_files=8, max_fields=_MAX_FIELDS)
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise InvalidFormError(f"the multipart form cannot be read: {getattr(error, 'message', error)}") from error
    try:
        params: dict[str, Any] = {}
        image: bytes | None = None
        images: list[UploadFile] = []
        for name, value in form.multi_items():
            if name == "image":
                if image is not None:
                    raise ImageInvalidError("'image' was sent more than once")
                image = await _form_image(value, max_image_bytes)
            elif name == "images" and takes_set:
                if not isinstance(value, UploadFile):
                    raise SetInvalidError("'images' must be files: a ZIP, or pictures (curl: -F images=@photos.zip)")
                images.append(value)
            elif isinstance(value, UploadFile):
                raise InvalidParametersError(
                    [ProblemError(pointer=pointer(name), detail="not a file here: the picture is the field 'image'")]
                )
            elif value:
                # An empty field is what a browser sends for one left blank.
                params.setdefault(name, []).append(value)
        flat = {name: values if values[1:] else values[0] for name, values in params.items()}
        return Body(flat, image, await anyio.to_thread.run_sync(pack_files, images) if images else None)
    finally:
        await form.close()


async def _form_image(value: UploadFile | str, max_image_bytes: int) -> bytes:
    if isinstance(value, str):
        return _from_base64(value, max_image_bytes, "send a file (curl: -F image=@cat.jpg) or base64")
    if value.size is not None and value.size > max_image_bytes:
        raise ImageTooLargeError(f"the image has {value.size} bytes; at most {max_image_bytes} are taken")
    return await value.read()


def _parse_json(data: bytes, max_image_bytes: int, takes_set: bool) -> Body:  # noqa: FBT001 - called on a thread
    try:
        given = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidJsonError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidJsonError("the body must be a JSON object of parameters")
    image = given.pop("image", None)
    images = given.pop("images", None) if takes_set else None
    return Body(
        given,
        None if image is None else _json_image(image, max_image_bytes),
        None if images is None else _json_images(images, max_image_bytes),
    )


def _json_image(image: object, max_image_bytes: int) -> bytes:
    if not isinstance(image, str):
        raise ImageInvalidError("'image' must be a string: base64 or a data URL")
    return _from_base64(image, max_image_bytes, "send base64 (RFC 4648) or a base64 data URL")


def _json_images(images: object, max_image_bytes: int) -> IO[bytes]:
    images = [images] if isinstance(images, str) else images
    if not isinstance(images, list) or not images or not all(isinstance(image, str) for image in images):
        raise SetInvalidError("'images' must be a ZIP as base64, or a list of pictures as base64 or data URLs")
    return pack_pictures([_json_image(image, max_image_bytes) for image in images])


def _from_base64(text: str, max_image_bytes: int, advice: str) -> bytes:
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise ImageInvalidError(f"the data URL of 'image' is not base64: {advice}")
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageInvalidError(f"'image' is not base64: {advice}") from error
    if len(data) > max_image_bytes:
        raise ImageTooLargeError(f"the image has {len(data)} bytes; at most {max_image_bytes} are taken")
    return data
