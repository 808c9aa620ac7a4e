"""Which URLs and addresses are asked: the ways in which an address inside can be written, and the honest ones."""

import socket
from collections.abc import Sequence
from ipaddress import ip_address

import pytest

from service.egress.addresses import IPAddress, is_outside, parse_allowed
from service.egress.destinations import (
    MAX_URL,
    AddressRefusedError,
    Destinations,
    LookupFailedError,
    look_up,
    origin_of,
    parse_url,
)

INSIDE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1"),
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "192.88.99.1"),
    *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1", "2001:db8::1", "100::1"),
    *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::a00:1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::1"),
    *("2001:0:7f00:1::1", "2001::1", "5f00::1", "4000::1"),
]
OUTSIDE = [
    "8.8.8.8",
    "1.1.1.1",
    "93.184.216.34",
    "2606:4700::1111",
    "2a00:1450::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


class Names:
    """A resolver that answers with what the test says, and remembers what it was asked."""

    def __init__(self, **answers: list[str]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        self.asked.append(host)
        return [ip_address(text) for text in self._answers[host.partition(".")[0]]]


def a_guard(*allowed: str, lookup: Names | None = None) -> Destinations:
    return Destinations(parse_allowed(allowed), "CONVSCOPE_WEBHOOKS_ALLOW", lookup or look_up)


@pytest.mark.parametrize("address", INSIDE)
def test_address_inside_is_refused_when_a_name_leads_there(address: str) -> None:
    assert not is_outside(ip_address(address))
    with pytest.raises(AddressRefusedError, match="no public address"):
        a_guard(lookup=Names(evil=[address])).find(parse_url("https://evil.example/hook"))
    # One good address beside it makes it no better.
    with pytest.raises(AddressRefusedError):
        a_guard(lookup=Names(evil=["8.8.8.8", address])).find(parse_url("https://evil.example/hook"))


@pytest.mark.parametrize("address", OUTSIDE)
def test_address_outside_is_taken(address: str) -> None:
    found = a_guard(lookup=Names(good=[address, address])).find(parse_url("https://good.example"))
    assert found == (ip_address(address),)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0x7F.0.0.1", "017700000001"),
        *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[::]"),
        *("localhost", "LOCALHOST", "localhost.", "0", "0.0.0.0", "169.254.169.254", "2852039166", "0xa9fea9fe"),
        *("[fd00:ec2::254]", "127.0.0.1:8000", "0177.0.0.1", "1\uff127.0.0.1", "[fe80::1%25eth0]", "[fe80::1%eth0]"),
    ],
)
def test_loopback_and_metadata_are_refused_however_they_are_written(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        a_guard().find(parse_url(f"https://{host}/hook"))


@pytest.mark.parametrize(
    "url",
    [
        *("", "hook", "/hook", "//example.com/hook", "ftp://example.com", "file:///etc/passwd", "gopher://example.com"),
        *("https://", "https:///hook", "https://user@example.com", "https://user:word@example.com/hook"),
        *("https://example.com:0/", "https://example.com:22/", "https://example.com:65536/", "https://example.com:x/"),
        *(
            "https://exa mple.com/",
            "https://example.com/a b",
            "https://example.com/\r\nHost: inside",
            "https://a\x00b/",
        ),
        *(f"https://example.com/{'a' * MAX_URL}", "https://[::1/", None, 7, ["https://example.com"], {"url": "x"}),
    ],
)
def test_url_is_refused_when_it_is_none(url: object) -> None:
    with pytest.raises(AddressRefusedError):
        parse_url(url)


def test_plain_http_is_refused_where_the_operator_has_not_named_the_host() -> None:
    names = Names(good=["8.8.8.8"], lab=["10.1.2.3"])
    with pytest.raises(AddressRefusedError, match="https://"):
        a_guard(lookup=names).find(parse_url("http://good.example/"))
    for allowed in ("good.example", "GOOD.example.", "8.8.8.0/24"):
        assert a_guard(allowed, lookup=names).find(parse_url("http://good.example/"))


def test_address_inside_is_taken_when_the_operator_has_named_it() -> None:
    names = Names(lab=["10.1.2.3"], both=["10.1.2.3", "10.9.9.9"])
    for allowed in ("lab.example", "10.1.0.0/16", "10.1.2.3"):
        assert a_guard(allowed, lookup=names).find(parse_url("https://lab.example/")) == (ip_address("10.1.2.3"),)
    with pytest.raises(AddressRefusedError):
        a_guard("10.1.0.0/16", lookup=names).find(parse_url("https://both.example/"))
    with pytest.raises(AddressRefusedError):
        a_guard("other.example", lookup=names).find(parse_url("https://lab.example/"))
    assert a_guard("127.0.0.0/8").find(parse_url("http://2130706433:8000/")) == (ip_address("127.0.0.1"),)
    assert a_guard("::1").find(parse_url("https://[::1]/")) == (ip_address("::1"),)


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "168.63.129.16", "0.0.0.0", "fe80::1", "::"])
def test_name_that_is_allowed_leads_to_no_metadata_all_the_same(address: str) -> None:
    names = Names(lab=[address])
    with pytest.raises(AddressRefusedError):
        a_guard("lab.example", lookup=names).find(parse_url("https://lab.example/"))
    assert a_guard(address, lookup=names).find(parse_url("https://lab.example/"))


def test_name_that_cannot_be_looked_up_just_now_is_no_refusal() -> None:
    def fails(*_: object) -> Sequence[IPAddress]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def finds_none(*_: object) -> Sequence[IPAddress]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(LookupFailedError):
        Destinations(parse_allowed([]), "X", fails).find(parse_url("https://good.example/"))
    with pytest.raises(AddressRefusedError, match="no public address"):
        Destinations(parse_allowed([]), "X", finds_none).find(parse_url("https://good.example/"))
    with pytest.raises(AddressRefusedError):
        Destinations(parse_allowed([]), "X").find(parse_url(f"https://{'a' * 70}.example/"))


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "https://x.example", "*.example", "a/b", "10.0.0.0/33"])
def test_setting_is_refused_when_an_entry_makes_no_sense(entry: str) -> None:
    with pytest.raises(ValueError, match="neither the name of a host nor a network"):
        parse_allowed([entry])


def test_origin_has_no_secret() -> None:
    assert origin_of(parse_url("https://Hooks.Example.com/a/secret?token=secret#x")) == "https://hooks.example.com"
    assert origin_of(parse_url("https://[2606:4700::1111]:8443/x")) == "https://[2606:4700::1111]:8443"
