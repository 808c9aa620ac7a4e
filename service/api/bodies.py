"""A request's body, form or JSON, to the same flat parameters and image bytes. Nothing here trusts the client.

FastAPI cannot declare both on one route: JSON sent to a form route would silently leave every parameter at its default.
"""

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import anyio.to_thread
from fastapi import Request
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from schemas.problems import ProblemError
from service.engine.parameters import InvalidParametersError, pointer
from service.errors import ConvscopeError, ImageInvalidError, ImageTooLargeError

# What a form or a JSON object may need besides the image.
_ENVELOPE_BYTES = 2**20
_MAX_FIELDS = 64
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
    """Parameters as they came (strings in a form), and the image's bytes."""

    params: dict[str, Any]
    image: bytes | None


async def read_body(request: Request, *, max_image_bytes: int, timeout_seconds: float) -> Body:
    """Read the body by its Content-Type. Raises the errors above, or those of an image."""
    header = request.headers.get("content-type", "")
    media_type = parse_options_header(header)[0].decode("latin-1").lower()
    limit = _ENVELOPE_BYTES + (max_image_bytes if media_type == "multipart/form-data" else max_image_bytes * 4 // 3)
    stream = _limited(request, limit)
    try:
        async with asyncio.timeout(timeout_seconds):
            if media_type == "multipart/form-data":
                return await _read_form(request, stream, max_image_bytes)
            data = b"".join([chunk async for chunk in stream])
    except TimeoutError as error:
        raise BodyTimeoutError(f"the body did not arrive within {timeout_seconds:g} seconds") from error
    except ClientDisconnect as error:
        raise BodyIncompleteError("the connection ended before the body did") from error
    if media_type == "application/json":
        return await anyio.to_thread.run_sync(_parse_json, data, max_image_bytes)
    if not header and not data:
        return Body({}, None)
    raise UnsupportedMediaTypeError(
        f"'{media_type or 'no Content-Type'}' is not taken here: send multipart/form-data or application/json"
    )


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


async def _read_form(request: Request, stream: AsyncGenerator[bytes, None], max_image_bytes: int) -> Body:
    _, options = parse_options_header(request.headers["content-type"])
    whole = _whole(stream, options.get(b"boundary", b""))
    parser = MultiPartParser(request.headers, whole, max_files=8, max_fields=_MAX_FIELDS)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise InvalidFormError(f"the multipart form cannot be read: {getattr(error, 'message', error)}") from error
    try:
        params: dict[str, Any] = {}
        image: bytes | None = None
        for name, value in form.multi_items():
            if name == "image":
                if image is not None:
                    raise ImageInvalidError("'image' was sent more than once")
                image = await _form_image(value, max_image_bytes)
            elif isinstance(value, UploadFile):
                raise InvalidParametersError(
                    [ProblemError(pointer=pointer(name), detail="not a file here: the picture is the field 'image'")]
                )
            elif value:
                # An empty field is what a browser sends for one left blank.
                params.setdefault(name, []).append(value)
        return Body({name: values if values[1:] else values[0] for name, values in params.items()}, image)
    finally:
        await form.close()


async def _form_image(value: UploadFile | str, max_image_bytes: int) -> bytes:
    if isinstance(value, str):
        return _from_base64(value, max_image_bytes, "send a file (curl: -F image=@cat.jpg) or base64")
    if value.size is not None and value.size > max_image_bytes:
        raise ImageTooLargeError(f"the image has {value.size} bytes; at most {max_image_bytes} are taken")
    return await value.read()


def _parse_json(data: bytes, max_image_bytes: int) -> Body:
    try:
        given = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidJsonError(f"the body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise InvalidJsonError("the body must be a JSON object of parameters")
    image = given.pop("image", None)
    if image is None:
        return Body(given, None)
    if not isinstance(image, str):
        raise ImageInvalidError("'image' must be a string: base64 or a data URL")
    return Body(given, _from_base64(image, max_image_bytes, "send base64 (RFC 4648) or a base64 data URL"))


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
