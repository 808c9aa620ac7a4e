"""The method `filter-patterns` on a network whose ascent can be worked out by hand, and sheets of pictures."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from schemas.results import Result
from service.engine.chunks import JobLimits, combine, compute, plan
from service.engine.drawing.sheets import MAX_PIXELS, MAX_SIDE, Grid, lay_on_sheets, plan_grid
from service.engine.images.decoding import ImageLimits
from service.engine.images.preprocessing import Preprocessing
from service.engine.kinds.context import Context
from service.engine.methods.features.filter_patterns import (
    FILTER_PATTERNS,
    FilterPatternsChunk,
    FilterPatternsParams,
    cut,
    filter_patterns,
)
from service.engine.model import Model
from service.engine.ports.ascent import Ascended, Ascent
from service.engine.ports.network_info import LayerInfo
from service.engine.running.reduction import Finished
from service.engine.running.request import Request
from service.errors import (
    FilterOutOfRangeError,
    JobTooLargeError,
    MethodUnavailableError,
    NotFiniteError,
    SizeUnsuitableError,
)
from tests.unit.fakes import RAW, ClosedFormProbe, closed_form_model

IMAGES = ImageLimits(2**20, 10**6)
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
# The last filter is dead.
GAINS = (1.0, 1.0, 0.0)
CAFFE = Preprocessing("caffe", (1.0,), (-1.0, -2.0, -3.0), "bgr")


def _probe(operations: int = 10**9, **network_info: Any) -> ClosedFormProbe:
    probe = ClosedFormProbe(WEIGHTS, gains=GAINS)
    probe.operations = operations
    probe.network_info = replace(probe.network_info, **network_info)
    return probe


def _context(*items: int, preprocessing: Preprocessing = RAW) -> Context:
    return Context(preprocessing, lambda _: None, items)


def _work(model: Model, **params: Any) -> list[Result]:
    """Every chunk's result, and the whole last."""
    request = Request(FILTER_PATTERNS, FilterPatternsParams(**params), None)
    chunks = plan(model, request, IMAGES, JobLimits()).chunks
    parts = [compute(model, request, items, IMAGES, lambda _: None) for items in chunks]
    pictures = ((image.name, np.asarray(Image.open(io.BytesIO(image.data)))) for part in parts for image in part.images)
    return [*parts, combine(model, request, Finished(parts, pictures, lambda _: None), IMAGES)]


def test_versions_are_compared_by_what_was_made_of_the_noise():
    found = filter_patterns(_probe(), None, FilterPatternsParams(size=6, steps=5), _context(0, 1, 2))
    assert list(found.changes) == ["filter-0", "filter-1", "filter-2"]
    for number in (0, 1):
        change = found.changes[f"filter-{number}"]
        expected = np.zeros((6, 6, 3))
        expected[..., number] = 5 * np.sqrt(3)
        assert change is not None
        np.testing.assert_allclose(change, expected, atol=1e-4)
    # Without a gradient there is no picture.
    assert found.changes["filter-2"] is None


@pytest.mark.parametrize(
    ("operations", "chunks"),
    [
        (10**9, [[0, 1, 2]]),
        (10**10, [[0, 1], [2]]),
        (21 * 10**9, [[0], [1], [2]]),
        (10**13, [[0], [1], [2]]),
    ],
)
def test_chunks_follow_from_the_arithmetic_when_filters_are_cut(operations: int, chunks: list[list[int]]):
    assert cut(_probe(operations), FilterPatternsParams()) == chunks


def test_chunks_keep_the_order_asked_when_filters_are_selected():
    assert cut(_probe(10**10), FilterPatternsParams(filters="2,0-1")) == [[2, 0], [1]]
    with pytest.raises(FilterOutOfRangeError, match="0 to 2"):
        cut(_probe(), FilterPatternsParams(filters="3"))


def test_batch_shrinks_when_frames_would_fill_the_memory():
    params = FilterPatternsParams(size=512, steps=60, frames=1)
    assert cut(_probe(1), params) == [[0], [1], [2]]
    assert cut(_probe(1), FilterPatternsParams(size=512, steps=60, frames=30)) == [[0, 1, 2]]


def test_batch_shrinks_when_the_memory_allowed_is_small():
    assert cut(_probe(1), FilterPatternsParams(size=64), 2 * 64 * 64 * 3 * 8) == [[0, 1], [2]]
    assert cut(_probe(1), FilterPatternsParams(size=64), 1) == [[0], [1], [2]]


def test_job_is_too_large_when_it_has_more_frames_than_an_animation_may():
    assert cut(_probe(), FilterPatternsParams(steps=990, frames=10))
    with pytest.raises(JobTooLargeError, match="every 11 steps") as raised:
        cut(_probe(), FilterPatternsParams(steps=1000, frames=10))
    assert raised.value.field == "frames"
    assert cut(_probe(), FilterPatternsParams(steps=1000, frames=11))


