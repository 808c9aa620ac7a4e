"""A URL that somebody else has written, and where it leads: checked, looked up by us, and every address judged."""

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

import httpx2

from service.egress.addresses import Allowed, IPAddress
from service.errors import ConvscopeError

MAX_URL: Final = 2048
_PORTS: Final = {"https": 443, "http": 80}
_LEAST_FREE_PORT: Final = 1024
_HIGHEST_PORT: Final = 65_535
# Raises OSError, of which `socket.gaierror` with EAI_AGAIN says that it cannot be told just now.
Lookup = Callable[[str, int], Sequence[IPAddress]]


class AddressRefusedError(ConvscopeError):
    """A URL that no request is sent to. `field` is the parameter that has it."""

    code = "address_refused"

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field


class LookupFailedError(Exception):
    """The name's addresses cannot be told just now; later they may be."""


def look_up(host: str, port: int) -> Sequence[IPAddress]:
    """By the system's resolver, which also reads numbers: `127.1`, `0x7f000001` and `2130706433` are 127.0.0.1."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(where[0]).partition("%")[0]) for *_, where in found]


@dataclass(frozen=True)
class Destinations:
    """Where requests may go; `setting` is the one that allows what lies inside. Safe to use from several threads."""

    allowed: Allowed
    setting: str
    lookup: Lookup = look_up

    def find(self, url: httpx2.URL) -> tuple[IPAddress, ...]:
        """The addresses of the URL's host, each of which may be asked. Takes as long as the system's resolver.

        Raises AddressRefusedError, or LookupFailedError.
        """
        host = url.host
        try:
            addresses = tuple(dict.fromkeys(self.lookup(host, port_of(url))))
        except (OSError, ValueError) as error:
            if isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN:
                raise LookupFailedError(f"the name '{host}' cannot be looked up just now") from error
            addresses = ()
        # One sentence for all: who asks learns neither which names there are inside, nor their addresses.
        if not addresses or not all(self.allowed.admits(host, address) for address in addresses):
            raise AddressRefusedError(
                f"'{host}' has no public address, as this service sees it: check the name; whoever runs the service "
                f"may allow hosts and networks inside ({self.setting})"
            )
        if url.scheme != "https" and not self.allowed.names(host, addresses):
            raise AddressRefusedError("the URL must begin with https://, so that nobody reads it on its way")
        return addresses


def parse_url(text: object) -> httpx2.URL:
    """The URL, as far as it can be judged without looking anything up. Raises AddressRefusedError."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_URL:
        raise AddressRefusedError(f"a URL is a text of 1 to {MAX_URL} characters, such as https://example.com/hook")
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise AddressRefusedError("this is no URL: write it as https://example.com/hook") from error
    if url.scheme not in _PORTS or not url.host:
        raise AddressRefusedError("the URL must begin with https:// and name a host")
    if url.userinfo:
        raise AddressRefusedError("the URL must not have a user or a password: put what the receiver needs in its path")
    if "%" in url.host or any(character.isspace() for character in text):
        raise AddressRefusedError("the URL's host is none: write it as https://example.com/hook")
    if port_of(url) not in _PORTS.values() and not _LEAST_FREE_PORT <= port_of(url) <= _HIGHEST_PORT:
        raise AddressRefusedError(f"the URL's port must be 443, 80, or one from {_LEAST_FREE_PORT} on")
    return url


def port_of(url: httpx2.URL) -> int:
    return _PORTS[url.scheme] if url.port is None else url.port


def origin_of(url: httpx2.URL) -> str:
    """Scheme, host and port: what of a URL holds no secret."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"
