"""Finished answers of interactive requests, kept in memory so that the same request is not computed twice.

A result follows from the model, the method, the parameters, the picture and the software alone: of these a key is made,
and of who asked.
The ETag is `"KEY.BODY"`, with a digest of the body after the key. It is strong, as bodies of one key may differ where
they were computed twice (timings; a picture computed in a batch with others, to 1e-4). And a client that brings a tag
with the right key has the answer already, whether or not it is still kept here: 304, without computing.
"""

import hashlib
import json
import re
from collections import OrderedDict
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Final

from service.engine.model import Model
from service.engine.observer import UNOBSERVED, Observer
from service.engine.running.origin import software
from service.engine.running.request import Request

# What an entry costs beside its body: key, tag, and the objects that hold them.
_ENTRY_BYTES: Final = 1024
_DIGITS: Final = 32
_TAG: Final = re.compile(r'"([\x21\x23-\x7e]{0,200})"')


@dataclass(frozen=True)
class Answer:
    """A finished body, and what its ETag is."""

    body: bytes
    etag: str


class ResultCache:
    """Answers by key, the least recently used forgotten first. To be used from the event loop alone."""

    def __init__(self, max_bytes: int, observer: Observer = UNOBSERVED) -> None:
        self._max_bytes = max_bytes
        self._observer = observer
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Answer | None:
        answer = self._answers.get(key)
        if answer is not None:
            self._answers.move_to_end(key)
        self._observer.cache("results", answer is not None)
        return answer

    def put(self, key: str, answer: Answer) -> None:
        """Keep it in place of an earlier one; one that is larger than the whole cache is not kept."""
        if _cost(answer) > self._max_bytes:
            return
        if key in self._answers:
            self._bytes -= _cost(self._answers.pop(key))
        self._answers[key] = answer
        self._bytes += _cost(answer)
        while self._bytes > self._max_bytes:
            self._bytes -= _cost(self._answers.popitem(last=False)[1])
        self._observer.cache_bytes("results", self._bytes)


def make_key(model: Model, work: Request, media_type: str, *, owner: str) -> str:
    """The key of a request, hexadecimal: another for each owner. Takes a millisecond per megabyte of the picture."""
    network_info = model.network_info
    image = work.image.sha256 if work.image and work.method.consumes == "image" else None
    facts = [
        # The digest is that of the file; the rest is what model.toml may change without it.
        (model.name, model.version, model.digest, asdict(model.preprocessing), _digest(model.labels)),
        (
            model.input_size,
            model.fit,
            model.sample_bits,
            network_info.task,
            network_info.default_layer,
            network_info.input_shape,
            network_info.latent and network_info.latent.layer,
        ),
        (work.method.name, work.params.model_dump(mode="json"), image, media_type),
        software(),
        # A hit or a 304 must not tell that somebody else has asked the same.
        owner,
    ]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def make_answer(key: str, body: bytes) -> Answer:
    return Answer(body, f'"{key}.{hashlib.sha256(body).hexdigest()[:_DIGITS]}"')


def find_tag(if_none_match: str, key: str) -> str | None:
    """The tag among those of `If-None-Match` that is one of this key, or None. `*` is none: it names no answer."""
    tags: list[str] = _TAG.findall(if_none_match)
    return next((f'"{tag}"' for tag in tags if tag.startswith(f"{key}.")), None)


@lru_cache(maxsize=64)
def _digest(labels: tuple[str, ...] | None) -> str:
    # A thousand labels take longer than all the rest.
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()


def _cost(answer: Answer) -> int:
    return len(answer.body) + _ENTRY_BYTES
