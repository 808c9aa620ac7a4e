"""Which layer, channels or filters a request means, and which of them are on its page."""

from dataclasses import dataclass

from service.engine.ports.network_info import NetworkInfo
from service.errors import ConvscopeError, PageOutOfRangeError


@dataclass(frozen=True)
class Page:
    """The selected indices on one page; pages count from 1."""

    indices: list[int]
    number: int
    count: int


def default_layer(network_info: NetworkInfo) -> str:
    """The last maps before space is given up; where there are none, the last layer."""
    if network_info.default_layer is not None:
        return network_info.default_layer
    spatial = [layer.path for layer in network_info.layers if layer.is_spatial]
    return (spatial or [network_info.layers[-1].path])[-1]


def select(selection: str, count: int, error: type[ConvscopeError]) -> list[int]:
    """Expand `3`, `0,5`, `0-63` or `all` to indices below `count`, in the order given, each once.

    Raises `error` where one is out of range.
    """
    if selection == "all":
        return list(range(count))
    chosen: dict[int, None] = {}
    for part in selection.split(","):
        first, _, last = part.partition("-")
        low, high = int(first), int(last or first)
        if low > high or high >= count:
            raise error(f"'{part}' is out of range: there are {count}, counted from 0 to {count - 1}")
        chosen |= dict.fromkeys(range(low, high + 1))
    return list(chosen)


def turn_to(page: int, page_size: int, indices: list[int]) -> Page:
    """Cut the page out of the selected indices. Raises PageOutOfRangeError past the end."""
    count = -(-len(indices) // page_size)
    if page > count:
        raise PageOutOfRangeError(f"page {page} is past the end: there are {count} of {page_size} each")
    return Page(indices[(page - 1) * page_size : page * page_size], page, count)
