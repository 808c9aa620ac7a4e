"""A few of the files of Keras 2, with what it says of them, for the suite: `python -m tests.legacy.pack FOLDER`.

FOLDER is one that `write` has filled for each version (`FOLDER/2.15/separable.keras`). Knows nothing of the service.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Final

import numpy as np

EVIDENCE: Final = Path(__file__).parent / "evidence.zip"
EXPECTED: Final = "expected.json"
# One file or more of each kind of repair, by the Keras that wrote it.
FILES: Final = {
    "2.15": (
        *("separable.keras", "sync-batch-normalization.keras", "nested-sequential.keras", "thresholded-relu.keras"),
        *("activation-hard_sigmoid.keras", "hard-sigmoid-gru-before.keras", "hard-sigmoid-bidirectional.keras"),
        *("hard-sigmoid-gru-both.h5", "hard-sigmoid-convlstm.keras", "hard-sigmoid-output.h5"),
        *("multi-head-attention-key.keras", "attention.h5", "random-height.h5", "random-crop.h5", "random-crop.keras"),
        *(
            "ops-torch-mode.keras",
            "ops-hard-swish.h5",
            "ops-nested.keras",
            "time-distributed.keras",
            "discretization.h5",
        ),
        *("ops-random.h5", "hard-sigmoid-lstm-activation.keras", "spectral-normalization.keras"),
    ),
    "2.12": (
        *("same-classes.keras", "two-sequentials.keras", "add.keras", "compiled.keras", "relu6.keras"),
        *("fused-hard_sigmoid.h5", "hard-sigmoid-lstm.h5", "hard-sigmoid-cells.keras", "hard-sigmoid-separable.h5"),
        *("hard-sigmoid-activation-distributed.h5", "hard-sigmoid-einsum.keras", "shared-layer.h5"),
        *("bidirectional.h5", "time-distributed.h5", "fused-layer.h5", "rnn-of-stacked-cells.h5"),
        *("simple-rnn.h5", "ops-caffe-mode.h5", "ops-number-first.keras"),
        *("ops-nested-twice.h5", "ops-split.h5", "ops-normalise.keras", "ops-resize.h5", "called-with-training.h5"),
    ),
}


def pack(folder: Path) -> None:
    expected = {}
    with zipfile.ZipFile(EVIDENCE, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for version, names in FILES.items():
            for name in names:
                file = folder / version / name
                archive.writestr(zipfile.ZipInfo(f"{version}/{name}"), file.read_bytes(), zipfile.ZIP_DEFLATED, 9)
                expected[f"{version}/{name}"] = _expect(file.with_suffix(".npz"))
        archive.writestr(zipfile.ZipInfo(EXPECTED), json.dumps(expected, indent=1), zipfile.ZIP_DEFLATED, 9)
    print(f"{EVIDENCE.name}: {len(expected)} files, {EVIDENCE.stat().st_size} bytes")


def _expect(file: Path) -> dict[str, Any]:
    """The scores, and the mean of each channel of the maps."""
    with np.load(file) as known:
        means = {key.partition(":")[2]: known[key].mean(axis=(0, 1)) for key in known if key.startswith("maps:")}
        return {
            "scores": known["scores"].ravel().astype(float).round(7).tolist(),
            "means": {layer: values.astype(float).round(6).tolist() for layer, values in means.items()},
        }


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
