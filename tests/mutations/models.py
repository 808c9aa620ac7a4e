"""Model files with random faults, each loaded as the service would: it loads, or is refused with a reason.

Files are loaded one after the other by a child with limits on memory and processor time. It prints a line before and
after each, so that one in which it ends or hangs is known; then another child goes on with the next.

    python -m tests.mutations.models --count 500 [--seed 0]
"""

import argparse
import json
import random
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.mutations.model_faults import FAULTS, spoil

# Of address space, beyond what TensorFlow takes by itself; a harmless file needs a few MB.
MEMORY_BYTES: Final = 3 * 2**30
FILE_SECONDS: Final = 20.0
START_SECONDS: Final = 240.0


@dataclass
class Tally:
    """What became of the files. `wrong` are those that neither loaded nor were refused."""

    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)
    growth_bytes: int = 0
    slowest_seconds: float = 0.0

    def add(self, name: str, outcome: str) -> None:
        self.outcomes[outcome] += 1
        if outcome == "hung":
            self.hung.append(name)
        elif outcome not in ("loaded", "refused"):
            self.wrong.append(f"{name}: {outcome}")


def write_seeds(folder: Path) -> list[Path]:
    """A small honest file of each format."""
    import keras

    def small(name: str) -> Any:
        body = [
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.MaxPooling2D(2, name="pool"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(3, activation="softmax", name="scores"),
        ]
        return keras.Sequential([keras.Input((12, 12, 3)), *body], name=name)

    small("small").save(folder / "keras.keras")
    picture = keras.Input((12, 12, 3), name="picture")
    keras.Model(picture, keras.layers.Dense(2, name="top")(small("inner")(picture)), name="outer").save(
        folder / "keras-nested.keras"
    )
    keras.Model(picture, small("body")(picture), name="whole").save(folder / "hdf5.h5")
    small("old").save(folder / "hdf5-old.h5")
    _make_old(folder / "hdf5-old.h5")
    return sorted(path for path in folder.iterdir() if path.suffix in (".keras", ".h5"))


def _make_old(path: Path) -> None:
    """As Keras 2 wrote it: an InputLayer by its old argument, and the version."""
    import h5py

    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for entry in config["config"]["layers"]:
            entry.pop("module", None)
            entry.pop("registered_name", None)
            entry.pop("build_config", None)
            if "batch_shape" in entry["config"]:
                entry["config"]["batch_input_shape"] = entry["config"].pop("batch_shape")
            entry["config"].pop("dtype", None)
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config["config"]})
        file.attrs["keras_version"] = "2.9.0"


def run(count: int, seed: int, folder: Path, faults: Sequence[str] = tuple(FAULTS)) -> Tally:
    """Spoil and load `count` files, all formats and faults in turn."""
    seeds, draw, tally = write_seeds(folder), random.Random(seed), Tally()
    files = []
    for number in range(count):
        source, fault = seeds[number % len(seeds)], faults[number // len(seeds) % len(faults)]
        file = folder / f"{number:04}-{source.stem}-{fault}{source.suffix}"
        file.write_bytes(spoil(source.read_bytes(), fault, draw))
        files.append(file)
    while files:
        files = files[_load(files, tally) :]
    return tally


def _load(files: list[Path], tally: Tally) -> int:
    """Let one child load the files until it ends or hangs; how many are done with."""
    command = [sys.executable, "-m", "tests.mutations.models", "--load", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            return _follow(child, files, tally)
        finally:
            child.kill()


def _follow(child: "subprocess.Popen[str]", files: list[Path], tally: Tally) -> int:
    done, began, first = 0, time.monotonic(), 0
    patience = [START_SECONDS]
    try:
        for line in _lines(child, patience):
            word, _, rest = line.partition(" ")
            if word == "begin":
                began, patience[:] = time.monotonic(), [FILE_SECONDS]
            elif word == "memory":
                first = first or int(rest)
                tally.growth_bytes = max(tally.growth_bytes, int(rest) - first)
            else:
                tally.slowest_seconds = max(tally.slowest_seconds, time.monotonic() - began)
                tally.add(files[done].name, rest)
                done += 1
    except TimeoutError:
        # Known: a damaged file may send the HDF5 library into an endless loop, with the interpreter's lock held.
        tally.add(files[done].name, "hung")
        return done + 1
    if done < len(files):
        tally.add(files[done].name, f"the process ended with {child.wait()}")
        done += 1
    return done


def _lines(child: "subprocess.Popen[str]", patience: list[float]) -> Iterator[str]:
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)  # type: ignore[arg-type] # it was given a pipe
        while True:
            if not selector.select(patience[0]):
                raise TimeoutError
            line = child.stdout.readline()  # type: ignore[union-attr]
            if not line:
                return
            yield line.rstrip("\n")


def _load_all(files: list[Path]) -> None:
    """The child's part."""
    from service.errors import ModelFailedError
    from service.keras.files.loading import load_probe

    limit = _address_space() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for file in files:
        print("begin", flush=True)
        try:
            load_probe(file)
            outcome = "loaded"
        except ModelFailedError as error:
            outcome = (
                "refused"
                if 0 < len(error.detail) < 1000 and error.detail.isprintable()
                else f"odd reason {error.detail!r}"[:400]
            )
        except Exception as error:  # noqa: BLE001 -- this is what is looked for
            outcome = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        print("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, flush=True)
        print("end", outcome, flush=True)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--load", nargs="*", type=Path)
    arguments = parser.parse_args()
    if arguments.load is not None:
        _load_all(arguments.load)
        return
    with tempfile.TemporaryDirectory() as folder:
        tally = run(arguments.count, arguments.seed, Path(folder))
    print(", ".join(f"{number} {outcome}" for outcome, number in tally.outcomes.most_common(5)))
    print(f"slowest {tally.slowest_seconds:.1f} s, memory grew by {tally.growth_bytes / 2**20:.0f} MB")
    for name in tally.hung:
        print("hung:", name)
    for sentence in tally.wrong:
        print("wrong:", sentence)
    sys.exit(bool(tally.wrong))


if __name__ == "__main__":
    main()
