"""A request's body, form or JSON, to the same flat parameters and image bytes. Nothing here trusts the client.

FastAPI cannot declare both on one route: JSON sent to a form route would silently leave every parameter at its default.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import IO

import anyio.to_thread
from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from schemas.problems import ProblemError
from service.api.requests.dataset_uploads import pack_files
from service.api.requests.entries import entry_of
from service.api.requests.executor import BoundedExecutor
from service.api.requests.json_bodies import decode_base64, parse_json
from service.engine.parameters import InvalidParametersError, pointer
from service.errors import ConvscopeError, DatasetInvalidError, ImageInvalidError, ImageTooLargeError

# What a form or a JSON object may need besides the image.
_ENVELOPE_BYTES = 2**20
# The form's parser runs on the event loop: so much at once takes it some milliseconds at worst.
_SLICE_BYTES = 2**16
# Of a JSON body with an image, while it is read: as it came, as text, as base64 and without white space, and decoded.
_JSON_COPIES = 5
# Of a form's texts. Others are refused: Python's decoder of `punycode` takes minutes for a megabyte.
_CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1")
_MAX_FIELDS = 64
# More come in a ZIP: each file of a form keeps a descriptor open.
_MAX_DATASET_FILES = 100
_MAX_EPILOGUE_BYTES = 256
_MAX_DIGITS = 20
# A client that is cut off while it sends sees a broken pipe, not our answer; so much more is read and dropped.
_DRAIN_FACTOR = 4


class UnsupportedMediaTypeError(ConvscopeError):
    code = "unsupported_media_type"


class InvalidFormError(ConvscopeError):
    code = "invalid_form"


class BodyTooLargeError(ConvscopeError):
    code = "body_too_large"


class BodyIncompleteError(ConvscopeError):
    code = "body_incomplete"


@dataclass(frozen=True)
class Body:
    """Parameters as they came (strings in a form), the image's bytes, and a dataset of images as an open ZIP."""

    params: dict[str, object]
    image: bytes | None = None
    images: IO[bytes] | None = None


@dataclass(frozen=True)
class BodyLimits:
    """What a body may cost. A dataset, where one is taken, comes as a form; in JSON no more than a large image.

    A body with an image has `timeout_seconds`, and a second more for every `bytes_per_second` that have come.
    """

    max_image_bytes: int
    timeout_seconds: float
    bytes_per_second: int
    max_dataset_bytes: int
    dataset_timeout_seconds: float


def count_nothing(_: int) -> None:
    """Where nobody looks at how fast a body comes."""


def body_memory(media_type: bytes, length: int | None, limits: BodyLimits) -> int:
    """What a body of that length takes at most; what is larger than an image may be goes to the disk, or is dropped."""
    if media_type.lower().startswith(b"multipart/form-data"):
        limit = limits.max_image_bytes + _ENVELOPE_BYTES
        if length is None:
            return limit
        return length if length <= limit else _ENVELOPE_BYTES
    limit = limits.max_image_bytes * 4 // 3 + _ENVELOPE_BYTES
    return _JSON_COPIES * (limit if length is None else min(length, limit))


def largest_memory(limits: BodyLimits) -> int:
    """What the largest body takes."""
    return max(body_memory(media_type, None, limits) for media_type in (b"multipart/form-data", b"application/json"))


async def read_body(
    request: Request,
    limits: BodyLimits,
    parsing: BoundedExecutor,
    *,
    takes_dataset: bool = False,
    received: Callable[[int], None] = count_nothing,
) -> Body:
    """Read the body by its Content-Type; `received` is told of its bytes as they come.

    Raises the errors above, or those of an image.
    """
    entry = entry_of(request.scope)
    header = request.headers.get("content-type", "")
    media_type = parse_options_header(header)[0].decode("latin-1").lower()
    is_form = media_type == "multipart/form-data"
    limit = limits.max_image_bytes if is_form else limits.max_image_bytes * 4 // 3
    seconds, rate = limits.timeout_seconds, float(limits.bytes_per_second)
    if takes_dataset and is_form and announces_dataset(request, limits):
        # There are few places for those.
        limit, seconds, rate = max(limit, limits.max_dataset_bytes), limits.dataset_timeout_seconds, math.inf
    if entry is not None:
        entry.allow(seconds, rate)
    try:
        stream = _limited(request, limit + _ENVELOPE_BYTES, received)
        if is_form:
            return await _read_form(request, stream, limits.max_image_bytes, takes_dataset=takes_dataset)
        data = b"".join([chunk async for chunk in stream])
    except ClientDisconnect as error:
        raise BodyIncompleteError("the connection ended before the body did") from error
    if media_type == "application/json":
        return Body(*await parsing.run(partial(parse_json, data, limits.max_image_bytes, takes_dataset=takes_dataset)))
    if not header and not data:
        return Body({})
    raise UnsupportedMediaTypeError(
        f"'{media_type or 'no Content-Type'}' is not taken here: send multipart/form-data or application/json"
    )


