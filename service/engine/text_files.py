"""Text that others wrote, on any system, as plain UTF-8. Knows no formats."""

import codecs
from typing import Final

_UTF16: Final = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def to_utf8(data: bytes) -> bytes:
    """The text without its byte order mark; in UTF-16 where that says so. Raises UnicodeDecodeError.

    Windows editors begin UTF-8 with a mark, and its shell writes UTF-16.
    """
    for mark, encoding in _UTF16.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding).encode()
    return data.removeprefix(codecs.BOM_UTF8)
