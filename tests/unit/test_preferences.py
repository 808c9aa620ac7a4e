"""Request headers that say how a client would like to be answered."""

import pytest
from starlette.datastructures import Headers

from service.api.requests.preferences import (
    IdempotencyKeyInvalidError,
    Preferences,
    read_idempotency_key,
    read_preferences,
    wants_fresh,
)


def _headers(name: str, *values: str) -> Headers:
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for value in values])


@pytest.mark.parametrize(
    ("values", "respond_async", "wait"),
    [
        ((), False, None),
        (("",), False, None),
        (("respond-async",), True, None),
        (("Respond-Async, WAIT=10",), True, 10),
        (("respond-async", "wait=10"), True, 10),
        (('wait = "10"',), False, 10),
        (('respond-async=""',), True, None),
        (("respond-async=yes",), False, None),
        (('x="a, respond-async"',), False, None),
        (('x="a\\", b", respond-async',), True, None),
        (('x; y="1, wait=3"; z, wait=4',), False, 4),
        (("respond-async; wait=5",), True, None),
        (("wait=10, wait=20",), False, 10),
        (("wait=-1",), False, None),
        (("wait=1.5",), False, None),
        (("wait=\u00b2",), False, None),
        (("wait=" + "9" * 50,), False, None),
        (("wait",), False, None),
        (("a b c, wait=2",), False, 2),
        (('", wait=2',), False, 2),
        ((";;;,=,respond-async",), True, None),
    ],
)
def test_preferences_are_read_when_written_in_any_way(
    values: tuple[str, ...], respond_async: bool, wait: int | None  # noqa: FBT001 - a table of cases
) -> None:  # fmt: skip
    assert read_preferences(_headers("prefer", *values)) == Preferences(respond_async, wait)


@pytest.mark.parametrize("values", [("no-cache",), ("max-age=0, No-Cache",), ("x", "no-cache"), ('no-cache="x"',)])
def test_fresh_is_wanted_when_no_cache_is_asked_for(values: tuple[str, ...]) -> None:
    assert wants_fresh(_headers("cache-control", *values))


@pytest.mark.parametrize("values", [(), ("max-age=0",), ("no-cached",), ("no-store",)])
def test_fresh_is_not_wanted_when_anything_else_is(values: tuple[str, ...]) -> None:
    assert not wants_fresh(_headers("cache-control", *values))


@pytest.mark.parametrize("key", ["a", "6f1c0c1e-8a0f-4a53", '"quoted"', "with space", "~" * 255])
def test_key_is_read_when_it_is_printable(key: str) -> None:
    assert read_idempotency_key(_headers("idempotency-key", key)) == key


def test_key_is_none_when_there_is_none() -> None:
    assert read_idempotency_key(_headers("idempotency-key")) is None


@pytest.mark.parametrize("values", [("",), (" a",), ("a ",), ("a" * 256,), ("\xe4",), ("a\tb",), ("a", "a")])
def test_key_is_refused_when_it_is_not_one_printable_word(values: tuple[str, ...]) -> None:
    with pytest.raises(IdempotencyKeyInvalidError):
        read_idempotency_key(_headers("idempotency-key", *values))
