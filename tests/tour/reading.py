"""What is kept of an answer: each picture's hash and looks, and every member of the JSON with its numbers or texts."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

import numpy as np
from PIL import Image

Record = dict[str, Any]
# Members that differ from one run to the next, or from one machine to the next.
_CHANGING: Final = frozenset(
    (
        "id",
        "created_at",
        "started_at",
        "finished_at",
        "expires_at",
        "timings_seconds",
        "attempts",  # more than one where a worker was killed
        "retries",
        "since",  # when a model was loaded
        "states",  # which versions happen to be loaded
        "revision",  # how often a job's progress was told
        "href",  # with the job's id
        "links",  # likewise
        "instance",  # likewise
        "next",  # likewise
        "software",  # versions of libraries
        "source",  # the file's path, as the terminal was given it
    )
)
# Sentences: what they say may be said better. Codes and pointers are kept.
_PROSE: Final = frozenset(("title", "description", "detail", "reason", "because"))
# Kept as the picture's own.
_OF_PICTURES: Final = frozenset(("data", "sha256", "file"))
LEFT_OUT: Final = _CHANGING | _PROSE | _OF_PICTURES
# So many numbers or texts of one member are kept as they are; of more, a hash and how they lie.
_NOT_PORTABLE: Final = re.compile(r"sha256$|^images\[\]\.(name|media_type|width|height)|^job\.params")
KEPT: Final = 6
_DIGITS: Final = 6
_CHARACTERS: Final = 120


def record(status: int, body: object, pictures: Mapping[str, bytes]) -> Record:
    """Of one answer. `body` is its JSON, None where it has none."""
    members: dict[str, list[Any]] = {}
    for path, value in _walk(body, ""):
        members.setdefault(path, []).append(value)
    return {
        "status": status,
        "pictures": {name: _describe(data) for name, data in pictures.items()},
        "members": {path: _summarise(members[path]) for path in sorted(members)},
    }


def portable(answer: Record) -> Record:
    """What another machine can be compared with: last bits, and how a file is packed, may differ there.

    What the JSON says of pictures and a job of its parameters is left out, as it stands there a second time.
    """
    pictures, members = answer["pictures"], answer["members"]
    return {
        "status": answer["status"],
        "pictures": {name: _without(picture, "sha256") for name, picture in pictures.items()},
        "members": {path: _without(item, "digits") for path, item in members.items() if not _NOT_PORTABLE.search(path)},
    }


def _without(item: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != name}


def _walk(value: object, path: str) -> Iterator[tuple[str, Any]]:
    """Numbers and texts with the path of their member; the items of a list share one. Order is that of the JSON."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name not in LEFT_OUT:
                yield from _walk(item, f"{path}.{name}" if path else name)
        if not value:
            yield path, "{}"
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, f"{path}[]")
        if not value:
            yield path, "[]"
    elif isinstance(value, float | int) and not isinstance(value, bool):
        yield f"{path}#", value
    elif path:
        yield path, value


def _summarise(values: list[Any]) -> dict[str, Any]:
    """Numbers have six digits; `lie` are least, greatest, mean, root of mean square and a mean weighted by place."""
    if not isinstance(values[0], float | int) or isinstance(values[0], bool):
        texts = [text if isinstance(text, str) else json.dumps(text) for text in values]
        if len(texts) <= KEPT and sum(map(len, texts)) <= _CHARACTERS:
            return {"texts": texts}
        return {"count": len(texts), "sha256": _hash("\n".join(texts))}
    numbers = [_round(number) for number in values]
    if len(numbers) <= KEPT:
        return {"numbers": numbers}
    array = np.array(numbers, np.float64)
    weights = np.cos(np.arange(len(array)) * 0.7)
    lie = [array.min(), array.max(), array.mean(), np.sqrt((array**2).mean()), (array * weights).mean()]
    return {"count": len(numbers), "lie": [_round(number) for number in lie], "digits": _hash(repr(numbers))}


def _describe(data: bytes) -> dict[str, Any]:
    """`looks` are the colours of its four quarters, for a comparison with what another machine has drawn."""
    with Image.open(io.BytesIO(data)) as picture:
        frames = getattr(picture, "n_frames", 1)
        kind = f"{picture.format} {picture.mode} {picture.width}x{picture.height}" + f" x{frames}" * (frames > 1)
        quarters = picture.convert("RGB").resize((2, 2), Image.Resampling.BOX)
    return {"kind": kind, "looks": np.asarray(quarters).tobytes().hex(), "sha256": sha256(data).hexdigest()}


def _round(number: float) -> float:
    """Whole numbers are written as such; -0.0 is 0."""
    rounded = float(f"{float(number):.{_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
