"""How many answers over a dataset are right, and which of its folders name no class. Knows what pictures came to."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from schemas.values.datasets import Accuracy, ClassAccuracy, PictureItem, UnmatchedLabel


def measure_accuracy(items: Sequence[PictureItem]) -> Accuracy:
    """Of the pictures that are known to show something, the share that was answered right."""
    known = [item.right for item in items if item.right is not None]
    return Accuracy(with_ground_truth=len(known), accuracy=float(np.mean(known)) if known else None)


def measure_classes(items: Sequence[PictureItem]) -> list[ClassAccuracy]:
    """The same of each class that pictures are known to show, in the order of the classes."""
    classes: dict[int, list[PictureItem]] = {}
    labels: dict[int, str] = {}
    for item in items:
        if item.ground_truth is not None:
            classes.setdefault(item.ground_truth.index, []).append(item)
            labels[item.ground_truth.index] = item.ground_truth.label
    return [
        ClassAccuracy(
            index=index, label=labels[index], images=len(classes[index]), **dict(measure_accuracy(classes[index]))
        )
        for index in sorted(classes)
    ]


def list_unmatched(items: Sequence[PictureItem]) -> list[UnmatchedLabel]:
    """Folders whose names mean none of the model's classes, and how many pictures are in each."""
    counts = Counter(item.label for item in items if item.label is not None and item.ground_truth is None)
    return [UnmatchedLabel(label=label, images=counts[label]) for label in sorted(counts)]
