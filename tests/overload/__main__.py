"""`python -m tests.overload [--only load uploads leaving owners]`: what a service accepts of too much; in ratios.

A real server process and generators in processes of their own share the machine. What is unloaded is measured before
each phase again, so that whatever else the machine does is on both sides.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2
import numpy as np
import psutil

from service.api.access.keys.changing import add_key
from tests.overload.slow import hold_slowly
from tests.server import ROOT, Server

# Nothing is answered from memory.
_SETTINGS: Final = {"CONVSCOPE_LIMITS__RESULT_CACHE_BYTES": "0", "CONVSCOPE_LIMITS__ACTIVATION_CACHE_BYTES": "0"}
_MEGABYTE: Final = 2**20


def generate(port: int, *arguments: object) -> dict[str, Any]:
    """What a generator found; see its module."""
    command = [sys.executable, "-m", "tests.overload.generator", str(port), *map(str, arguments)]
    found: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    return found


def p99(values: Sequence[float]) -> float:
    return float(np.percentile(values, 99)) if values else float("nan")


def alone(server: Server, seconds: float = 5) -> float:
    """p99 of one client's heat maps, in milliseconds."""
    return p99(generate(server.port, 0, seconds, "--closed", 1)["taken"]["200"])


def measure_load(server: Server, seconds: float) -> None:
    """Twice and ten times what is computed, on connections that are kept and on new ones."""
    capacity = len(generate(server.port, 0, 5, "--closed", 16)["taken"]["200"]) / 5
    _say(f"capacity {capacity:.0f} per second")
    for times in (2, 10):
        for more in ((), ("--new",)):
            before = alone(server)
            found = generate(server.port, times * capacity, seconds, *more)
            taken, refused = found["taken"].get("200", []), found["taken"].get("503", [])
            later = [each for each, begun in zip(taken, found["begun_at"].get("200", []), strict=True) if begun > 1]
            others = {status: len(each) for status, each in found["taken"].items() if status not in ("200", "503")}
            _say(
                f"{times} x{' new connections' if more else ''}: alone p99 {before:.0f} ms; accepted {len(taken)}, "
                f"p99 {p99(taken):.0f} ms, {p99(taken) / before:.1f} x, after a second {p99(later) / before:.1f} x; "
                f"refused {len(refused)}, p99 {p99(refused):.0f} "
                f"ms; others {others}; /livez at most {max(found['probes']):.0f} ms; generator late p99 "
                f"{p99(found['late']):.0f} ms; 1 s later p99 {alone(server, 2) / before:.1f} x"
            )


def measure_uploads(server: Server, seconds: float) -> None:
    """A thousand clients that send 20 MB slowly, and two hundred that say nothing, beside an honest one."""
    process = psutil.Process(server.pid)
    before, resident = alone(server), process.memory_info().rss
    with hold_slowly(server.port, uploads=1000, idle=200):
        time.sleep(2)
        found = generate(server.port, 0, seconds, "--closed", 1)
        grown = process.memory_info().rss - resident
    taken = found["taken"].get("200", [])
    lost = sum(map(len, found["taken"].values())) - len(taken)
    _say(
        f"slow uploads: alone p99 {before:.0f} ms, beside them {p99(taken):.0f} ms, {p99(taken) / before:.1f} x; "
        f"lost {lost} of {len(taken) + lost}; memory grown by {grown // _MEGABYTE} MB"
    )


def measure_leaving(server: Server, _: float) -> None:
    """Forty clients that leave at once: how many are computed for."""
    before = _computed(server)
    generate(server.port, 0, 0, "--leaving", 40)
    while _running(server):
        time.sleep(0.05)
    _say(f"computed for {_computed(server) - before:.0f} of 40 clients that left")


def measure_owners(_: Server, seconds: float) -> None:
    """One key far beyond its rate, and another's single client beside it, with and without, in turns."""
    with tempfile.TemporaryDirectory() as folder:
        keys = Path(folder) / "keys"
        loud, quiet = (
            f"Authorization: Bearer {add_key(keys, name, 'use', limits={'requests_per_minute': rate})[0]}"
            for name, rate in (("loud", 1), ("quiet", 100_000))
        )
        more = {"CONVSCOPE_API_KEYS": str(keys)}
        with Server(Path(folder) / "log", **_SETTINGS, **more) as server:
            server.wait_until_ready()
            ratios = []
            for _turn in range(3):
                before = p99(generate(server.port, 0, seconds / 2, "--closed", 1, "--header", quiet)["taken"]["200"])
                command = [sys.executable, "-m", "tests.overload.generator", str(server.port), "200", str(seconds)]
                with subprocess.Popen([*command, "--header", loud], cwd=ROOT, stdout=subprocess.DEVNULL) as other:
                    time.sleep(seconds / 4)
                    found = generate(server.port, 0, seconds / 2, "--closed", 1, "--header", quiet)
                    other.wait()
                ratios.append(p99(found["taken"]["200"]) / before)
        told = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    _say(f"owners: another's p99 beside a key that sends 200 per second, over its p99 alone: {told}")


MEASURES: Final[dict[str, Callable[[Server, float], None]]] = {
    "load": measure_load,
    "uploads": measure_uploads,
    "leaving": measure_leaving,
    "owners": measure_owners,
}


def _metric(server: Server, start: str) -> float:
    lines = httpx2.get(f"{server.url}/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))


def _computed(server: Server) -> float:
    return _metric(server, 'convscope_stage_duration_seconds_count{method="grad-cam",model="shapes",stage="render"}')


def _running(server: Server) -> float:
    return _metric(server, "convscope_executor_requests{")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES))
    parser.add_argument("--seconds", type=float, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder) / "log", **_SETTINGS) as server:
        server.wait_until_ready()
        generate(server.port, 0, 3, "--closed", 4)
        for name in options.only:
            MEASURES[name](server, options.seconds)


if __name__ == "__main__":
    main()
