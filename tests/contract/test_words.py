"""Words that the field has others for: none of them is an identifier, or a file, of the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What the field says instead.
OLD = {
    "anatomy": "network info",
    "bell": "wake-up",
    "card": "model config",
    "chatter": "log",
    "doorbell": "notifier",
    "errand": "batch",
    "excerpt": "truncation",
    "excerpted": "truncated",
    "frontier": "cut",
    "landmarks": "head",
    "lockstep": "barrier",
    "offer": "model version",
    "offers": "model versions",
    "paint": "decode",
    "painted": "decoded",
    "painting": "reconstruction",
    "party": "group",
    "pulse": "heartbeat",
    "refusals": "errors",
    "seat": "participant",
    "sets": "datasets",
    "survey": "channel statistics",
}
# As whole identifiers; what they are part of may be another's, such as `set_result`.
OLD_NAMES = {
    "Part": "ChunkResult",
    "Whole": "Summary",
    "code_of": "latent_of",
    "conclude": "reduce",
    "image_set": "dataset",
    "no_code": "no_latent",
    "open_set": "open_dataset",
    "takes_set": "takes_dataset",
    "truth": "ground_truth",
    "with_truth": "with_ground_truth",
}
# Where a canvas is painted, in the sense of everybody.
PAINTED_BY_HAND = ("service/demo/",)


def _words(name: str) -> Iterator[str]:
    """`LayerSurvey` and `layer_survey` are two words each."""
    for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name):
        yield word.lower()


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for member in ("name", "id", "attr", "arg"):
            name = getattr(node, member, None)
            if isinstance(name, str):
                yield name


@pytest.mark.parametrize("room", ["service", "schemas", "workers", "docs"])
def test_no_identifier_and_no_file_has_an_old_word(room: str):
    found = [
        f"{file.relative_to(ROOT)}: {name} ({OLD[word]})"
        for file in sorted((ROOT / room).rglob("*.py"))
        for name in {file.stem, *_names(ast.parse(file.read_text(encoding="utf-8")))}
        for word in _words(name)
        if word in OLD and not (word == "paint" and str(file.relative_to(ROOT)).startswith(PAINTED_BY_HAND))
    ]
    found += [
        f"{file.relative_to(ROOT)}: {name} ({OLD_NAMES[name]})"
        for file in sorted((ROOT / room).rglob("*.py"))
        for name in _names(ast.parse(file.read_text(encoding="utf-8")))
        if name in OLD_NAMES
    ]
    assert found == []
