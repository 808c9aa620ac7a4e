"""The weights of applications: found in Keras's cache or fetched into it. Knows files and URLs, no networks.

Keras could fetch them itself, but it has no time limit, writes straight to the file's final place and prints progress.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

from service.errors import WeightsUnavailableError

logger = logging.getLogger(__name__)

# What people are told: never where on this server that is.
PLACES = "$CONVSCOPE_MODELS or $KERAS_HOME/models (~/.keras/models where that is not set) on the server"
CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class WeightsFile:
    """`name` in Keras's cache; `path` below the origin; `digest`: MD5 or SHA-256 in hexadecimal, if Keras has one."""

    name: str
    path: str
    digest: str | None


def find_cache() -> Path:
    """The folder where Keras looks for weights, by Keras's own rules: temporary where its home cannot be written."""
    home = _keras_home()
    usable = os.access(home if home.exists() else home.parent, os.W_OK)
    return (home if usable else Path(tempfile.gettempdir()) / ".keras") / "models"


class WeightsStore:
    """`origin` is the URL below which the files lie, `folder` one more where an operator may put them.

    Nobody there for `patience_seconds` means that we are offline.
    """

    def __init__(self, origin: str, folder: Path | None = None, *, patience_seconds: float = 5.0) -> None:
        self._origin = origin.rstrip("/")
        self._folder = folder
        self._patience = patience_seconds
        self._closed = Event()

    def get(self, weights: WeightsFile) -> Path:
        """The file, checked, where Keras finds it too. Raises WeightsUnavailableError that says what to put where."""
        target = find_cache() / weights.name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            self._link(target)
            if not target.exists():
                self._fetch(weights, target)
        except (OSError, HTTPException, ValueError) as error:
            logger.warning("%s cannot be fetched: %s", weights.name, error)
            raise WeightsUnavailableError(
                f"its weights are not on this server and cannot be fetched ({_reason(error)}): "
                f"put the file '{weights.name}' into {PLACES} and ask again"
            ) from error
        if not _is_whole(target, weights.digest):
            raise damaged(weights)
        return target

    def close(self) -> None:
        """End what is being fetched."""
        self._closed.set()

    def _link(self, target: Path) -> None:
        """Let Keras find what an operator has put elsewhere, or into a home that Keras cannot write and passes over."""
        places = [_keras_home() / "models", *([self._folder] if self._folder else [])]
        if target.is_symlink():
            target.unlink()
        given = next((place / target.name for place in places if (place / target.name).is_file()), target)
        if given != target and not target.exists():
            target.symlink_to(given.absolute())

    def _fetch(self, weights: WeightsFile, target: Path) -> None:
        # Under another name until it is whole, so that a service that is killed leaves no half file behind.
        part = target.with_name(f".{weights.name}.{uuid4().hex}.part")
        url = f"{self._origin}/{weights.path}"
        logger.info("fetching %s", weights.name)
        try:
            with closing(_within(self._patience, lambda: self._open(url))) as answer, part.open("wb") as stream:
                while chunk := answer.read(CHUNK_BYTES):
                    stream.write(chunk)
                    if self._closed.is_set():
                        raise ValueError("the service is shutting down")
                expected = answer.headers.get("Content-Length")
                if expected is not None and int(expected) != stream.tell():
                    raise ValueError("the connection ended too early")
            if not _is_whole(part, weights.digest):
                raise ValueError("another file lies at its place")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _open(self, url: str) -> HTTPResponse:
        try:
            answer: HTTPResponse = urlopen(url, timeout=self._patience)  # noqa: S310 - the settings allow http(s) alone
        except HTTPError as error:
            error.close()  # it is an answer as well
            raise
        return answer


def damaged(weights: WeightsFile) -> WeightsUnavailableError:
    """The error for a file that is there but is not what Keras expects."""
    return WeightsUnavailableError(
        f"the file '{weights.name}' in {PLACES} is damaged, or not the one that Keras has under this name: "
        "copy it again, or delete it to have it fetched"
    )


def _keras_home() -> Path:
    home = os.environ.get("KERAS_HOME")
    if home is not None:
        return Path(home).expanduser()
    user = Path.home()
    return (user if os.access(user, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108 - as Keras does it


def _is_whole(file: Path, digest: str | None) -> bool:
    if digest is None:
        return True
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5" if len(digest) == 32 else "sha256").hexdigest() == digest


def _within(seconds: float, ask: Callable[[], HTTPResponse]) -> HTTPResponse:
    """Wait that long for an answer: a socket's own time limit does not bound the look-up of the host's name."""
    answer: Future[HTTPResponse] = Future()

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            answer.set_exception(error)

    Thread(target=run, name="weights", daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        answer.add_done_callback(_close_late)
        raise


def _close_late(answer: Future[HTTPResponse]) -> None:
    if answer.exception() is None:
        answer.result().close()


def _reason(error: Exception) -> str:
    """Few words for clients, without hosts and paths."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    if isinstance(error, ValueError):
        return str(error)
    return "no connection" if not isinstance(error, PermissionError) else "the folder cannot be written"