def announces_dataset(request: Request, limits: BodyLimits) -> bool:
    """True for a body that says it is larger than one with an image may be; it takes long, and room on the disk."""
    return announced_bytes(request) > limits.max_image_bytes + _ENVELOPE_BYTES


def announced_bytes(request: Request) -> int:
    """How many bytes a body says it has; 0 where it does not say."""
    length = request.headers.get("content-length", "")
    return int(length[:_MAX_DIGITS]) if length.isdecimal() else 0


async def _limited(request: Request, limit: int, came: Callable[[int], None]) -> AsyncGenerator[bytes, None]:
    """The body's chunks; one that is too large is read a while longer, so that the client hears why."""
    total = 0
    async for chunk in request.stream():
        total += len(chunk)
        came(len(chunk))
        if total <= limit:
            for start in range(0, len(chunk), _SLICE_BYTES):
                if start:
                    # The others' turn.
                    await asyncio.sleep(0)
                yield chunk[start : start + _SLICE_BYTES]
        elif total > limit * _DRAIN_FACTOR:
            break
    if total > limit:
        raise BodyTooLargeError(f"the body is larger than {limit} bytes")


async def _whole(stream: AsyncGenerator[bytes, None], boundary: bytes) -> AsyncGenerator[bytes, None]:
    """The form's chunks; the parser itself would take a form that was cut off for a whole one."""
    end, tail = b"--" + boundary + b"--", b""
    async for chunk in stream:
        tail = (tail + chunk)[-len(end) - _MAX_EPILOGUE_BYTES :]
        yield chunk
    if end not in tail:
        raise InvalidFormError("the multipart form is cut off: its closing boundary is missing")


class _DatasetParser(MultiPartParser):
    """For many files at once: each in memory only while it is small."""

    spool_max_size = 2**16


async def _read_form(
    request: Request, stream: AsyncGenerator[bytes, None], max_image_bytes: int, *, takes_dataset: bool
) -> Body:
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", b"utf-8").lower() not in _CHARSETS:
        raise InvalidFormError("the form's 'charset' is not taken here: leave it out, and send UTF-8")
    whole = _whole(stream, options.get(b"boundary", b""))
    parser: MultiPartParser = (
        _DatasetParser(request.headers, whole, max_files=_MAX_DATASET_FILES, max_fields=_MAX_FIELDS)
        if takes_dataset
        else MultiPartParser(request.headers, whole, max_files=8, max_fields=_MAX_FIELDS)
    )
    form = await _parse_form(parser, stream)
    try:
        params: dict[str, list[str]] = {}
        image: bytes | None = None
        images: list[UploadFile] = []
        for name, value in form.multi_items():
            if name == "image":
                if image is not None:
                    raise ImageInvalidError("'image' was sent more than once")
                image = await _form_image(value, max_image_bytes)
            elif name == "images" and takes_dataset:
                if not isinstance(value, UploadFile):
                    raise DatasetInvalidError(
                        "'images' must be files: a ZIP, or pictures (curl: -F images=@photos.zip)"
                    )
                images.append(value)
            elif isinstance(value, UploadFile):
                raise InvalidParametersError(
                    [ProblemError(pointer=pointer(name), detail="not a file here: the picture is the field 'image'")]
                )
            elif value:
                # An empty field is what a browser sends for one left blank.
                params.setdefault(name, []).append(value)
        flat: dict[str, object] = {name: values if values[1:] else values[0] for name, values in params.items()}
        return Body(flat, image, await anyio.to_thread.run_sync(pack_files, images) if images else None)
    finally:
        await form.close()


async def _parse_form(parser: MultiPartParser, stream: AsyncGenerator[bytes, None]) -> FormData:
    try:
        return await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        raise InvalidFormError(f"the multipart form cannot be read: {getattr(error, 'message', error)}") from error
    except OSError:
        # No room for it on the disk: as above, the client is to hear why.
        async for _ in stream:
            pass
        raise


async def _form_image(value: UploadFile | str, max_image_bytes: int) -> bytes:
    if isinstance(value, str):
        return decode_base64(value, max_image_bytes, "send a file (curl: -F image=@cat.jpg) or base64")
    if value.size is not None and value.size > max_image_bytes:
        raise ImageTooLargeError(f"the image has {value.size} bytes; at most {max_image_bytes} are taken")
    return await value.read()
