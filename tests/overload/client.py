"""A bare HTTP client for load: as little work for each request as can be, so that the service has the processor."""

import asyncio
from collections.abc import Sequence
from typing import Final

from tests.benchmark.pictures import jpeg

GRAD_CAM: Final = "/v1/models/shapes/grad-cam"
_BOUNDARY: Final = "picture"


class Connection(asyncio.Protocol):
    """One request at a time; `answer` is the status, or 0 where the connection ended without one."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.open = False
        self._buffer = bytearray()
        self._missing = -1
        self._status = 0
        self._answer: asyncio.Future[int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.open = transport, True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._finish(0)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._missing < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self._status = int(head[9:12])
            self._missing = end + 4 + _length(head)
            if b"connection: close" in head:
                self.open = False
        if len(self._buffer) >= self._missing:
            self._buffer.clear()
            self._missing = -1
            self._finish(self._status)

    def send(self, request: bytes) -> asyncio.Future[int]:
        """The status of its answer, to come."""
        assert self.transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def close(self) -> None:
        self.open = False
        if self.transport is not None:
            self.transport.abort()

    def _finish(self, status: int) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection


def encode_request(image: bytes, *headers: str, path: str = GRAD_CAM, announced: int | None = None) -> bytes:
    """A form with one file. `announced` is what Content-Length says in place of the truth."""
    body = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode()
    body += image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Cache-Control: no-cache",
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}",
        f"Content-Length: {len(body) if announced is None else announced}",
        *headers,
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def photographs(count: int, first: int = 0) -> Sequence[bytes]:
    return [jpeg(first + number, 512) for number in range(count)]


def _length(head: bytes) -> int:
    start = head.find(b"content-length:")
    return int(head[start + 15 : head.find(b"\r\n", start) if b"\r\n" in head[start:] else None]) if start >= 0 else 0
