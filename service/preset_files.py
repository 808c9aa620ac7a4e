"""Presets of KerasHub: which files of a folder make a network and what it is given."""

from pathlib import Path
from typing import Final

BACKBONE: Final = "config.json"
TASK: Final = "task.json"
WEIGHTS: Final = "model.weights.h5"
TASK_WEIGHTS: Final = "task.weights.h5"
CONVERTER: Final = "image_converter.json"
PREPROCESSOR: Final = "preprocessor.json"
# A list of files that the weights are cut into.
SHARDS: Final = "model.weights.json"
# All that is read; a preset has others, such as vocabularies and a model card.
NAMES: Final = (BACKBONE, TASK, WEIGHTS, TASK_WEIGHTS, CONVERTER, PREPROCESSOR)


def is_preset(folder: Path) -> bool:
    """Whether a folder holds what `save_to_preset` writes."""
    return all((folder / name).is_file() for name in (BACKBONE, WEIGHTS))


def preset_files(folder: Path) -> list[Path]:
    """Those of its files that are read, in one order always."""
    return [folder / name for name in NAMES if (folder / name).is_file()]
