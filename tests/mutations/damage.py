"""Ways to damage bytes, each drawn from a seeded generator. Knows formats only as far as checksums go."""

import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

Damage = Callable[[bytes, Random], bytes]

_EXTREMES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_HEADER_BYTES: Final = 64
_MOST_ADDED: Final = 2**16


def flip_bits(data: bytes, random: Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(random.choice((1, 2, 8, 64))):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def cut_off(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(1, len(data) + 1)]


def cut_start(data: bytes, random: Random) -> bytes:
    return data[random.randrange(min(len(data), _HEADER_BYTES)) :] or data


def set_field(data: bytes, random: Random) -> bytes:
    """A number, mostly of the header, to a value where arithmetic turns over."""
    damaged = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        form = random.choice(("<B", "<H", ">H", "<L", ">L", "<Q"))
        size = struct.calcsize(form)
        if len(damaged) <= size:
            break
        most = len(damaged) - size
        place = random.randrange(most) if random.random() < 0.4 else random.randrange(min(most, _HEADER_BYTES))
        if random.random() < 0.3:
            place = max(0, most - random.randrange(min(most, _HEADER_BYTES)))
        struct.pack_into(form, damaged, place, random.choice(_EXTREMES) % 256**size)
    return bytes(damaged)


def repeat_piece(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    piece = data[start : start + random.randrange(1, 200)]
    times = random.choice((1, 2, 50, max(1, _MOST_ADDED // len(piece))))
    return data[:start] + piece * times + data[start:]


def leave_out(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    return data[:start] + data[start + random.randrange(1, 200) :] or data


def insert_run(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data))
    return (
        data[:start] + bytes([random.choice((0, 0xFF, 0x20, 0x41))]) * random.randrange(1, _MOST_ADDED) + data[start:]
    )


def splice(data: bytes, other: bytes, random: Random) -> bytes:
    """The beginning of one and the end of another."""
    return data[: random.randrange(1, len(data) + 1)] + other[random.randrange(len(other)) :]


def mend_png(data: bytes) -> bytes:
    """The same with right checksums, so that what is damaged is looked at."""
    if not data.startswith(b"\x89PNG"):
        return data
    mended, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, place)
        chunk = data[place + 4 : place + 8 + length]
        mended += data[place : place + 4] + chunk + struct.pack(">L", zlib.crc32(chunk))
        place += 12 + length
    return bytes(mended) + data[place:]


DAMAGES: Final[Sequence[Damage]] = (
    flip_bits, cut_off, cut_start, set_field, set_field, repeat_piece, leave_out, insert_run
)  # fmt: skip


def damage(data: bytes, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """One to three kinds of damage, one after the other."""
    for _ in range(random.choice((1, 1, 2, 3))):
        if others and random.random() < 0.15:
            data = splice(data, random.choice(others), random)
        else:
            data = random.choice(DAMAGES)(data, random)
    return data
