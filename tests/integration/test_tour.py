"""The golden tour of the built-in models: the numbers that are committed, and the same bytes for the same request."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tour.comparing import Comparison
from tests.tour.files import read
from tests.tour.places import Tour, start
from tests.tour.reading import Record
from tests.tour.walking import ask_again, take_brief

# Where a change is meant: `python -m tests.tour record tests/tour/golden.json --brief`, and git shows what it changed.
GOLDEN = Path(__file__).parents[1] / "tour" / "golden.json"
# Between processors; what a mistake changes is more.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    with start(tmp_path_factory.mktemp("tour")) as tour:
        yield tour


@pytest.fixture(scope="module")
def records(tour: Tour) -> dict[str, Record]:
    return dict(take_brief(tour))


def test_numbers_are_the_golden_ones_when_every_method_is_asked(records: dict[str, Record]):
    differences = list(Comparison(TOLERANCE).differences(read(GOLDEN), records))
    assert not differences, "\n".join(differences)


def test_bytes_are_the_same_when_asked_again(tour: Tour, records: dict[str, Record]):
    again = dict(ask_again(tour))
    differences = list(Comparison().differences({name: records[name] for name in again}, again))
    assert not differences, "\n".join(differences)


def test_pictures_are_the_same_bytes_when_the_terminal_makes_them(records: dict[str, Record]):
    ways = [(name, name.replace("terminal ", "http ", 1)) for name in records if name.startswith("terminal ")]
    compared = [(here, there) for here, there in ways if records[here]["pictures"]]
    assert len(compared) >= 10
    for here, there in compared:
        assert records[here]["pictures"] == records[there]["pictures"], here
