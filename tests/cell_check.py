"""Model files of one's own through cells and loaded directly: are their answers the same, and how long does it take?

python -m tests.cell_check [--samples] FILE…

With `--samples` the harmless samples of hostile files go through cells as well: each is refused, and leaves nothing.
"""

import re
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from service.engine.ports.overrides import NO_OVERRIDES
from service.errors import ModelFailedError
from service.keras.cell.cache import NetworkCache
from service.keras.cell.limits import CellLimits
from service.keras.cell.process import Cells
from service.keras.cell.reading import Reader
from service.keras.files.admission.limits import MODEL_FILE_LIMITS


def _answers(probe: Any) -> list[Any]:
    """For noise, of a network with whatever inputs and outputs."""
    import keras
    import numpy as np

    from service.keras.graph.replay import graph_of, infer, replay

    rng, inputs = np.random.default_rng(0), graph_of(probe._network).inputs
    noise = [
        keras.ops.convert_to_tensor(rng.random([1, *(size or 96 for size in value.shape[1:])]), value.dtype)
        for value in inputs
    ]
    answers = replay(probe._network, noise, lambda _, node, args, kwargs: infer(node, args, kwargs))
    return [np.asarray(answer, np.float64) for answer in keras.tree.flatten(answers)]


def _read(reader: Reader, file: Path) -> tuple[Any, float]:
    from service.keras.cell.building import build_probe
    from service.keras.compute.tuning import UNTUNED

    begin = time.monotonic()
    parcel = reader.read(file, NO_OVERRIDES, MODEL_FILE_LIMITS)
    with closing(parcel.stream):
        probe = build_probe(parcel, NO_OVERRIDES, file.name, tuning=UNTUNED, limits=MODEL_FILE_LIMITS)
    return probe, time.monotonic() - begin


def check(file: Path, reader: Reader) -> str:
    """One line about a file; it begins with `same` where all is well."""
    import numpy as np

    from service.keras.files.loading import load_probe

    direct: Any = None
    try:
        direct = load_probe(file)
        reason = ""
    except ModelFailedError as error:
        reason = error.detail
    try:
        probe, first = _read(reader, file)
    except ModelFailedError as error:
        return f"{'same' if error.detail == reason else 'OTHER'} refusal: {error.detail[:100]}"
    if direct is None:
        return f"LOADS by a cell alone: {reason[:100]}"
    again, second = _read(reader, file)
    pairs = zip(_answers(direct), _answers(probe), _answers(again), strict=True)
    far = max(max(np.abs(one - two).max(), np.abs(one - three).max()) for one, two, three in pairs)
    known = probe.network_info == direct.network_info
    return f"{'same' if far == 0 and known else f'OTHER by {far}'}, {first:.1f} s, {second:.2f} s from the cache"


def _refuse(reader: Reader, file: Path, reason: str) -> str:
    """One line about a file that is to be refused for that reason; it begins with `same` where it was."""
    held = set(file.parent.rglob("*"))
    try:
        _read(reader, file)
    except ModelFailedError as error:
        left = set(file.parent.rglob("*")) - held
        right = re.search(reason, error.detail) and not left and "Keras cannot load" not in error.detail
        return f"{'same' if right else 'OTHER'} refusal: {error.detail[:100]}{' LEFT: ' if left else ''}"
    return "LOADS"


def check_samples(reader: Reader, folder: Path) -> dict[str, str]:
    """A line for each sample; of those whose configuration is hostile, in both formats."""
    from tests.hostile_files import HOSTILE, write_victim
    from tests.hostile_models import SAMPLES, Scene, honest_model, make_hdf5_sample, make_sample

    honest, lines = honest_model(folder / "honest.keras"), {}
    for name in SAMPLES:
        for make in (make_sample, make_hdf5_sample):
            scene = Scene(folder / f"{name} {make.__name__}")
            scene.folder.mkdir()
            scene.secret.write_text("secret")
            lines[scene.folder.name] = _refuse(reader, make(name, honest, scene), "")
    for name, hostile in HOSTILE.items():
        (folder / name).mkdir()
        write_victim(folder / name)
        lines[name] = _refuse(reader, hostile.write(folder / name), hostile.reason)
    return lines


def main(arguments: list[str]) -> int:
    files = [Path(argument) for argument in arguments if argument != "--samples"]
    with tempfile.TemporaryDirectory() as folder:
        cache = NetworkCache(Path(folder) / "networks", 2**33)
        reader = Reader(Cells(CellLimits(processor_seconds=60)), cache, versions="", threads=0)
        lines = {str(file): check(file, reader) for file in files}
        if "--samples" in arguments:
            lines |= check_samples(reader, Path(folder))
    for name, line in lines.items():
        sys.stdout.write(f"{name}: {line}\n")
    return 0 if all(line.startswith("same") for line in lines.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
