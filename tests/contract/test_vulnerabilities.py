"""The page of known vulnerabilities, and the samples that stand for them."""

import re
from pathlib import Path

from tests.hostile_files import HOSTILE
from tests.hostile_models import SAMPLES
from tests.vulnerabilities import VULNERABILITIES

PAGE = Path(__file__).parents[2] / "docs" / "known-vulnerabilities.md"
NUMBER = re.compile(r"CVE-20\d\d-\d{4,}")


def test_page_tells_of_each_vulnerability_and_its_samples():
    told: dict[str, tuple[str, ...]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| [CVE-"):
            numbers, *_, samples = line.strip("| ").split(" | ")
            told |= {number: tuple(re.findall(r"`([^`]+)`", samples)) for number in NUMBER.findall(numbers)}
    assert told == VULNERABILITIES


def test_samples_of_vulnerabilities_are_tried():
    assert set(SAMPLES).isdisjoint(HOSTILE)
    assert {sample for samples in VULNERABILITIES.values() for sample in samples} <= {*SAMPLES, *HOSTILE}
