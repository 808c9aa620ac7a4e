"""Statistics, pages and raw numbers of activations, on maps worked out by hand."""

from typing import Any, cast

import numpy as np
import pytest
from pydantic import ValidationError

from schemas.values.layers import ActivationsOfLayers
from service.engine.arrays import Array
from service.engine.methods.layers.activations import ActivationsParams, activations
from service.errors import ChannelOutOfRangeError, PageOutOfRangeError, TooManyValuesError
from tests.unit.fakes import IDLE, ClosedFormProbe

PROBE = ClosedFormProbe([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])


def _image() -> Array:
    image = np.zeros((4, 6, 3), np.float32)
    image[1, 2, 0] = 12
    image[..., 1] = 5
    return image


def test_statistics_cover_the_layer_when_one_channel_is_shown():
    numbers: Any = activations(PROBE, _image(), ActivationsParams(channel=0), IDLE).numbers
    assert numbers.shape == [4, 6, 3]
    assert numbers.max == 12
    assert numbers.mean == pytest.approx((12 + 24 * 5) / 72)
    assert numbers.sparsity == pytest.approx((23 + 24) / 72)
    assert numbers.dead_channels == [2]
    assert numbers.constant_channels == [1]
    assert numbers.channels == [0]


def test_raw_map_has_the_layer_resolution_when_asked_for():
    one: Any = activations(PROBE, _image(), ActivationsParams(channel=0, values="raw"), IDLE).numbers
    several: Any = activations(PROBE, _image(), ActivationsParams(channels="0-1", values="raw"), IDLE).numbers
    np.testing.assert_array_equal(one.map, _image()[..., 0])
    np.testing.assert_array_equal(several.map, _image()[..., :2])


def test_layers_come_in_the_order_asked_when_there_are_several():
    sheets = activations(PROBE, _image(), ActivationsParams(layers=["scores", "maps"]), IDLE)
    assert [tiles.layer for tiles in sheets.tiles] == ["scores", "maps"]
    assert [own.layer for own in cast("ActivationsOfLayers", sheets.numbers).layers] == ["scores", "maps"]
    assert sheets.tiles[0].values.shape == (2, 1, 1)


def test_default_layer_is_drawn_when_none_is_named():
    assert activations(PROBE, _image(), ActivationsParams(), IDLE).layer == "maps"


def test_scale_is_the_layers_own_when_it_is_shared():
    (tiles,) = activations(PROBE, _image(), ActivationsParams(scale="shared", channel=2), IDLE).tiles
    assert (tiles.scale, tiles.low, tiles.high) == ("bounds", 0, 12)


def test_page_holds_its_channels_when_there_are_several_pages():
    numbers: Any = activations(PROBE, _image(), ActivationsParams(page=2, page_size=2), IDLE).numbers
    assert (numbers.channels, numbers.page, numbers.pages) == ([2], 2, 2)
    with pytest.raises(PageOutOfRangeError):
        activations(PROBE, _image(), ActivationsParams(page=3, page_size=2), IDLE)


def test_channel_is_refused_when_there_is_no_such():
    with pytest.raises(ChannelOutOfRangeError, match="there are 3"):
        activations(PROBE, _image(), ActivationsParams(channel=3), IDLE)
    with pytest.raises(ValidationError, match="exclude"):
        ActivationsParams(channel=1, channels="0-2")


def test_raw_numbers_are_refused_when_they_are_too_many():
    image = np.zeros((700, 700, 3), np.float32)
    with pytest.raises(TooManyValuesError):
        activations(PROBE, image, ActivationsParams(values="raw"), IDLE)
