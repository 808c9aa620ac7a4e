"""Which addresses a request may go to that somebody else has asked for: those of the internet, and what is allowed.

An address inside (loopback, private, link-local, a cloud's metadata) is reached by this service, but not by whoever
names it (server-side request forgery). Looks nothing up.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# RFC 6052: an IPv4 address in its last 32 bits, as DNS64 answers for hosts without IPv6.
_NAT64: Final = IPv6Network("64:ff9b::/96")
# All that has been given out of IPv6; what lies beyond is local, or embeds IPv4 addresses in ways long given up.
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")
_REFUSED: Final[tuple[IPNetwork, ...]] = (
    IPv6Network("2001::/32"),  # Teredo, and
    IPv6Network("2002::/16"),  # 6to4 lead to the IPv4 address in them
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("192.0.0.0/24"),  # protocols' own, and Oracle's metadata
    IPv4Network("168.63.129.16/32"),  # Azure's virtual host, in every machine there
)
# What no name may lead to, whoever answers for the name: only a network that is allowed names it.
_NEVER_BY_NAME: Final[tuple[IPNetwork, ...]] = (
    IPv4Network("0.0.0.0/8"),
    IPv4Network("169.254.0.0/16"),  # link-local, where most clouds have their metadata
    IPv4Network("100.100.100.200/32"),  # Alibaba's
    IPv4Network("168.63.129.16/32"),  # Azure's
    IPv4Network("192.0.0.192/32"),  # Oracle's
    IPv4Network("224.0.0.0/3"),  # multicast and reserved
    IPv6Network("::/128"),
    IPv6Network("fd00:ec2::/32"),  # AWS's
    IPv6Network("fd20:ce::/32"),  # Google's
    IPv6Network("fe80::/10"),
    IPv6Network("ff00::/8"),
)


@dataclass(frozen=True)
class Allowed:
    """Hosts by name, and networks, that may be asked although they lie inside."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPNetwork, ...] = ()

    def names(self, host: str, addresses: Iterable[IPAddress]) -> bool:
        """Whether the operator has named this host, or the network of each of its addresses."""
        return _name(host) in self.hosts or all(_lies_in(unwrap(address), self.networks) for address in addresses)

    def admits(self, host: str, address: IPAddress) -> bool:
        """Whether a request for that host may go to this address of it."""
        plain = unwrap(address)
        if _lies_in(plain, self.networks):
            return True
        if _name(host) in self.hosts:
            return not _lies_in(plain, _NEVER_BY_NAME)
        return is_outside(plain)


def parse_allowed(entries: Iterable[str]) -> Allowed:
    """Names of hosts, addresses, and networks such as `10.1.0.0/16`. Raises ValueError."""
    hosts, networks = set(), []
    for entry in entries:
        try:
            networks.append(ip_network(entry.removeprefix("[").removesuffix("]")))
        except ValueError as error:
            if not entry.isascii() or "/" in entry or ":" in entry or "*" in entry:
                raise ValueError(
                    f"'{entry}' is neither the name of a host nor a network such as 10.1.0.0/16: {error}"
                ) from error
            hosts.add(_name(entry))
    return Allowed(frozenset(hosts), tuple(networks))


def is_outside(address: IPAddress) -> bool:
    """Whether the address is one of the internet, to any machine."""
    plain = unwrap(address)
    if isinstance(plain, IPv6Address) and plain not in _GLOBAL_UNICAST:
        return False
    return plain.is_global and not plain.is_multicast and not plain.is_reserved and not _lies_in(plain, _REFUSED)


def unwrap(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for, where a connection to it is one to that."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ip_address(int(address) & 0xFFFFFFFF)
    return address


def _lies_in(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address in network for network in networks)


def _name(host: str) -> str:
    return host.lower().removesuffix(".")
