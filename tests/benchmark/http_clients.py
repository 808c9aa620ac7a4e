"""`python -m tests.benchmark.http_clients PORT PATH CLIENTS REQUESTS FIRST`: many clients in one cheap process.

Every request brings another JPEG, encoded before the clock starts. Bare sockets, as a client library would take a good
part of the processor's time that the service is measured with. Prints JSON.
"""

import asyncio
import json
import sys
import time
from collections import deque

from tests.benchmark.pictures import jpeg

BOUNDARY = "picture"


def encode_request(path: str, image: bytes) -> bytes:
    """A whole HTTP request with a form of one file, which asks for a PNG."""
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    ).encode() + image
    body += f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: image/png\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def load(port: int, clients: int, requests: list[bytes]) -> dict[str, object]:
    """Seconds in all, and each answered request's milliseconds; whatever is not a PNG with status 200 is lost."""
    waiting: deque[bytes] = deque(requests)
    taken: list[float] = []
    started = time.perf_counter()
    await asyncio.gather(*(_visit(port, waiting, taken) for _ in range(clients)))
    return {"seconds": time.perf_counter() - started, "taken_ms": taken, "lost": len(requests) - len(taken)}


async def _visit(port: int, waiting: deque[bytes], taken: list[float]) -> None:
    """One client: its next request when its last is answered, on one connection as long as that holds."""
    while waiting:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while waiting:
                started = time.perf_counter()
                writer.write(waiting.popleft())
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                if head.startswith(b"HTTP/1.1 200") and body.startswith(b"\x89PNG"):
                    taken.append((time.perf_counter() - started) * 1000)
        except (OSError, asyncio.IncompleteReadError):
            continue
        finally:
            writer.close()


def _length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    return next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))


def main() -> None:
    port, path, clients, count, first = sys.argv[1:]
    requests = [encode_request(path, jpeg(int(first) + number)) for number in range(int(count))]
    sys.stdout.write(json.dumps(asyncio.run(load(int(port), int(clients), requests))))


if __name__ == "__main__":
    main()
