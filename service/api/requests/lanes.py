"""Who waits, in lanes that take turns: first the owners, then within one owner its lanes, such as one per model."""

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairLanes(Generic[T]):
    """Items in the order of their turns. An owner with many lanes has no more turns than one with one."""

    def __init__(self) -> None:
        self._owners: OrderedDict[str, OrderedDict[str, deque[T]]] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._owners)

    def __iter__(self) -> Iterator[T]:
        for lanes in self._owners.values():
            for lane in lanes.values():
                yield from lane

    def put(self, owner: str, name: str, item: T) -> None:
        self._owners.setdefault(owner, OrderedDict()).setdefault(name, deque()).append(item)

    def pop(self) -> T:
        """The next; its lane, and its owner, go to the end of the line."""
        owner, lanes = self._owners.popitem(last=False)
        name, lane = lanes.popitem(last=False)
        item = lane.popleft()
        if lane:
            lanes[name] = lane
        if lanes:
            self._owners[owner] = lanes
        return item

    def remove(self, owner: str, name: str, item: T) -> None:
        """Raises KeyError or ValueError for what does not wait there."""
        lanes = self._owners[owner]
        lanes[name].remove(item)
        if not lanes[name]:
            del lanes[name]
        if not lanes:
            del self._owners[owner]

    def clear(self) -> None:
        self._owners.clear()
