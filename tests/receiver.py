"""A real receiver of webhooks that a test can have answer as it likes: well, badly, elsewhere, slowly or not at all."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from standardwebhooks.webhooks import Webhook

from tests.ports import free_port

# Guards against hanging; what is waited for comes within a second or two.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Message:
    """One that has come, `at` the time of the tests' clock."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.body)
        return content

    def verify(self, secret: str) -> dict[str, Any]:
        """What the foreign package makes of it; raises WebhookVerificationError."""
        content: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return content


@dataclass
class Answer:
    """`seconds` is how long it takes; a `drip` comes one byte at a time, and has no end."""

    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    drip: bool = False


class Receiver:
    """Listens within the block. Answers come from `script` one by one, then `last` for ever."""

    def __init__(self, context: ssl.SSLContext | None = None, port: int | None = None, host: str = "127.0.0.1") -> None:
        self.port = port or free_port()
        self._host = host
        self.script: list[Answer] = []
        self.last = Answer()
        self.messages: list[Message] = []
        # Of what came in, whether or not it made sense.
        self.connections = 0
        self._context = context
        self._over = threading.Event()

    @property
    def url(self) -> str:
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._server = (_Server6 if ":" in self._host else _Server)((self._host, self.port), _handler(self))
        self._server.context = self._context
        self._server.noted = self._note_connection
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def wait(self, count: int = 1) -> list[Message]:
        """The messages, once there are so many."""
        self.wait_until(lambda: len(self.messages) >= count, f"{count} messages came")
        return self.messages

    def wait_until(self, happened: Callable[[], object], what: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not happened():
            assert time.monotonic() < end, f"waited in vain until {what}: {self.messages}"
            time.sleep(0.01)

    def take(self, message: Message) -> Answer:
        """Note a message; returns what it is answered with."""
        self.messages.append(message)
        return self.script.pop(0) if self.script else self.last

    def pause(self, seconds: float) -> None:
        self._over.wait(seconds)

    def _note_connection(self) -> None:
        self.connections += 1


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None
    noted: Callable[[], None]

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.noted()
        if self.context is not None:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_: object) -> None:
        """A client that does not trust us leaves in the middle."""


class _Server6(_Server):
    address_family = socket.AF_INET6


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = receiver.take(Message(self.path, headers, body, time.monotonic()))
            receiver.pause(answer.seconds)
            with contextlib.suppress(OSError):
                if answer.drip:
                    self._drip()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

        def _drip(self) -> None:
            end = time.monotonic() + PATIENCE_SECONDS
            while time.monotonic() < end:
                self.wfile.write(b"H")
                receiver.pause(0.05)

        def log_message(self, *_: object) -> None:
            """The tests' output is theirs."""

    return Handler
