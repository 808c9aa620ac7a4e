"""How long a service takes until all of its models are ready, from kept networks and from the files themselves.

python -m tests.second_start FOLDER [--rounds 3]
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx2

from tests.server import Server

_PATIENCE: Final = 600.0
_MODES: Final = {"kept networks": "true", "files": "false"}


def lay_out(files: Path, repository: Path) -> int:
    """A repository of all model files of a folder and those below it, which a service can tell apart by name."""
    found = [file for file in sorted(files.rglob("*")) if file.suffix in {".keras", ".h5", ".hdf5"}]
    for file in found:
        place = repository / file.name.replace(".", "-") / "1"
        place.mkdir(parents=True)
        (place / f"model{file.suffix}").symlink_to(file.resolve())
    return len(found)


def measure(repository: Path, data: Path, cells: str) -> tuple[float, dict[str, str]]:
    """Seconds from the start of the process until each of the repository's models is ready or failed; and which is."""
    names = {folder.name for folder in repository.iterdir()}
    begin = time.monotonic()
    environment = {
        "CONVSCOPE_MODELS": str(repository),
        "CONVSCOPE_MODELS_CELLS": cells,
        "CONVSCOPE_DATA": str(data),
        "CONVSCOPE_NETWORKS": str(data / "networks"),
    }
    with Server(data / "log", **environment) as server, httpx2.Client(base_url=server.url, timeout=60) as client:
        while time.monotonic() - begin < _PATIENCE:
            models = client.get("/v1/models").json()["details"]
            states = {model["name"]: str(model["state"]) for model in models if model["name"] in names}
            if names == set(states) and set(states.values()) <= {"ready", "failed"}:
                return time.monotonic() - begin, states
            time.sleep(0.05)
    raise AssertionError(f"not ready: {states}")


def main() -> int:
    """The first start of each kind is not counted: it reads the files, or notes what is refused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        count = lay_out(asked.folder, root / "models")
        seconds: dict[str, list[float]] = {mode: [] for mode in _MODES}
        ends: dict[str, dict[str, str]] = {}
        for number in range(asked.rounds + 1):
            for mode, cells in _MODES.items():
                data = root / cells
                data.mkdir(exist_ok=True)
                taken, ends[mode] = measure(root / "models", data, cells)
                if number:
                    seconds[mode].append(taken)
                sys.stdout.write(f"{mode}: {taken:.2f} s{'' if number else ', the first'}\n")
                sys.stdout.flush()
    middle = {mode: statistics.median(taken) for mode, taken in seconds.items()}
    ready = sum(state == "ready" for state in ends["files"].values())
    ratio = middle["kept networks"] / middle["files"]
    sys.stdout.write(f"{count} files, {ready} ready: {middle}, ratio {ratio:.2f}\n")
    return 0 if ends["files"] == ends["kept networks"] else 1


if __name__ == "__main__":
    sys.exit(main())
