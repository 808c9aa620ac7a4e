"""HTTP to addresses that were judged, over real sockets and TLS: what a name, a redirect or a proxy may not change."""

import asyncio
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

import httpx2
import pytest

from service.egress.addresses import IPAddress, parse_allowed
from service.egress.destinations import AddressRefusedError, Destinations, Lookup
from service.egress.transport import open_client
from service.jobs.webhooks.sending import Sender, read_retry_after
from tests.certificates import Authority, make_authority
from tests.ports import free_port
from tests.receiver import PATIENCE_SECONDS, Answer, Receiver


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


class Rebinding:
    """Each look-up has another answer, the last for ever."""

    def __init__(self, *answers: str) -> None:
        self._answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[IPAddress]:
        self.asked += 1
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [ip_address(text) for text in found.split()]


def a_guard(*allowed: str, lookup: Lookup) -> Destinations:
    return Destinations(parse_allowed(allowed), "CONVSCOPE_WEBHOOKS_ALLOW", lookup)


def post(destinations: Destinations, authority: Authority, url: str) -> httpx2.Response:
    async def send() -> httpx2.Response:
        async with open_client(destinations, authority.client_context(), connect_seconds=5) as client:
            return await client.post(url, content=b"x", timeout=5)

    return asyncio.run(send())


def test_connection_goes_to_the_judged_address_and_tls_to_the_name(authority: Authority) -> None:
    # The name is one that no resolver knows: it is looked up once, by us, and by nobody again.
    lookup = Rebinding("127.0.0.1", "8.8.8.8")
    with Receiver(authority.server_context("hooks.example")) as receiver:
        url = f"https://hooks.example:{receiver.port}/hook"
        assert post(a_guard("127.0.0.1", lookup=lookup), authority, url).status_code == 204
    assert (lookup.asked, receiver.messages[0].headers["host"]) == (1, f"hooks.example:{receiver.port}")


def test_name_that_is_rebound_after_it_was_judged_leads_nowhere(authority: Authority) -> None:
    with Receiver(authority.server_context("evil.example")) as receiver:
        url = f"https://evil.example:{receiver.port}/hook"
        destinations = a_guard(lookup=Rebinding("93.184.216.34", "127.0.0.1"))
        # As a request for a job is judged, then as it is sent.
        assert destinations.find(httpx2.URL(url))
        with pytest.raises(AddressRefusedError):
            post(destinations, authority, url)
        # One address inside among good ones.
        with pytest.raises(AddressRefusedError):
            post(a_guard(lookup=Rebinding("93.184.216.34 127.0.0.1")), authority, url)
    assert (receiver.messages, receiver.connections) == ([], 0)


def test_certificate_has_to_be_the_names_own(authority: Authority, tmp_path: Path) -> None:
    local = a_guard("127.0.0.1", lookup=Rebinding("127.0.0.1"))
    stranger = make_authority(tmp_path)
    for context in (authority.server_context("other.example", "127.0.0.1"), stranger.server_context("hooks.example")):
        with Receiver(context) as receiver:
            with pytest.raises(httpx2.ConnectError):
                post(local, authority, f"https://hooks.example:{receiver.port}/hook")
            sender = Sender(local, certificates=authority.client_context)
            outcome = sender.send(f"https://hooks.example:{receiver.port}/", {}, b"{}", 1)
            assert (outcome.verdict, outcome.error) == ("failed", "certificate")
        assert receiver.messages == []


def test_another_address_of_the_name_is_tried_when_one_does_not_answer(authority: Authority) -> None:
    lookup = Rebinding("127.0.0.9 127.0.0.1")
    with Receiver(authority.server_context("hooks.example")) as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        assert post(a_guard("127.0.0.0/8", lookup=lookup), authority, url).status_code == 204
    with pytest.raises(httpx2.ConnectError):
        post(a_guard("127.0.0.0/8", lookup=lookup), authority, f"https://hooks.example:{free_port()}/")


def test_two_names_at_one_address_share_no_connection(authority: Authority) -> None:
    with Receiver(authority.server_context("one.example")) as receiver:
        local = a_guard("127.0.0.1", lookup=Rebinding("127.0.0.1"))

        async def send() -> None:
            async with open_client(local, authority.client_context(), connect_seconds=5) as client:
                await client.post(f"https://one.example:{receiver.port}/", content=b"x")
                with pytest.raises(httpx2.ConnectError):
                    await client.post(f"https://two.example:{receiver.port}/", content=b"x")

        asyncio.run(send())
        assert len(receiver.messages) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(authority: Authority, status: int) -> None:
    lookup = Rebinding("127.0.0.1")
    with Receiver() as inside, Receiver(authority.server_context("hooks.example")) as receiver:
        receiver.last = Answer(status, {"location": f"{inside.url}/secret"})
        url = f"https://hooks.example:{receiver.port}/"
        assert post(a_guard("127.0.0.1", lookup=lookup), authority, url).status_code == status
    assert (len(receiver.messages), inside.connections) == (1, 0)


def test_environment_names_no_proxy(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as proxy, Receiver() as receiver:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        local = a_guard("127.0.0.1", lookup=Rebinding("127.0.0.1"))
        assert post(local, authority, f"http://hooks.example:{receiver.port}/").status_code == 204
    assert (len(receiver.messages), proxy.connections) == (1, 0)


def test_pauses_grow_and_are_bounded() -> None:
    unreachable = Sender(a_guard("127.0.0.1", lookup=Rebinding("127.0.0.1")))
    url = f"http://127.0.0.1:{free_port()}/"
    pauses = [unreachable.send(url, {}, b"{}", attempt).pause_seconds for attempt in (1, 2, 3, 11, 1000)]
    expected = [5, 10, 20, 5120, 7200]
    assert all(0.8 * seconds <= pause <= 1.2 * seconds for pause, seconds in zip(pauses, expected, strict=True))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), (" 7 ", 7), ("", 0), ("soon", 0), ("-5", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("9" * 400, 1e9)],
)
def test_retry_after_is_read(text: str, seconds: float) -> None:
    assert read_retry_after(text) == pytest.approx(seconds, rel=0.01)


def test_resolver_that_never_answers_is_left_behind() -> None:
    over = threading.Event()

    def never(*_: object) -> Sequence[IPAddress]:
        over.wait(PATIENCE_SECONDS)
        return []

    outcome = Sender(a_guard(lookup=never), total_seconds=0.1).send("https://hooks.example/", {}, b"{}", 1)
    assert not over.is_set()
    over.set()
    assert (outcome.verdict, outcome.error) == ("failed", "timeout")


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="the system has no IPv6")
def test_ipv6_is_spoken_too(authority: Authority) -> None:
    with Receiver(authority.server_context("hooks.example"), host="::1") as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        assert post(a_guard("::1", lookup=Rebinding("::1")), authority, url).status_code == 204
