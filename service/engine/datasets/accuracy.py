"""How many answers over a dataset are right, and which of its folders name no class. Knows what pictures came to."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Item = Mapping[str, Any]


def measure_accuracy(items: Sequence[Item]) -> dict[str, Any]:
    """`with_ground_truth` pictures are known to show something: of these, the share that was answered right."""
    known = [item["right"] for item in items if item["right"] is not None]
    return {"with_ground_truth": len(known), "accuracy": float(np.mean(known)) if known else None}


def measure_classes(items: Sequence[Item]) -> list[dict[str, Any]]:
    """The same of each class that pictures are known to show, in the order of the classes."""
    classes: dict[int, list[Item]] = {}
    for item in items:
        if item["ground_truth"] is not None:
            classes.setdefault(item["ground_truth"]["index"], []).append(item)
    return [
        dict(classes[index][0]["ground_truth"]) | {"images": len(classes[index])} | measure_accuracy(classes[index])
        for index in sorted(classes)
    ]


def list_unmatched(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Folders whose names mean none of the model's classes, and how many pictures are in each."""
    counts = Counter(item["label"] for item in items if item["label"] is not None and item["ground_truth"] is None)
    return [{"label": label, "images": counts[label]} for label in sorted(counts)]
