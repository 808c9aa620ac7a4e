"""Grad-CAM over HTTP, MobileNetV2: one client's wait, and how many come through with sixteen.

A real server process, all on the same cores as the clients.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np

from service.keras.compute.probe import KerasProbe
from tests.benchmark.engine import compare
from tests.benchmark.jobs.latency import spread
from tests.benchmark.networks import network_of, noise, open_probe, plain_forward
from tests.benchmark.pictures import jpeg
from tests.benchmark.rows import Row, Table, at_least, at_most
from tests.benchmark.turns import take_turns, timed
from tests.server import ROOT, Server

NAME = "mobilenetv2"
PATH = f"/v1/models/{NAME}/grad-cam"
CLIENTS = 16
BATCH = 8
PHASE_SECONDS = 2.0


def measure_http(table: Table, test_data: Path, rounds: int, requests: int, phases: int) -> None:
    table.head("Grad-CAM over HTTP")
    probe = open_probe(NAME, test_data)
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "log", CONVSCOPE_APPLICATIONS_WEIGHTS="none") as server,
        httpx2.Client(base_url=server.url, timeout=60) as client,
    ):
        server.wait_until_ready()
        alone = _alone(client, probe, rounds)
        table.add(alone)
        for row in _crowded(server, probe, requests, phases, alone.measured["http_ms"]):
            table.add(row)


def _alone(client: httpx2.Client, probe: KerasProbe, rounds: int) -> Row:
    forward, pictures = plain_forward(network_of(probe)), noise(probe)

    def ask(image: bytes) -> None:
        files = {"image": ("photo.jpg", image, "image/jpeg")}
        answer = client.post(PATH, files=files, headers={"Accept": "image/png"})
        assert answer.status_code == 200, answer.text

    contenders = {"forward": timed(lambda image: forward(image[None]), pictures), "http": timed(ask, jpeg)}
    # The first request loads the network.
    taken = take_turns(contenders, rounds, warm_up=10)
    what = f"{NAME}: one client's p50, JPEG to PNG overlay ÷ plain forward pass"
    return compare(what, taken, "http", "forward", at_most(1.25))


def _crowded(server: Server, probe: KerasProbe, requests: int, phases: int, alone_ms: float) -> Iterator[Row]:
    """Phases of plain forward passes in this process and of clients at the server, in turns."""
    forward = plain_forward(network_of(probe))
    pictures = np.stack([noise(probe)(number) for number in range(BATCH)])
    forward(pictures)
    _visit(server, CLIENTS * 2, 10**6)
    passes, served, waits, lost = [], [], [], 0
    for phase in range(phases):
        passes.append(_passes_per_second(lambda: forward(pictures)))
        answer = _visit(server, requests, 10**5 * (phase + 1))
        served.append(len(answer["taken_ms"]) / answer["seconds"])
        waits += answer["taken_ms"]
        lost += answer["lost"]
    ratio = median(mine / floor for mine, floor in zip(served, passes, strict=True))
    what = f"{NAME}: Grad-CAMs per second, {CLIENTS} clients ÷ plain forward passes per second, batches of {BATCH}"
    note = f"{median(served):.1f} per s ÷ {median(passes):.1f} per s"
    yield Row(what, ratio, at_least(0.8), note, {"served_per_second": served, "passes_per_second": passes})
    waited = spread(waits)
    what = f"{NAME}: p99 of {CLIENTS} clients ÷ p50 of one"
    note = f"{waited['p99']:.0f} ms ÷ {alone_ms:.1f} ms; p50 {waited['median']:.0f} ms"
    yield Row(what, waited["p99"] / alone_ms, at_most(20), note, {"waits_ms": waited})
    yield Row(f"{NAME}: lost of {len(waits) + lost} requests", lost, at_most(0))


def _passes_per_second(run_batch: Any) -> float:
    started, batches = time.perf_counter(), 0
    while time.perf_counter() - started < PHASE_SECONDS:
        run_batch()
        batches += 1
    return batches * BATCH / (time.perf_counter() - started)


def _visit(server: Server, requests: int, first: int) -> Any:
    """Clients in a process of their own."""
    command = [sys.executable, "-m", "tests.benchmark.http_clients", str(server.port), PATH, str(CLIENTS)]
    found = subprocess.run(
        [*command, str(requests), str(first)], cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, check=True
    )
    return json.loads(found.stdout)
