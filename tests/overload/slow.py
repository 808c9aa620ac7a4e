"""`python -m tests.overload.slow PORT UPLOADS IDLE`: clients that send 20 MB slowly, and some that send nothing.

A process of its own, until its input ends. Whoever is refused or cut off comes again after a second.
"""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.overload.client import GRAD_CAM
from tests.server import ROOT

_BYTES: Final = 20_000_000
_PIECE: Final = b"x" * 2000
_PAUSE_SECONDS: Final = 0.5
_AGAIN_SECONDS: Final = 1.0
_HEAD: Final = (
    f"POST {GRAD_CAM} HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=picture\r\n"
    f"Content-Length: {_BYTES}\r\n\r\n--picture\r\n"
    'Content-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'
).encode()


@contextmanager
def hold_slowly(port: int, *, uploads: int, idle: int) -> Iterator[None]:
    """While the block runs."""
    command = [sys.executable, "-m", "tests.overload.slow", str(port), str(uploads), str(idle)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _upload(port: int) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(_HEAD)
            answer = asyncio.create_task(reader.read(1))
            while not answer.done():
                writer.write(_PIECE)
                await asyncio.wait([answer], timeout=_PAUSE_SECONDS)
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(_AGAIN_SECONDS)


async def _idle(port: int) -> None:
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await reader.read()
            writer.close()
        except OSError:
            pass
        await asyncio.sleep(_AGAIN_SECONDS)


async def _run(port: int, uploads: int, idle: int) -> None:
    await asyncio.gather(*(_upload(port) for _ in range(uploads)), *(_idle(port) for _ in range(idle)))


if __name__ == "__main__":
    asyncio.run(_run(*map(int, sys.argv[1:])))