@pytest.mark.parametrize("field", ["steps", "frames", "size", "columns", "seed", "step_size"])
@pytest.mark.parametrize("value", [10**7 * 10**3, -1])
def test_parameters_are_refused_when_out_of_all_bounds(field: str, value: int):
    with pytest.raises(ValidationError):
        FilterPatternsParams(**{field: value})


def test_ten_million_steps_are_refused_when_validated():
    with pytest.raises(ValidationError, match="steps"):
        FilterPatternsParams(steps=10**7)


def test_each_filter_climbs_its_own_noise_when_computed():
    probe = _probe()
    pictures = filter_patterns(probe, None, FilterPatternsParams(seed=7, size=4, steps=3), _context(1, 0))
    (ascent,) = probe.ascents
    assert (ascent.objective.layer, ascent.objective.filters) == ("maps", (1, 0))
    assert (ascent.schedule.steps, ascent.schedule.step_size, ascent.canvas.preprocessing) == (3, 1.0, RAW)
    for image, number in enumerate((1, 0)):
        noise = np.random.default_rng([7, number]).uniform(0, 20, (4, 4, 3)) + 128
        assert np.array_equal(ascent.canvas.start[image], noise.astype(np.float32))
    assert [picture.name for picture in pictures.pictures] == ["filter-1", "filter-0"]
    climbed = ascent.canvas.start[0][..., 1].mean() + 3 * np.sqrt(3)
    assert isinstance(pictures.numbers, FilterPatternsChunk)
    first = pictures.numbers.filters[0]
    assert (first.filter, first.no_gradient) == (1, False)
    assert first.activation == pytest.approx(climbed, rel=1e-5)


def test_picture_has_a_deviation_of_a_tenth_around_half_when_drawn():
    (picture,) = filter_patterns(_probe(), None, FilterPatternsParams(size=32, steps=1), _context(0)).pictures
    assert picture.values.mean() == pytest.approx(0.5, abs=1e-3)
    assert picture.values.std() == pytest.approx(0.1, abs=1e-3)
    assert picture.values.shape == (32, 32, 3)


def test_canvas_is_raw_and_turned_when_a_bgr_network_is_not_preprocessed():
    probe = _probe()
    params = FilterPatternsParams(size=8, steps=50, preprocess=False)
    (picture,) = filter_patterns(probe, None, params, _context(0, preprocessing=CAFFE)).pictures
    assert probe.ascents[0].canvas.preprocessing is None
    # Channel 0 has climbed, which is the network's blue.
    assert picture.values.mean(axis=(0, 1)).argmax() == 2
    (rgb,) = filter_patterns(
        probe, None, FilterPatternsParams(size=8, steps=50), _context(0, preprocessing=CAFFE)
    ).pictures
    assert rgb.values.mean(axis=(0, 1)).argmax() == 2


@pytest.mark.parametrize(
    ("own", "side"), [((96, 96, 3), 96), ((28, 28, 3), 128), ((299, 299, 3), 128), ((None, None, 3), 128)]
)
def test_size_is_the_networks_own_when_it_is_neither_tiny_nor_slow(own: Any, side: int):
    model = closed_form_model(WEIGHTS, probe=_probe(input_shape=own))
    result = _work(model, filters="0", steps=1)[0]
    assert result.values["size"] == [side, side]
    assert result.provenance.params["size"] == side


def test_size_is_refused_when_the_layer_cannot_take_it():
    with pytest.raises(SizeUnsuitableError):
        cut(_probe(), FilterPatternsParams(size=1))


@pytest.mark.parametrize(("default", "layer"), [("first", "first"), (None, "second")])
def test_layer_is_the_last_with_maps_when_none_is_named(default: str | None, layer: str):
    facts = [LayerInfo(name, "Conv2D", (None, 4, 6, 3), (1, 1, 3, 3), None, 9) for name in ("first", "second")]
    facts += [LayerInfo("pool", "MaxPooling2D", (None, 2, 3, 3), None, None, 0)]
    facts += [LayerInfo("scores", "Dense", (None, 2), (3, 2), None, 6)]
    probe = _probe(default_layer=default, layers=tuple(facts))
    assert filter_patterns(probe, None, FilterPatternsParams(steps=1), _context(0)).layer == layer


@pytest.mark.parametrize(("changes", "reason"), [({"input_shape": None}, "no picture"), ({"layers": ()}, "kernel")])
def test_method_is_refused_when_the_network_lacks_what_it_needs(changes: dict[str, Any], reason: str):
    model = closed_form_model(WEIGHTS, probe=_probe(**changes))
    with pytest.raises(MethodUnavailableError, match=reason):
        _work(model)


