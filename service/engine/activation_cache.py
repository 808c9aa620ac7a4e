"""What was computed of a picture, kept for the next question about the same picture; bounded in bytes."""

import hashlib
import weakref
from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from threading import Lock
from typing import Any

from numpy.typing import NDArray

from service.engine.arrays import Array
from service.engine.observer import UNOBSERVED, Observer

Arrays = Sequence[NDArray[Any]]
# One picture's tensors that would fill more of the cache than this are not kept.
_LARGEST_SHARE = 4


class ActivationCache:
    """The most recently used arrays, by whatever names them; `max_bytes` 0 keeps nothing. Shared by all models.

    What is kept is a copy, which belongs to everybody: it is read-only.
    """

    def __init__(self, max_bytes: int, observer: Observer = UNOBSERVED) -> None:
        self._max_bytes = max_bytes
        self._observer = observer
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._bytes = 0
        # Owners that have gone.
        self._gone: deque[object] = deque()

    @property
    def keeps(self) -> bool:
        """False where all that is put in is forgotten at once."""
        return self._max_bytes > 0

    def make_owner(self, whose: object) -> object:
        """What keys of this object, which are tuples, begin with: when it has gone, so does what is kept of it."""
        owner = object()
        # A collection may call this on a thread that holds the lock: what it appends is looked at later.
        weakref.finalize(whose, self._gone.append, owner).atexit = False
        return owner

    def get(self, key: Hashable) -> Arrays | None:
        """The arrays, or None where they are not there (any more)."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        self._observer.cache("activations", found is not None)
        return found

    def put(self, key: Hashable, arrays: Arrays) -> None:
        """Keep copies of arrays, and let those go that were not asked for longest."""
        size = _size(arrays)
        if size * _LARGEST_SHARE > self._max_bytes:
            return
        # A view would keep the whole batch alive that it was computed in.
        arrays = [array.copy() for array in arrays]
        for array in arrays:
            array.flags.writeable = False
        with self._lock:
            self._drop_gone()
            self._bytes += size - _size(self._kept.pop(key, ()))
            self._kept[key] = arrays
            while self._bytes > self._max_bytes:
                self._bytes -= _size(self._kept.popitem(last=False)[1])
            total = self._bytes
        self._observer.cache_bytes("activations", total)

    def _drop_gone(self) -> None:
        gone = set()
        while self._gone:
            gone.add(self._gone.popleft())
        for key in [key for key in self._kept if isinstance(key, tuple) and key[0] in gone] if gone else ():
            self._bytes -= _size(self._kept.pop(key))


def fingerprint(image: Array) -> bytes:
    """SHA-256 of an image's numbers and shape."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(image.data if image.flags.c_contiguous else image.tobytes())
    return digest.digest()


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays)
