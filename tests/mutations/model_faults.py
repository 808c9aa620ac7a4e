"""Faults of model files, drawn at random: of their bytes, and of the JSON within. No tests."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from typing import Any, Final

import h5py

# What a value may become, beside its neighbours.
_VALUES: Final[tuple[Any, ...]] = (
    *(
        None,
        True,
        -1,
        0,
        1,
        7,
        2**31,
        2**62,
        10**30,
        1e308,
        float("nan"),
        "",
        "a" * 300,
        "relu",
        "Dense",
        "../x",
        "\n\x00",
    ),
    *([], {}, [[]], [None, 1, 1, 3], {"class_name": "Dense", "config": {"units": 10**9}}, ["conv", 0, 0]),
)


def spoil(content: bytes, fault: str, draw: random.Random) -> bytes:
    """The file with one fault, or several of one kind."""
    return FAULTS[fault](content, draw)


def _flip(content: bytes, draw: random.Random) -> bytes:
    spoiled = bytearray(content)
    for _ in range(draw.choice((1, 4, 32))):
        spoiled[draw.randrange(len(spoiled))] ^= 1 << draw.randrange(8)
    return bytes(spoiled)


def _flip_front(content: bytes, draw: random.Random) -> bytes:
    """Where HDF5 has its structure."""
    spoiled = bytearray(content)
    for _ in range(draw.choice((1, 4))):
        spoiled[draw.randrange(min(4096, len(spoiled)))] = draw.randrange(256)
    return bytes(spoiled)


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _splice(content: bytes, draw: random.Random) -> bytes:
    at, source = draw.randrange(len(content)), draw.randrange(len(content))
    length = draw.choice((1, 8, 512, 4096))
    return content[:at] + content[source : source + length] + content[at + draw.choice((0, length)) :]


def _spoil_configuration(content: bytes, draw: random.Random) -> bytes:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        members["config.json"] = json.dumps(_change(json.loads(members["config.json"]), draw)).encode()
        spoiled = io.BytesIO()
        with zipfile.ZipFile(spoiled, "w") as archive:
            for name, member in members.items():
                archive.writestr(name, member)
        return spoiled.getvalue()
    spoiled = io.BytesIO(content)
    with h5py.File(spoiled, "r+") as file:
        file.attrs["model_config"] = json.dumps(_change(json.loads(file.attrs["model_config"]), draw))
    return spoiled.getvalue()


def _change(config: Any, draw: random.Random) -> Any:
    for _ in range(draw.choice((1, 1, 3))):
        places = list(_places(config))
        owner, key = draw.choice(places)
        act = draw.randrange(4)
        if act == 0:
            del owner[key]
        elif act == 1:
            other, from_key = draw.choice(places)
            owner[key] = json.loads(json.dumps(other.get(from_key) if isinstance(other, dict) else other[:1]))
        elif act == 2 and isinstance(owner, list):
            owner.append(json.loads(json.dumps(owner[key])))
        else:
            owner[key] = draw.choice(_VALUES)
    return config


def _places(item: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [item]
    while waiting:
        owner = waiting.pop()
        keys = list(owner) if isinstance(owner, dict) else list(range(len(owner))) if isinstance(owner, list) else []
        found += [(owner, key) for key in keys]
        waiting += [owner[key] for key in keys]
    return found or [({"a": 1}, "a")]


FAULTS: Final[dict[str, Callable[[bytes, random.Random], bytes]]] = {
    "flip": _flip,
    "flip-front": _flip_front,
    "cut": _cut,
    "splice": _splice,
    "configuration": _spoil_configuration,
    "configuration-too": _spoil_configuration,
}
