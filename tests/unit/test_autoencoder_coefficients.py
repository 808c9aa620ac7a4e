"""Coefficients on an autoencoder whose latent is the mean of each channel, decoded as flat pictures."""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from schemas.results import Result
from service.engine.arrays import Array
from service.engine.chunks import JobLimits, plan, run_all
from service.engine.images.decoding import ImageLimits
from service.engine.methods import METHODS
from service.engine.model import Model
from service.engine.ports.answers import Kernel
from service.engine.ports.network_info import Latent, LayerInfo
from service.engine.running.request import Request
from service.errors import LayerNotFoundError, TooManyValuesError, UnitOutOfRangeError
from tests.unit.fakes import ClosedFormProbe, autoencoder_model
from tests.unit.test_autoencoder_latents import flat
from tests.unit.test_over_images import dataset

LIMITS = ImageLimits(2**20, 10**6)
METHOD = METHODS["autoencoder-coefficients"]
COLOURS = [(0, 100, 7), (50, 120, 7), (200, 110, 7)]


def _request(**params: Any) -> Request:
    images = dataset([(f"{number}.png", flat(colour)) for number, colour in enumerate(COLOURS)])
    return Request(METHOD, METHOD.params.model_validate(params), None, images=images)


def _run(model: Model, **params: Any) -> Result:
    return run_all(model, _request(**params), LIMITS, JobLimits(), lambda _: None)


class _BrightProbe(ClosedFormProbe):
    """Its gradients are greater the brighter the pictures are, so that no slice of them has those of all."""

    def unit_gradients(self, images: Array, layer: str, units: Sequence[int]) -> Array:
        return super().unit_gradients(images, layer, units) * images.mean()


class _WiredProbe(ClosedFormProbe):
    """Two dense units, `hidden`, see the 4 x 6 x 3 numbers of the picture: the first the last of them alone."""

    KERNEL = np.zeros((1, 1, 72, 2), np.float32)

    def kernels(self, layer: str) -> list[Kernel]:
        return [Kernel(layer, "kernel", self.KERNEL)]


def _models() -> tuple[Model, Model]:
    """One whose latent is not wired to the picture, and one with a dense layer that is."""
    plain = autoencoder_model(probe=_BrightProbe([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))
    means = LayerInfo("means", "GlobalAveragePooling2D", (None, 3), None, None, 0)
    plain.probe.network_info = replace(plain.network_info, layers=(plain.network_info.layers[0], means))  # type: ignore[misc]
    probe = _WiredProbe([[1.0], [0.0], [0.0]])
    hidden = LayerInfo("hidden", "Dense", (None, 2), (72, 2), None, 144)
    latent = Latent("means", (3,), ("hidden",))
    probe.network_info = replace(plain.network_info, layers=(*plain.network_info.layers, hidden), latent=latent)
    probe.KERNEL[0, 0, -1, 0], probe.KERNEL[0, 0, 0, 1] = -4, 2
    return plain, replace(plain, probe=probe)


def test_gradients_are_meant_over_all_pictures_when_no_unit_is_wired():
    result = _run(_models()[0])
    assert (result.values["kind"], result.values["layer"], result.values["units"]) == (
        "mean input gradients",
        "means",
        [0, 1, 2],
    )
    # The fake's gradients are the mean of all numbers over 24 positions.
    assert result.values["max_abs"] == pytest.approx([np.mean(COLOURS) / 24] * 3)
    assert result.values["norm"] == pytest.approx([np.mean(COLOURS) / np.sqrt(24)] * 3)


def test_weights_are_shown_at_the_pictures_size_when_units_are_wired():
    result = _run(_models()[1])
    assert (result.values["kind"], result.values["layer"]) == ("weights", "hidden")
    assert result.values["max_abs"] == [4, 2]
    raw, normalised = (np.asarray(Image.open(io.BytesIO(image.data))) for image in result.images[:2])
    # Two rows of three channels: the first unit sees the last pixel's last channel, the other the first of all.
    height, width = (raw.shape[0] - 2) // 2, (raw.shape[1] - 4) // 3
    for sheet, shades in ((raw, (1, 192)), (normalised, (1, 255))):
        assert (sheet[height - 1, -1], sheet[height + 2, 0]) == shades
        assert sheet[0, 0] == sheet[-1, -1] == sheet[height // 2, width // 2] == 128
        assert sheet[height, 0] == 0


def test_effect_is_a_deviation_of_each_unit_when_the_decoder_is_asked():
    decoder = _run(_models()[1]).values["decoder"]
    deviations = np.std(COLOURS, axis=0)
    assert decoder["units"] == [0, 1, 2]
    assert decoder["std"] == pytest.approx(deviations)
    # A flat picture in one of three channels.
    assert decoder["effect"] == pytest.approx(deviations / np.sqrt(3), abs=1e-4)


def test_request_is_refused_when_units_or_layers_do_not_exist_or_are_too_many():
    model = _models()[0]
    with pytest.raises(UnitOutOfRangeError, match="there are 3"):
        plan(model, _request(units="3"), LIMITS, JobLimits())
    with pytest.raises(LayerNotFoundError):
        plan(model, _request(layer="nothing"), LIMITS, JobLimits())
    model.probe.network_info = replace(model.network_info, input_shape=(1000, 1000, 3))  # type: ignore[misc]
    with pytest.raises(TooManyValuesError, match="fewer 'units'"):
        plan(model, _request(), LIMITS, JobLimits())
