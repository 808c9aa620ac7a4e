"""The cache of activations: bounded in bytes, what is kept is nobody's to change."""

import numpy as np
import pytest

from service.engine.activation_cache import ActivationCache, fingerprint


def _kilobyte(value: int) -> np.ndarray:
    return np.full(256, value, np.float32)


def test_arrays_are_found_again_when_they_were_kept():
    cache = ActivationCache(10_000)
    cache.put("a", [_kilobyte(1), _kilobyte(2)])
    found = cache.get("a")
    assert found is not None
    assert [array[0] for array in found] == [1, 2]
    assert cache.get("b") is None


def test_oldest_goes_when_the_bytes_are_used_up():
    cache = ActivationCache(4 * 1024)
    for name in "abcd":
        cache.put(name, [_kilobyte(0)])
    cache.get("a")
    cache.put("e", [_kilobyte(0)])
    assert [name for name in "abcde" if cache.get(name) is not None] == ["a", "c", "d", "e"]


def test_replacing_does_not_add_up_when_a_key_is_kept_again():
    cache = ActivationCache(4 * 1024)
    for _ in range(20):
        cache.put("a", [_kilobyte(0)])
    for name in "bcd":
        cache.put(name, [_kilobyte(0)])
    assert all(cache.get(name) is not None for name in "abcd")


def test_nothing_is_kept_when_it_is_off_or_would_fill_the_cache():
    off, small = ActivationCache(0), ActivationCache(4 * 1024 - 1)
    off.put("a", [_kilobyte(0)])
    small.put("a", [_kilobyte(0)])
    assert off.get("a") is None
    assert small.get("a") is None


def test_kept_arrays_are_copies_that_nobody_can_change():
    cache, mine = ActivationCache(10_000), _kilobyte(1)
    cache.put("a", [mine])
    mine[:] = 7
    found = cache.get("a")
    assert found is not None
    assert found[0][0] == 1
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 2


def test_fingerprint_differs_when_numbers_or_shape_do():
    image = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
    assert fingerprint(image) == fingerprint(image.copy())
    assert fingerprint(image) == fingerprint(np.asfortranarray(image))
    assert fingerprint(image) != fingerprint(image.reshape(4, 2, 3))
    assert fingerprint(image) != fingerprint(image + 1)


def test_what_was_computed_goes_when_its_network_has_gone():
    class Network:
        pass

    cache = ActivationCache(4 * 1024)
    one, other = Network(), Network()
    keys = [(cache.make_owner(network), "layer") for network in (one, other)]
    for key in keys:
        cache.put(key, [_kilobyte(0)])
    del one
    cache.put("another", [_kilobyte(0)])
    assert cache.get(keys[0]) is None
    assert cache.get(keys[1]) is not None
    # Its place is free.
    for name in "ab":
        cache.put(name, [_kilobyte(0)])
    assert cache.get(keys[1]) is not None
