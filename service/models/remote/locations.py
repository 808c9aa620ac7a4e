"""URLs of what lies elsewhere: what each needs to be installed, and how they are told without their secrets."""

import re
from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

from service.errors import ModelFailedError

# By protocol of fsspec, the package that speaks it and the extra of ours that brings it.
_EXTRAS: Final = {
    "s3": ("s3fs", "s3"),
    "s3a": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "gcs": ("gcsfs", "gs"),
    "hf": ("huggingface_hub", "hf"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "models": ("mlflow", "mlflow"),
}
# User and password before an `@`; not the `@` of a revision, which stands behind a slash.
_USER: Final = re.compile(r"(?<=://)(?:[^\s'\"/]*|[^\s'\"]*:[^\s'\"]*)@")
# What is signed, or a key, stands behind the `?`.
_QUERY: Final = re.compile(r"(://[^\s'\"?#]*)[?#][^\s'\"]*")
_MAX_WORDS: Final = 200


def is_url(place: str) -> bool:
    """Whether it is an fsspec URL, such as `s3://bucket/models`, and no folder of this machine."""
    return "://" in place


def without_secrets(text: str) -> str:
    """The text with neither users, passwords nor queries in its URLs."""
    return _QUERY.sub(r"\1", _USER.sub("", text))


def name_host(url: str) -> str:
    """Protocol and host, or bucket: what answers, or does not, for all that lies there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def require_installed(url: str) -> None:
    """Raise ModelFailedError, with what to install, where a protocol's package is missing."""
    # Of chained URLs the packages of all.
    for part in url.split("::"):
        protocol = part.partition(":")[0].lower()
        package, extra = _EXTRAS.get(protocol, (None, None))
        if package is not None and find_spec(package) is None:
            raise ModelFailedError(
                f"'{protocol}:' needs the package {package}, which is not installed: "
                f"pip install {package}, or convscope with its extra '{extra}'"
            )


def explain(error: BaseException) -> str:
    """What a library says of a failure in few words; for logs, as it may name hosts and paths."""
    words = without_secrets(" ".join(str(error).split()))
    return f"{type(error).__name__}: {words[:_MAX_WORDS]}" if words else type(error).__name__


def summarise(error: BaseException) -> str:
    """The same for clients, without hosts and paths."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError) or getattr(error, "status", None) in (401, 403):
        return "access is refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionError):
        return "no connection"
    return type(error).__name__
