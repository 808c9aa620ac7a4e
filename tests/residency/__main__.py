"""How memory and answers fare: python -m tests.residency [--models 20] [--seconds 120] [--roll-outs 100]."""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil

from tests.residency.networks import draw_photo, save_network
from tests.server import Server

CLIENTS: Final = 8
SHARE: Final = 4
# Asked so often before memory is looked at first.
BUILT_IN, WARMING = "shapes", 400
MEGABYTE: Final = 2**20
_PATIENCE: Final = 180.0


class Service:
    """A service on a folder of models, asked for heat maps."""

    def __init__(self, server: Server) -> None:
        self.server, self.photo = server, draw_photo()
        self.client = httpx2.Client(base_url=server.url, timeout=_PATIENCE, limits=httpx2.Limits(max_connections=64))

    def ask(self, name: str) -> tuple[str, list[float]]:
        """The version that answered, and its numbers: asked anew each time."""
        answer = self.client.post(
            f"/v1/models/{name}/grad-cam", files={"image": self.photo}, headers={"Cache-Control": "no-cache"}
        )
        if not answer.is_success:
            raise httpx2.HTTPStatusError(answer.text[:300], request=answer.request, response=answer)
        body = answer.json()
        scores = sorted((one["index"], one["score"]) for one in body["predictions"])
        return str(body["version"]), [body["values"]["max"], *(score for _, score in scores)]

    def resident(self) -> int:
        return psutil.Process(self.server.pid).memory_info().rss // MEGABYTE

    def states(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(f"/v1/models/{name}").json()["states"]
        return found


def _agree(one: Sequence[float], other: Sequence[float]) -> bool:
    # In a batch with others numbers differ by rounding.
    return all(abs(a - b) <= 1e-4 * max(1.0, abs(a)) for a, b in zip(one, other, strict=True))


def go_round(folder: Path, log: Path, count: int, seconds: float) -> None:
    """Many models in random order, under a bound for a quarter of them."""
    names = [f"m{number:02}" for number in range(count)]
    for number, name in enumerate(names):
        save_network(folder, name, "1", number)
    environment = {
        "CONVSCOPE_MODELS": str(folder),
        "CONVSCOPE_MODELS_MODE": "explicit",
        "CONVSCOPE_WORKER__WARM": "false",
    }
    with Server(log, **environment) as server:
        server.wait_until_ready()
        service = Service(server)
        alone = {}
        for name in names:
            alone[name] = service.ask(name)[1]
            cost = service.states(name)[0]["bytes"]
            service.client.post(f"/v1/models/{name}/unload").raise_for_status()
    bound = cost * count // SHARE
    with Server(log, **environment, CONVSCOPE_LIMITS__MODEL_BYTES=str(bound)) as server:
        server.wait_until_ready()
        service = Service(server)
        _warm(service)
        start, most, failed, done = service.resident(), 0, 0, 0
        end = time.monotonic() + seconds

        def ask(number: int) -> None:
            nonlocal most, failed, done
            dice = random.Random(number)
            while time.monotonic() < end:
                name = dice.choice(names)
                try:
                    _, answer = service.ask(name)
                except httpx2.HTTPError as error:
                    failed += 1
                    sys.stdout.write(f"{name}: {error!r}\n")
                else:
                    failed += not _agree(answer, alone[name])
                done += 1
                most = max(most, service.resident())

        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(ask, range(CLIENTS)))
        growth, allowed = most - start, bound // MEGABYTE * 1.15
        sys.stdout.write(
            f"{count} models of {cost // MEGABYTE} MB under {bound // MEGABYTE} MB: {done} requests, {failed} failed "
            f"or wrong; memory {start} + {growth} MB (at most + {allowed:.0f} MB)\n"
        )


def _warm(service: Service) -> None:
    """The built-in model asked as the others will be: threads and what TensorFlow makes once are no model's."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda _: service.ask(BUILT_IN), range(WARMING)))


def roll_out(folder: Path, log: Path, count: int) -> None:
    """One model, version after version, while clients ask."""
    save_network(folder, "daily", "1", 1)
    with Server(log, CONVSCOPE_MODELS=str(folder), CONVSCOPE_WORKER__WARM="false") as server:
        server.wait_until_ready()
        service = Service(server)
        over, wrong, done = threading.Event(), 0, 0
        seen: dict[str, list[float]] = {}

        def ask(_: int) -> None:
            nonlocal wrong, done
            while not over.is_set():
                try:
                    version, answer = service.ask("daily")
                except httpx2.HTTPError as error:
                    wrong += 1
                    sys.stdout.write(f"{error!r}\n")
                    continue
                # One version gives one answer, whatever is loaded beside it.
                wrong += not _agree(seen.setdefault(version, answer), answer)
                done += 1

        memory = {}
        with ThreadPoolExecutor(2) as clients:
            running = [clients.submit(ask, number) for number in range(2)]
            try:
                for version in range(2, count + 1):
                    save_network(folder, "daily", str(version), version)
                    _wait_until_served(service, str(version))
                    if version in (max(2, count // 10), count):
                        time.sleep(3)
                        memory[version] = service.resident()
            finally:
                over.set()
            for each in running:
                each.result()
        sys.stdout.write(
            f"{count} roll-outs: {done} requests, {wrong} failed or mixed; memory after "
            + ", ".join(f"{version}: {size} MB" for version, size in memory.items())
            + f"; loaded: {len(service.states('daily'))}\n"
        )


def _wait_until_served(service: Service, version: str) -> None:
    end = time.monotonic() + _PATIENCE
    while service.ask("daily")[0] != version:
        assert time.monotonic() < end, f"version {version} is not served"
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--roll-outs", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if asked.models:
            go_round(place / "many", place / "log", asked.models, asked.seconds)
        if asked.roll_outs:
            roll_out(place / "one", place / "log", asked.roll_outs)


if __name__ == "__main__":
    main()
