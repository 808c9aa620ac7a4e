"""What many versions in the folder cost a warm request: python -m tests.residency.many_versions [--rounds 2000].

Two services side by side, one with a single model, one with many; they are asked in turn, so that whatever else the
machine does meets both.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.loop_probe import LoopProbe
from tests.residency.__main__ import Service
from tests.residency.networks import save_network
from tests.server import Server

_PATIENCE: Final = 300.0
# A network of a few kilobytes.
_UNITS: Final = 8


def make_folder(folder: Path, models: int, versions: int) -> None:
    """Every version is a link to one file."""
    save_network(folder, "m00", "1", 1, units=_UNITS)
    first = folder / "m00" / "1" / "model.keras"
    for model in range(models):
        for version in range(1, versions + 1):
            place = folder / f"m{model:02}" / str(version)
            if place != first.parent:
                place.mkdir(parents=True)
                os.link(first, place / "model.keras")
        (folder / f"m{model:02}" / "model.toml").write_text('preprocessing = "unit"\n', encoding="utf-8")


def _start(stack: ExitStack, place: Path, models: int, versions: int) -> Service:
    make_folder(place / "models", models, versions)
    begin = time.monotonic()
    server = stack.enter_context(Server(place / "log", CONVSCOPE_MODELS=str(place / "models")))
    server.wait_until_ready()
    ready = time.monotonic() - begin
    service = Service(server)
    while any(each["state"] != "ready" for each in _own(service)):
        if time.monotonic() > begin + _PATIENCE:
            raise AssertionError(f"not all models are ready: {server.log()[-2000:]}")
        time.sleep(0.2)
    loaded = time.monotonic() - begin
    begin = time.monotonic()
    answer = service.client.get("/v1/models")
    sys.stdout.write(
        f"{models} x {versions}: ready after {ready:.1f} s, all loaded after {loaded:.1f} s, {service.resident()} MB; "
        f"GET /v1/models {len(answer.content) / 1000:.0f} kB in {(time.monotonic() - begin) * 1000:.0f} ms\n"
    )
    return service


def _own(service: Service) -> list[dict[str, str]]:
    details: list[dict[str, str]] = service.client.get("/v1/models").json()["details"]
    return [each for each in details if each["name"].startswith("m") and each["name"][1:].isdecimal()]


def _quantile(seconds: list[float], share: float) -> float:
    """In milliseconds."""
    return sorted(seconds)[int(share * (len(seconds) - 1))] * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--versions", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=2000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        sizes = {"one": (1, 1), "many": (asked.models, asked.versions)}
        services = {}
        for name, size in sizes.items():
            (Path(folder) / name).mkdir()
            services[name] = _start(stack, Path(folder) / name, *size)
        for service in services.values():
            for _ in range(50):
                service.ask("m00")
        waits: dict[str, list[float]] = {name: [] for name in services}
        probes = {name: stack.enter_context(ExitStack()) for name in services}
        loops = {name: probes[name].enter_context(LoopProbe(services[name].server.port)) for name in services}
        for number in range(asked.rounds):
            # Neither always comes first.
            for name in sorted(services, reverse=number % 2 == 0):
                begin = time.perf_counter()
                services[name].ask("m00")
                waits[name].append(time.perf_counter() - begin)
        for probe in probes.values():
            probe.close()
        for name, seconds in waits.items():
            loop = loops[name]
            sys.stdout.write(
                f"{name}: Grad-CAM median {_quantile(seconds, 0.5):.1f} ms, p99 {_quantile(seconds, 0.99):.1f} ms; "
                f"/livez p99.9 {loop.slow_seconds * 1000:.1f} ms, longest {loop.longest_seconds * 1000:.1f} ms of "
                f"{loop.asked}, {len(loop.faults)} faults; {services[name].resident()} MB\n"
            )


if __name__ == "__main__":
    main()
