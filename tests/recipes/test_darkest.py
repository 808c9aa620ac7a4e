"""Darkest on three flat pictures."""

from service.engine.methods.layers.darkest import DARKEST, DarkestParams

from service.engine.chunks import JobLimits, run_all
from service.engine.images.decoding import ImageLimits
from service.engine.running.request import Request
from tests.unit.fakes import closed_form_model
from tests.unit.test_autoencoder_latents import flat
from tests.unit.test_over_images import dataset


def test_darkest_comes_first_and_is_shown():
    images = dataset([(f"{value}.png", flat((value,) * 3)) for value in (90, 10, 200)])
    request = Request(DARKEST, DarkestParams(shown=2), None, images=images)
    result = run_all(closed_form_model([[1.0], [0.0], [0.0]]), request, ImageLimits(2**20, 10**6), JobLimits(), print)
    assert [one["name"] for one in result.values["darkest"]] == ["10.png", "90.png"]
    assert [image.name for image in result.images] == ["darkest"]
    assert result.values["images"] == 3
