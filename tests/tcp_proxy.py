"""A TCP proxy that a test can make misbehave: cut, swallow everything, or lose the next replies."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self


class TcpProxy:
    """Stands between a client and `127.0.0.1:{target}`; the client talks to `port`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._stranded: set[socket.socket] = set()
        self._refuses = False
        self._swallows = threading.Event()
        self._trigger = b""
        self._losing = 0
        self.lost = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        # A close alone does not wake a thread that accepts.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def cut(self) -> None:
        """Reset every connection, and each new one until `mend`."""
        with self._lock:
            self._refuses = True
            for connection in self._open:
                _hang_up(connection)

    def black_hole(self) -> None:
        """Accept everything and pass nothing on, either way, until `mend`; what comes meanwhile is gone for good."""
        self._swallows.set()

    def mend(self) -> None:
        """Behave again. Connections that lost bytes in the hole are cut, as they make no sense any more."""
        with self._lock:
            if self._swallows.is_set():
                for connection in self._open:
                    _hang_up(connection)
            self._swallows.clear()
            self._refuses = False

    def strand(self) -> None:
        """Let nothing pass any more on the connections there are, and never say so; new ones work."""
        with self._lock:
            self._stranded |= self._open

    def lose_replies(self, trigger: bytes, times: int = 1) -> None:
        """Cut the connection once the server has answered a request that contains `trigger`; `lost` counts them.

        Redis' errors pass: an unknown script, which the client then sends in full, has not run.
        """
        with self._lock:
            self._trigger, self._losing = trigger, times

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._join(client)

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target), 5)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        with self._lock:
            if self._refuses:
                client.close()
                server.close()
                return
            self._open |= {client, server}
        armed = threading.Event()
        for source, sink, asks in ((client, server, True), (server, client, False)):
            threading.Thread(target=self._pump, args=(source, sink, armed), kwargs={"asks": asks}, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, armed: threading.Event, *, asks: bool) -> None:
        for data in _received(source):
            if self._swallows.is_set() or source in self._stranded:
                continue
            if asks:
                self._arm(data, armed)
            elif armed.is_set() and self._loses(data, armed):
                break
            try:
                sink.sendall(data)
            except OSError:
                break
        for connection in (source, sink):
            _hang_up(connection)
        with self._lock:
            self._open.discard(source)
            self._stranded.discard(source)
        source.close()

    def _arm(self, data: bytes, armed: threading.Event) -> None:
        with self._lock:
            if self._losing and self._trigger in data:
                armed.set()

    def _loses(self, reply: bytes, armed: threading.Event) -> bool:
        with self._lock:
            armed.clear()
            if reply.startswith(b"-") or not self._losing:
                return False
            self._losing -= 1
            self.lost += 1
            return True


def _received(source: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            yield data


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
