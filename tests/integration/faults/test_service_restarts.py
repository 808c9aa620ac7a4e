"""Fault 8: services are killed and started again while clients poll and watch a job."""

from dataclasses import dataclass, field
from itertools import cycle
from threading import Event, Thread
from time import sleep
from typing import Any

import httpx2
import pytest

from tests.event_stream import Event as Told
from tests.event_stream import Stream
from tests.integration.faults.home import Home
from tests.integration.faults.scenario import PATIENCE_SECONDS, slow, wait_until

FILTERS = 48


@dataclass
class Watcher:
    """Watches as browsers do: what came up to the last id is kept, and the next stream, elsewhere, resumes there."""

    route: str
    urls: list[str]
    last: str | None = None
    kept: list[Told] = field(default_factory=list)
    streams: int = 0

    def images(self) -> list[str]:
        return [event.data["name"] for event in self.kept if event.name == "image"]

    def is_over(self) -> bool:
        states = [event.data["state"] for event in self.kept if event.name == "job"]
        return bool(states) and states[-1] not in ("queued", "running")

    def run(self) -> None:
        for url in cycle(self.urls):
            if self.is_over():
                return
            try:
                self._watch(url)
            except httpx2.TransportError:
                sleep(0.05)

    def _watch(self, url: str) -> None:
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        with httpx2.stream("GET", url + self.route, headers=headers, timeout=PATIENCE_SECONDS) as response:
            self.streams += 1
            heard = []
            for event in Stream(response):
                heard.append(event)
                if event.id is not None:
                    self.kept += heard
                    self.last, heard = str(event.id), []


@dataclass
class Poller:
    """Asks one service after the other."""

    route: str
    urls: list[str]
    over: Event = field(default_factory=Event)
    seen: list[dict[str, Any]] = field(default_factory=list)

    def run(self) -> None:
        with httpx2.Client(timeout=PATIENCE_SECONDS) as client:
            for url in cycle(self.urls):
                if self.over.wait(0.02):
                    return
                try:
                    response = client.get(url + self.route)
                except httpx2.TransportError:
                    continue
                assert response.status_code in (200, 503), response.text
                if response.status_code == 200:
                    self.seen.append(response.json())


@pytest.mark.parametrize("mode", ["redis", "embedded"])
def test_clients_miss_nothing_when_services_restart(mode: str, request: pytest.FixtureRequest) -> None:
    home: Home = request.getfixturevalue(f"{mode}_home")
    job = home.witness.submit(slow(seconds=0.3, filters=f"0-{FILTERS - 1}"))
    urls = [server.url for server in home.servers]
    watcher, poller = Watcher(f"/v1/jobs/{job}/events", urls), Poller(f"/v1/jobs/{job}", urls)
    threads = [Thread(target=client.run, daemon=True) for client in (watcher, poller)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(watcher.images()) >= FILTERS // 6, "the first pictures are told of")
    home.servers[0].kill()
    # Meanwhile another service, if there is one, goes on telling.
    restart = Thread(target=home.servers[0].start)
    restart.start()
    wait_until(lambda: len(watcher.images()) >= FILTERS // 2, "pictures are told of after a kill")
    if len(home.servers) > 1:
        home.servers[1].stop()
        home.servers[1].start()
    restart.join(PATIENCE_SECONDS)
    home.witness.assert_succeeded(job)
    wait_until(watcher.is_over, "the watcher hears of the end")
    wait_until(lambda: poller.seen[-1]["state"] == "succeeded", "the poller sees the end")
    poller.over.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
    assert watcher.streams > len(home.servers)
    assert sorted(watcher.images()) == sorted(["grid", *(f"filter-{number}" for number in range(FILTERS))])
    told = [event.id for event in watcher.kept if event.id is not None]
    assert told == sorted(set(told)), "an id came twice, or went back"
    revisions = [seen["revision"] for seen in poller.seen]
    assert revisions == sorted(revisions)
    assert {seen["state"] for seen in poller.seen} <= {"queued", "running", "succeeded"}
