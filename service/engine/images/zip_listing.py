"""A ZIP's file that bounds what is read of its listing. Knows nothing of what is packed.

A ZIP has two records of how long its listing is (APPNOTE 4.3.14 and 4.3.16), which may differ, and which of them counts
depends on who reads it. So it is not looked up: whatever `zipfile` asks for is refused where it is too much.
"""

from typing import IO, Final

from service.errors import DatasetTooLargeError

_ENTRY: Final = b"PK\x01\x02"


class ListedFile:
    """What ZipFile needs of a file. Until `finish`, no read may be of more bytes, or bring more entries."""

    def __init__(self, file: IO[bytes], *, max_bytes: int, max_entries: int, refusal: DatasetTooLargeError) -> None:
        self._file = file
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._refusal = refusal
        self._is_listing = True

    def finish(self) -> None:
        """The listing has been read, and members may be."""
        self._is_listing = False

    def read(self, size: int = -1, /) -> bytes:
        """Raises the refusal."""
        if self._is_listing and size > self._max_bytes:
            raise self._refusal
        data = self._file.read(size)
        # Without a size it is the end of the file that is looked through for the records.
        if self._is_listing and size > 0 and data.count(_ENTRY) > self._max_entries:
            raise self._refusal
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True
