"""The path below which clients see the service, such as `/tools/convscope`. Knows nothing of HTTP."""

import re
from typing import Final

_MAX_LENGTH: Final = 200
# Nothing here needs quoting, in a URL, a header or a page.
_PREFIX: Final = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")
# Whether a request for `/docs` had its prefix taken off could not be told if `/docs` were the prefix.
OWN_SEGMENTS: Final = frozenset(
    ("docs", "livez", "metrics", "openapi.json", "problems", "readyz", "ui", "v1", "v2", "version")
)


def parse_prefix(text: str) -> str:
    """Without a slash at its end; empty for the root. Raises ValueError, with what to write."""
    prefix = text.removesuffix("/")
    if len(prefix) > _MAX_LENGTH or not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"write a path such as /tools/convscope: of letters, digits and ._~- between slashes, at most {_MAX_LENGTH}"
        )
    first = prefix.split("/")[1] if prefix else ""
    if first in OWN_SEGMENTS:
        raise ValueError(f"the service has paths of its own below /{first}: take another one, such as /convscope")
    return prefix
