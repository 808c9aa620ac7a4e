"""Mutated requests: pictures, datasets, JSON and forms. The same seed gives the same bytes."""

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.mutations.damage import damage, mend_png
from tests.mutations.samples import datasets, members, pack, pictures

NAMES: Final = ("layer", "class_index", "colormap", "opacity", "scale", "scale_max", "values", "top", "image", "images",
                "dataset", "versions", "Layer", "", "image[]", "__proto__")  # fmt: skip
_NUMBERS: Final = (0, -1, 1, 2, 3, 2**31, 2**63, 2**64, -(2**63), 10**400, 1e308, 5e-324, 0.5, float("nan"))
_TEXTS: Final = ("", "conv1", "3", "1e9", "\ud800", "\0", "\u202e", "é" * 500, "data:image/png;base64,", "../../etc",
                 "shapes", "1,1", "all", "True", "NaN", "a\nb")  # fmt: skip
_BOUNDARY: Final = b"boundary"


@dataclass(frozen=True)
class Mutant:
    """A request's body, what it says it is, and which kind of damage was done."""

    kind: str
    content_type: str
    body: bytes
    route: str = "grad-cam"


def make_mutants(count: int, seed: int) -> Iterator[Mutant]:
    """So many, of all kinds in turn."""
    random = Random(seed)
    for number in range(count):
        yield MAKERS[number % len(MAKERS)](random)


def _image(random: Random) -> Mutant:
    data = damage(random.choice(pictures()), random, pictures())
    if random.random() < 0.7:
        data = mend_png(data)
    return Mutant("image", *_form(("image", "a.png", data)), random.choice(("grad-cam", "predictions")))


def _dataset(random: Random) -> Mutant:
    if random.random() < 0.5:
        data = damage(random.choice(datasets()), random, datasets())
    else:
        files = dict(members())
        name = random.choice(list(files))
        files[name] = damage(files[name], random)
        data = pack(files)
    return Mutant("dataset", *_form(("images", "a.zip", data)))


def _json(random: Random) -> Mutant:
    params = {random.choice(NAMES): _value(random, 3) for _ in range(random.randrange(6))}
    if random.random() < 0.7:
        params["image"] = base64.b64encode(pictures()[0]).decode()
    # A surrogate alone is written as an escape, as JSON may.
    body = json.dumps(params).encode()
    if random.random() < 0.3:
        body = damage(body, random)
    if random.random() < 0.1:
        depth = random.choice((100, 10_000, 200_000))
        body = (
            b'{"layer":' + random.choice((b"[", b'{"a":')) * depth + b"1" + random.choice((b"]", b"}")) * depth + b"}"
        )
    if random.random() < 0.1:
        body = body[:1] + body[1:-1] * random.choice((2, 20)) + body[-1:]
    return Mutant("json", "application/json", body)


def _multipart(random: Random) -> Mutant:
    """Half of them are taken apart as they stand, so that what is in them is looked at."""
    is_whole = random.random() < 0.5
    lines: list[bytes] = []
    for _ in range(random.randrange(1, 6)):
        lines += [b"--" + (_BOUNDARY if is_whole else random.choice((_BOUNDARY, b"other", b"", _BOUNDARY + b"--")))]
        lines += [_disposition(random) for _ in range(1 if is_whole else random.randrange(3))]
        lines += random.choice(([], [b"Content-Type: image/png"], [b"X: " + b"y" * 500]))
        lines += [] if is_whole else random.choice(([], [b"no colon"], [b": "]))
        lines += [b"", random.choice((*pictures(), b"3", b"", b"conv1", b"\xff\xfe"))]
    lines += [b"--" + _BOUNDARY + b"--"] if is_whole else [b"--" + random.choice((_BOUNDARY, b"other", b""))]
    body = (b"\r\n" if is_whole else random.choice((b"\r\n", b"\n", b"\r"))).join(lines) + b"\r\n"
    if random.random() < 0.2:
        body = damage(body, random)
    odd = ('"boundary"', "", "b" * 300, "boundary; charset=utf-16", "b\x01")
    boundary = "boundary" if is_whole or random.random() < 0.5 else random.choice(odd)
    return Mutant("multipart", f"multipart/form-data; boundary={boundary}", body)


def _disposition(random: Random) -> bytes:
    name = random.choice(NAMES).encode()
    return b"Content-Disposition: " + random.choice(
        (
            b'form-data; name="' + name + b'"',
            b'form-data; name="'
            + name
            + b'"; filename="'
            + random.choice((b"a.png", b"", b"../a", b"a" * 5000))
            + b'"',
            b"form-data; name=" + name,
            b"form-data; name*=utf-8''" + name,
            b"form-data",
            b"attachment; filename=" + name,
            b'form-data; name="' + name + b'\\"; filename="\\',
            b'form-data; name="image"; filename="a.png"; name="images"',
            b"\xff\xfe; name=\x00",
        )
    )


def _value(random: Random, depth: int) -> Any:
    kind = random.randrange(8)
    if kind < 2:
        return random.choice(_NUMBERS)
    if kind < 4:
        return random.choice(_TEXTS)
    if kind == 4 or not depth:
        return random.choice((None, True, False))
    if kind == 5:
        return {random.choice(_TEXTS): _value(random, depth - 1) for _ in range(random.randrange(4))}
    return [_value(random, depth - 1) for _ in range(random.choice((0, 1, 3, 50)))]


def _form(*files: tuple[str, str, bytes]) -> tuple[str, bytes]:
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
        % (_BOUNDARY, name.encode(), file.encode(), data)
        for name, file, data in files
    ]
    return f"multipart/form-data; boundary={_BOUNDARY.decode()}", b"".join(parts) + b"--%s--\r\n" % _BOUNDARY


MAKERS: Final[tuple[Callable[[Random], Mutant], ...]] = (_image, _dataset, _json, _multipart)
