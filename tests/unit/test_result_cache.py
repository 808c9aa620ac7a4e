"""Kept answers: bounded, the least recently used forgotten first, and found only by the very same request."""

from dataclasses import replace
from typing import Any

import pytest

from service.api.result_cache import Answer, ResultCache, find_tag, make_answer, make_key
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.running.request import Request
from tests.unit.fakes import closed_form_model

MODEL = closed_form_model([[1, 0], [0, 1], [0, 0]])
GRAD_CAM = METHODS["grad-cam"]


class Witness:
    """An Observer that remembers."""

    def __init__(self) -> None:
        self.looked: list[bool] = []
        self.bytes = 0

    def batch(self, *_: object) -> None:
        raise AssertionError("nothing is computed here")

    def cache(self, name: str, hit: bool) -> None:  # noqa: FBT001
        self.looked.append(hit)

    def cache_bytes(self, name: str, bytes: int) -> None:  # noqa: A002
        self.bytes = bytes


def an_answer(size: int = 4000) -> Answer:
    return Answer(b"x" * size, '"tag"')


def a_request(image: bytes = b"picture", **params: Any) -> Request:
    return Request(GRAD_CAM, GRAD_CAM.params(**params), None if image is None else ImageFile(image))


def key(work: Request, media_type: str = "image/png") -> str:
    return make_key(MODEL, work, media_type, owner="")


def test_an_answer_is_found_when_it_was_kept():
    witness, answer = Witness(), an_answer()
    cache = ResultCache(10_000, witness)
    assert cache.get("a") is None
    cache.put("a", answer)
    assert cache.get("a") is answer
    assert witness.looked == [False, True]


def test_memory_stays_bounded_when_ever_more_is_kept():
    witness = Witness()
    cache = ResultCache(20_000, witness)
    for number in range(100):
        cache.put(str(number), an_answer())
        assert witness.bytes <= 20_000
    assert [number for number in range(100) if cache.get(str(number))] == [97, 98, 99]


def test_the_least_recently_used_goes_when_there_is_no_room():
    cache = ResultCache(11_000)
    cache.put("a", an_answer())
    cache.put("b", an_answer())
    cache.get("a")
    cache.put("c", an_answer())
    assert [name for name in "abc" if cache.get(name)] == ["a", "c"]


def test_bytes_are_counted_once_when_an_answer_is_replaced():
    witness = Witness()
    cache = ResultCache(20_000, witness)
    cache.put("a", an_answer(5000))
    cache.put("a", an_answer(1000))
    assert 1000 < witness.bytes < 4000


@pytest.mark.parametrize("limit", [0, 3000])
def test_nothing_is_kept_when_it_is_larger_than_the_cache(limit: int):
    cache = ResultCache(limit)
    cache.put("a", an_answer(4000))
    assert cache.get("a") is None


def test_keys_are_equal_when_requests_mean_the_same():
    assert key(a_request()) == key(a_request(opacity=GRAD_CAM.params().opacity))


def test_keys_differ_when_anything_that_counts_does():
    work = a_request()
    keys = {
        key(work),
        key(work, "application/json"),
        key(a_request(class_index=1)),
        key(a_request(b"another picture")),
        key(replace(work, method=METHODS["predictions"], params=METHODS["predictions"].params())),
        make_key(MODEL, work, "image/png", owner="a"),
        make_key(replace(MODEL, version="2"), work, "image/png", owner=""),
        make_key(replace(MODEL, digest="another"), work, "image/png", owner=""),
        make_key(replace(MODEL, labels=("x", "y")), work, "image/png", owner=""),
        make_key(
            replace(MODEL, preprocessing=replace(MODEL.preprocessing, channel_order="bgr")), work, "image/png", owner=""
        ),
    }
    assert len(keys) == 10


def test_the_picture_does_not_count_when_the_method_looks_at_none():
    filters = METHODS["filters"]
    params = filters.params(layer="maps")
    assert key(Request(filters, params, None)) == key(Request(filters, params, ImageFile(b"picture")))


def test_a_tag_is_found_when_it_has_the_key_whatever_the_body_was():
    first, second = make_answer("abc", b"computed"), make_answer("abc", b"computed again")
    assert first.etag != second.etag
    assert find_tag(first.etag, "abc") == first.etag
    assert find_tag(f'"other", W/{second.etag}', "abc") == second.etag


@pytest.mark.parametrize("header", ["", "*", '"abcd.1"', '"abc"', "abc.1", '"xabc.1"', '"\x7fabc.1"', '"' * 1000])
def test_no_tag_is_found_when_none_has_the_key(header: str):
    assert find_tag(header, "abc") is None
