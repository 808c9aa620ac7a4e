"""Whether compared versions are alike enough. Knows results, no pictures."""

from collections.abc import Iterable, Mapping
from typing import Any

# What a result says of two neighbours, as its JSON has it: another version of the service may say more.
Neighbours = Mapping[str, Any]


def find_failures(neighbours: Iterable[Neighbours], least: float) -> list[str]:
    """Why neighbouring versions are not alike enough, in sentences; none where they are."""
    return [sentence for pair in neighbours if (sentence := _find_failure(pair, least))]


def describe_pair(pair: Neighbours) -> str:
    """How alike two neighbours are: the mean, and of several arrays the worst; or why that is not known."""
    known = "unknown" if pair["correlation"] is None else f"{pair['correlation']:.3f}"
    said = [f"{pair['from']}-{pair['to']} r = {known}"]
    if pair["compared"] > 1:
        said.append(f"worst {pair['worst']['correlation']:.3f} ({pair['worst']['of']})")
    if pair["compared"] and pair["left_out"]:
        said.append(f"{pair['left_out']} left out")
    if pair["reason"]:
        said.append(pair["reason"])
    return "; ".join(said)


def _find_failure(pair: Neighbours, least: float) -> str | None:
    subject = f"versions {pair['from']} and {pair['to']}"
    if pair["reason"]:
        return f"{subject} cannot be compared: {pair['reason']}"
    if pair["correlation"] < least:
        return f"{subject} correlate by {pair['correlation']:.3f}, less than {least:g}"
    return None
