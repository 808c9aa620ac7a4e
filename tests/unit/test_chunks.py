"""Jobs over closed-form networks: how requests are cut, computed and combined, and what is refused at once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.methods import MethodParams
from schemas.results import Provenance, Timings
from schemas.values.base import Values
from service.engine.arrays import Array
from service.engine.chunks import JobLimits, Plan, combine, compute, plan
from service.engine.drawing.visuals import Drawn, Picture, Pictures
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.kinds.context import Context, Reduction, Summary
from service.engine.kinds.method import ItemsMethod
from service.engine.kinds.packing import Chunk
from service.engine.methods import METHODS
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import Probe
from service.engine.running.reduction import Finished
from service.engine.running.request import Request
from service.engine.running.run import run
from service.errors import ImageInvalidError, ImageMissingError, JobTooLargeError, MethodUnavailableError
from tests.unit.fakes import closed_form_model
from tests.unit.test_run import WEIGHTS, a_photo

IMAGES = ImageLimits(max_bytes=2**20, max_pixels=10**6)
JOBS = JobLimits(max_items=6, max_steps=10, max_size=64)


class StripesParams(MethodParams):
    count: int = 5
    steps: int = 1
    size: int | None = None
    seed: int = 3


def _cut(_: Probe, params: StripesParams, __: int) -> list[list[int]]:
    items = list(range(params.count))
    return [items[start : start + 2] for start in range(0, len(items), 2)]


class StripesChunk(Chunk):
    items: list[int]


class StripesValues(Values):
    items: list[int]


def _stripes(_: Probe, __: Array | None, ___: StripesParams, context: Context) -> Pictures:
    context.report(0.5)
    pictures = tuple(Picture(f"stripe-{item}", np.full((2, 3, 3), item / 10, np.float32)) for item in context.items)
    numbers = StripesChunk(items=list(context.items))
    return Pictures("maps", pictures, numbers, resolved={"size": 2}, plan={"device": "CPU"})


def _reduce(chunks: Sequence[StripesChunk], reduction: Reduction, _: StripesParams) -> Summary:
    rows = [pixels for _, pixels in reduction.pictures]
    items = [item for chunk in chunks for item in chunk.items]
    return Summary(iter([Drawn("all", np.concatenate(rows))]), StripesValues(items=items))


def _never(_: NetworkInfo) -> str | None:
    return None


STRIPES = ItemsMethod(
    name="stripes",
    title="Stripes",
    description="For tests.",
    params=StripesParams,
    values=(StripesValues,),
    chunk=StripesChunk,
    unit="count",
    cut=_cut,
    compute=_stripes,
    reduce=_reduce,
    refuse=_never,
)
MODEL = closed_form_model(WEIGHTS)


def _stripes_request(**params: Any) -> Request:
    return Request(STRIPES, StripesParams(**params), None)


def _interactive(method: str, image: bytes | None) -> Request:
    return Request(METHODS[method], METHODS[method].params(), None if image is None else ImageFile(image))


def test_one_chunk_is_planned_when_the_method_has_no_axis():
    assert plan(MODEL, _interactive("grad-cam", a_photo()), IMAGES, JOBS) == Plan("images", [[0]], combines=False)
    assert plan(MODEL, _interactive("filters", None), IMAGES, JOBS) == Plan("results", [[0]], combines=False)


def test_chunk_is_the_synchronous_result_when_the_method_has_no_axis():
    reported: list[float] = []
    request = _interactive("grad-cam", a_photo())
    result = compute(MODEL, request, [0], IMAGES, reported.append)
    expected = run(MODEL, request, IMAGES)
    assert result.images == expected.images
    assert result.values == expected.values
    assert reported == [1.0]


@pytest.mark.parametrize(
    ("image", "error"), [(None, ImageMissingError), (b"no picture", ImageInvalidError)], ids=["missing", "damaged"]
)
def test_plan_refuses_when_the_image_cannot_be_used(image: bytes | None, error: type[Exception]):
    with pytest.raises(error):
        plan(MODEL, _interactive("grad-cam", image), IMAGES, JOBS)


def test_plan_refuses_when_the_method_does_not_work_on_the_model():
    picture_less = replace(STRIPES, refuse=lambda _: "it has no stripes")
    with pytest.raises(MethodUnavailableError, match="it has no stripes"):
        plan(MODEL, Request(picture_less, StripesParams(), None), IMAGES, JOBS)


def test_work_is_cut_when_the_method_has_an_axis():
    assert plan(MODEL, _stripes_request(), IMAGES, JOBS) == Plan("count", [[0, 1], [2, 3], [4]], combines=True)


@pytest.mark.parametrize(("field", "value", "limit"), [("count", 7, 6), ("steps", 11, 10), ("size", 65, 64)])
def test_plan_names_limit_and_parameter_when_the_job_is_too_large(field: str, value: int, limit: int):
    plan(MODEL, _stripes_request(**{field: limit}), IMAGES, JOBS)
    with pytest.raises(JobTooLargeError, match=f"{value}.*{limit}") as raised:
        plan(MODEL, _stripes_request(**{field: value}), IMAGES, JOBS)
    assert (raised.value.field, raised.value.code) == (field, "job_too_large")


def test_chunk_holds_its_items_when_the_method_has_an_axis():
    reported: list[float] = []
    result = compute(MODEL, _stripes_request(), [2, 3], IMAGES, reported.append)
    assert [(image.name, image.layer, image.width, image.height) for image in result.images] == [
        ("stripe-2", "maps", 3, 2),
        ("stripe-3", "maps", 3, 2),
    ]
    assert (result.layer, result.values, reported) == ("maps", {"items": [2, 3]}, [0.5, 1.0])
    assert result.provenance.seed == 3
    assert result.provenance.params == {"count": 5, "steps": 1, "size": 2, "seed": 3, "layer": "maps"}
    assert result.provenance.plan == {"device": "CPU"}


def test_work_stops_when_the_report_raises():
    def stop(_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        compute(MODEL, _stripes_request(), [0], IMAGES, stop)


def test_whole_has_all_numbers_and_its_own_pictures_when_chunks_are_combined():
    request = _stripes_request()
    parts = [compute(MODEL, request, items, IMAGES, lambda _: None) for items in ([0, 1], [2, 3], [4])]
    pictures = ((f"stripe-{item}", np.full((2, 3, 3), item, np.uint8)) for item in range(5))
    whole = combine(MODEL, request, Finished(parts, pictures, lambda _: None), IMAGES)
    assert whole.values == {"items": [0, 1, 2, 3, 4]}
    assert [(image.name, image.layer, image.width, image.height) for image in whole.images] == [("all", "maps", 3, 10)]
    assert whole.timings_seconds.compute == pytest.approx(sum(part.timings_seconds.compute for part in parts))
    assert (whole.provenance, whole.layer) == (parts[0].provenance, "maps")


def test_every_device_is_told_when_chunks_were_computed_on_different_ones():
    request = _stripes_request()
    parts = [compute(MODEL, request, [item], IMAGES, lambda _: None) for item in range(3)]
    parts[1] = _computed_on(parts[1], "GPU")
    finished = Finished(parts, iter([("a", np.zeros((1, 1, 3), np.uint8))]), lambda _: None)
    assert combine(MODEL, request, finished, IMAGES).provenance.plan == {"device": ["CPU", "GPU"]}


def _computed_on(part: Any, device: str) -> Any:
    provenance: Provenance = part.provenance.model_copy(update={"plan": {"device": device}})
    timings = Timings(decode=0, queue=0, compute=0, render=0)
    return part.model_copy(update={"provenance": provenance, "timings_seconds": timings})
