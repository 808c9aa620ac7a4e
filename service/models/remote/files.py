"""Folders and files behind fsspec URLs: what lies there, and its bytes. Nothing is kept here."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import fsspec
from pydantic import BaseModel, ConfigDict

from service.errors import ConvscopeError, ModelFailedError, WeightsUnavailableError
from service.models.remote.locations import explain, require_installed, summarise

# Whichever of these a listing has, the file has changed when they have.
_SIGNS: Final = (
    "ETag", "etag", "md5Hash", "generation", "blob_id", "mtime", "created", "LastModified", "last_modified", "updated",
)  # fmt: skip
# What HTTP says of what is not there.
_GONE: Final = (404, 410)
_MAX_FILES: Final = 200_000
_CHUNK_BYTES: Final = 2**20


class RemoteFile(BaseModel):
    """A file as a listing told of it; `token` is another when the file is. `size` is None where nobody says."""

    model_config = ConfigDict(frozen=True)

    size: int | None
    token: str


class RemoteListing(BaseModel):
    """The files below a URL, by path."""

    files: Mapping[str, RemoteFile]


def list_files(url: str) -> RemoteListing:
    """Everything below a URL, by its path from there; hidden files and folders are left out.

    Raises ModelFailedError where only another URL helps, WeightsUnavailableError where another time may.
    """
    with _explained("the repository cannot be listed"):
        files, root = _open(url)
        if "http" in str(files.protocol):
            raise ModelFailedError("an http URL cannot be listed: name each file as source in a model.toml")
        files.invalidate_cache()
        found = files.find(root, detail=True)
        if len(found) > _MAX_FILES:
            raise ModelFailedError(f"the repository holds more than {_MAX_FILES} files: name a folder within it")
        return RemoteListing(files=dict(_relative(found, root)))


def find_file(url: str) -> RemoteFile:
    """The file at a URL. Raises what `list_files` raises."""
    with _explained("its file cannot be found"):
        files, path = _open(url)
        files.invalidate_cache()
        info = files.info(path)
        if info.get("type") == "directory":
            raise ModelFailedError("source names a folder: name the file in it, which ends in .keras, .h5 or .hdf5")
        return _describe(info)


def download(url: str, path: str, target: Path, go_on: Callable[[], bool]) -> None:
    """Write the file at a URL, or at a path below it, to `target`, as long as `go_on` says so.

    Raises what `list_files` raises.
    """
    with _explained("its file cannot be fetched"):
        files, root = _open(url)
        place = f"{root.rstrip('/')}/{path}" if path else root
        with files.open(place, "rb", block_size=4 * _CHUNK_BYTES) as source, target.open("wb") as stream:
            while chunk := source.read(_CHUNK_BYTES):
                if not go_on():
                    raise TimeoutError
                stream.write(chunk)


def _open(url: str) -> tuple[Any, str]:
    require_installed(url)
    try:
        files, path = fsspec.url_to_fs(url)
    except ImportError as error:
        raise ModelFailedError(f"the URL's protocol needs another package: {explain(error)}") from error
    except ValueError as error:
        raise ModelFailedError(f"the URL is none that fsspec knows: {explain(error)}") from error
    return files, str(path)


def _relative(found: Mapping[str, Mapping[str, Any]], root: str) -> Iterator[tuple[str, RemoteFile]]:
    prefix = root.rstrip("/") + "/"
    for path, info in found.items():
        parts = path.removeprefix(prefix).split("/")
        # Of what a bucket holds nothing may lead elsewhere on this machine.
        is_safe = all(part and not part.startswith(".") and part.isprintable() and "\\" not in part for part in parts)
        if path.startswith(prefix) and is_safe and info.get("type") != "directory":
            yield "/".join(parts), _describe(info)


def _describe(info: Mapping[str, Any]) -> RemoteFile:
    size = info.get("size")
    signs = [f"{sign}={info[sign]}" for sign in _SIGNS if info.get(sign) is not None]
    token = sha256("\n".join([f"size={size}", *signs]).encode()).hexdigest()
    return RemoteFile(size=int(size) if size is not None else None, token=token)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Whatever a file system's library raises becomes an error of ours."""
    try:
        yield
    except ConvscopeError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not _is_silence(error.__cause__):
            raise ModelFailedError(f"{what}: there is no such file or folder") from error
        cause = error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ else error
        raise WeightsUnavailableError(
            f"{what} ({summarise(cause)}): ask again when it can be reached; the log says more"
        ) from cause


def _is_silence(cause: BaseException | None) -> bool:
    """Whether nobody answered, or not to us: over HTTP, fsspec says of that too that there is no such file."""
    if isinstance(cause, FileNotFoundError):
        return False
    is_http = type(cause).__module__.partition(".")[0] == "aiohttp"
    return isinstance(cause, OSError) or (is_http and getattr(cause, "status", None) not in _GONE)
