"""Requests that are refused by their first bytes, before HTTP's parser and all that follows.

Where far more come than are let in, refusing is most of the work: the parser, the task and the middlewares take 0.3 ms
for each, this 0.02. It knows the plainest form of a request with a body; all others take the usual way.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from service.api.headers import secure
from service.api.problems import respond

_MAX_HEAD_BYTES: Final = 8 * 1024
# A connection with more than this to come ends after the answer.
_KEPT_BYTES: Final = 2**18
_ASKED: Final = re.compile(rb"POST ([A-Za-z0-9._~/%-]{1,500})(?:\?[!-~]{0,300})? HTTP/1\.1\r\n")
# Below any prefix.
_METHODS: Final = b"/v1/models/"
# In place of the path, which is the one thing that differs between answers.
_NOWHERE: Final = "/nowhere"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n")
_CLOSES: Final = re.compile(rb"\r\nconnection:[ \t]*close[ \t]*\r\n")
# What makes the end of the body another matter, or the answer.
_OTHERWISE: Final = (b"\r\ntransfer-encoding:", b"\r\nexpect:", b"\r\nupgrade:")
_DETAIL: Final = "as many requests are running or waiting as are answered in time: try again in a moment"


@dataclass(frozen=True)
class Refused:
    """The whole answer, how many bytes of the body are still to come, and whether the connection ends after them."""

    answer: bytes
    missing: int
    closes: bool


class EarlyRefusal:
    """`is_full` tells whether a request of anybody with so long a body would be refused now, and counts it.

    Longer bodies than `max_bytes` are datasets, which are refused otherwise.
    """

    def __init__(self, is_full: Callable[[int], bool], max_bytes: int, root_path: str = "") -> None:
        self._is_full, self._max_bytes = is_full, max_bytes
        response = respond(Request({"type": "http", "path": _NOWHERE, "root_path": root_path}), "server_busy", _DETAIL)
        secure(response.headers)
        del response.headers["content-length"]
        lines = [f"HTTP/1.1 {response.status_code} Service Unavailable"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        self._head = "\r\n".join(lines).encode("latin-1")
        self._body = bytes(response.body).split(_NOWHERE.encode())

    def refuse(self, data: bytes) -> Refused | None:
        """What a new request that begins with these bytes is answered; None where it goes the usual way."""
        end = data.find(b"\r\n\r\n", 0, _MAX_HEAD_BYTES)
        asked = _ASKED.match(data) if end >= 0 else None
        if asked is None or _METHODS not in asked[1]:
            return None
        head = data[: end + 2].lower()
        lengths = _LENGTH.findall(head)
        if len(lengths) != 1 or head.count(b"\r\ncontent-length") != 1 or any(each in head for each in _OTHERWISE):
            return None
        length = int(lengths[0])
        missing = length - (len(data) - end - 4)
        if missing < 0 or not 0 < length <= self._max_bytes or not self._is_full(length):
            return None
        return self._write(asked[1], missing, closes=missing > _KEPT_BYTES or _CLOSES.search(head) is not None)

    def _write(self, path: bytes, missing: int, *, closes: bool) -> Refused:
        body = path.join(self._body)
        more = b"\r\nconnection: close" if closes else b""
        answer = b"%b\r\ncontent-length: %d%b\r\n\r\n%b" % (self._head, len(body), more, body)
        return Refused(answer, missing, closes)