class _NanProbe(ClosedFormProbe):
    def ascend(self, ascent: Ascent, report: Callable[[float], None]) -> Ascended:
        ascended = super().ascend(ascent, report)
        return replace(ascended, activations=ascended.activations * np.float32("nan"))


def test_nan_is_refused_when_the_network_answers_it():
    with pytest.raises(NotFiniteError):
        filter_patterns(_NanProbe(WEIGHTS), None, FilterPatternsParams(steps=1), _context(0))


def test_whole_lists_every_filter_when_chunks_are_combined():
    model = closed_form_model(WEIGHTS, probe=_probe(21 * 10**9))
    *parts, whole = _work(model, size=4, steps=2, seed=3, columns=2, margin=1)
    assert [[image.name for image in part.images] for part in parts] == [["filter-0"], ["filter-1"], []]
    assert [item["filter"] for item in whole.values["filters"]] == [0, 1, 2]
    assert (whole.values["no_gradient"], whole.values["layer"], whole.values["seed"]) == ([2], "maps", 3)
    assert whole.values["sheets"] == [{"name": "grid", "columns": 2, "filters": [0, 1, 2]}]
    assert [(image.name, image.width, image.height) for image in whole.images] == [("grid", 9, 9)]
    assert (whole.provenance.seed, whole.provenance.params["layer"], whole.provenance.params["size"]) == (3, "maps", 4)
    assert whole.provenance.plan == {
        "batch": 1,
        "last_layer": "all filters",
        "layer_shape": [4, 4, 3],
        "preprocessing": "none",
        "device": "CPU",
        "threads": 1,
    }


def test_animations_are_no_cells_when_frames_are_asked_for():
    model = closed_form_model(WEIGHTS, probe=_probe())
    *parts, whole = _work(model, size=4, steps=5, frames=2, margin=0)
    assert [image.name for image in parts[0].images] == ["filter-0", "filter-0-ascent", "filter-1", "filter-1-ascent"]
    with Image.open(io.BytesIO(parts[0].images[1].data)) as animation:
        assert animation.n_frames == 4  # type: ignore[attr-defined]
    grid = np.asarray(Image.open(io.BytesIO(whole.images[0].data)))
    drawn = np.asarray(Image.open(io.BytesIO(parts[0].images[2].data)))
    assert np.array_equal(grid[:, 4:8], drawn)
    assert not grid[:, 8:].any()


def test_grid_is_empty_when_no_filter_has_a_gradient():
    *parts, whole = _work(closed_form_model(WEIGHTS, probe=_probe()), filters="2", size=4, steps=1)
    assert (parts[0].images, whole.values["no_gradient"]) == ([], [2])
    assert not np.asarray(Image.open(io.BytesIO(whole.images[0].data))).any()


@pytest.mark.parametrize(
    ("size", "count", "columns", "margin"),
    [
        ((128, 128), 64, 8, 5),
        ((512, 512), 2048, 8, 5),
        ((512, 512), 2048, 256, 64),
        ((1, 1), 2048, 1, 0),
        ((8192, 8192), 4, 8, 5),
    ],
)
def test_no_sheet_is_too_large_when_a_grid_is_planned(size: tuple[int, int], count: int, columns: int, margin: int):
    grid = plan_grid(size, count, columns=columns, margin=margin)
    rows = min(grid.rows, -(-count // grid.columns))
    height, width = rows * (size[0] + margin) - margin, grid.columns * (size[1] + margin) - margin
    assert max(height, width) <= MAX_SIDE
    assert height * width <= MAX_PIXELS or grid.cells == 1
    assert grid.columns <= columns


def test_pictures_lie_row_by_row_when_they_need_several_sheets():
    names = [str(number) for number in range(7)]
    pictures = [(name, np.full((2, 3, 3), int(name) + 1, np.uint8)) for name in names if name not in "25"]
    grid = Grid(height=2, width=3, columns=2, rows=2, margin=1)
    first, second = lay_on_sheets(names, iter([("other", pictures[0][1]), *pictures]), grid)
    assert (first.shape, second.shape) == ((5, 7, 3), (5, 7, 3))
    corners = [sheet[y, x, 0] for sheet in (first, second) for y in (0, 3) for x in (0, 4)]
    assert corners == [1, 2, 0, 4, 5, 0, 7, 0]
    assert not first[2].any()
    assert not first[:, 3].any()


def test_sheets_are_gray_when_the_pictures_are():
    (sheet,) = lay_on_sheets(["a"], iter([("a", np.ones((2, 3), np.uint8))]), Grid(2, 3, 1, 1, 0))
    assert sheet.shape == (2, 3)
