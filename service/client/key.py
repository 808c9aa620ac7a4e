"""The key that goes with every request: given, or of the environment, so that it stands in no command."""

import os
from typing import Final

from service.client.connection import ServiceError

VARIABLE: Final = "CONVSCOPE_KEY"


def find_key(given: str | None) -> str | None:
    """The key as it is sent; None where there is none. No error repeats it."""
    key = (os.environ.get(VARIABLE, "") if given is None else given).strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ServiceError("key_invalid", f"the key ({VARIABLE}) has a space or a character in it that no key has")
    return key or None
