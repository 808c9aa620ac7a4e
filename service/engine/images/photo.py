"""One picture as it came, as it is upright, and as a network sees it: values alone. Knows no models."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from service.engine.arrays import Pixels
from service.engine.images.framing import Framing
from service.engine.images.sample_range import SampleRange


@dataclass(frozen=True)
class ImageFile:
    """The bytes that a client sent. Their SHA-256 is worked out once, and not at all where it is `known`."""

    data: bytes
    known: str | None = None

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal; a millisecond for each megabyte, the first time."""
        return self.known or hashlib.sha256(self.data).hexdigest()


@dataclass(frozen=True)
class Photo:
    """The picture upright at its own size, and as it enters preprocessing, both (h, w, c) uint8; and how it came so.

    `samples` where it is gray of sixteen bits.
    """

    picture: Pixels
    seen: Pixels
    framing: Framing
    samples: SampleRange | None = None
