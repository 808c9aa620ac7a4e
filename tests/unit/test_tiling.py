"""Laying tiles out: the tutorials' scaling, no channel lost, and pictures large enough to read."""

import numpy as np
import pytest

from service.engine.arrays import Array
from service.engine.drawing.tiling import lay_out, signed_shades
from service.engine.drawing.visuals import Tiles


def _tiles(values: Array, scale: str = "standard", **others: object) -> Tiles:
    return Tiles("maps", "conv", values, scale, **others)  # type: ignore[arg-type]


def _random(*shape: int) -> Array:
    return np.random.default_rng(0).normal(3, 5, shape).astype(np.float32)


def test_tile_is_scaled_as_in_the_tutorials_when_it_varies():
    values = _random(5, 40, 48)
    sheet = lay_out(_tiles(values), columns=16, margin=0)
    tile = values[3].astype(np.float64)
    expected = np.clip((tile - tile.mean()) / tile.std() * 64 + 128, 0, 255)
    np.testing.assert_allclose(sheet[:, 3 * 48 : 4 * 48], expected, atol=1.01)


@pytest.mark.parametrize("count", [1, 3, 15, 16, 17, 100])
def test_every_tile_has_its_place_when_the_last_row_is_not_full(count: int):
    values = np.arange(count, dtype=np.float32)[:, None, None] + np.zeros((count, 40, 33), np.float32)
    sheet = lay_out(_tiles(values, "bounds", low=0, high=255), columns=16, margin=0)
    rows, columns = -(-count // 16), min(count, 16)
    zoom = 7 if count == 1 else 1
    assert sheet.shape == (rows * 40 * zoom, columns * 33 * zoom)
    for index in range(count):
        row, column = divmod(index, 16)
        assert (sheet[row * 40 : row * 40 + 40, column * 33 : column * 33 + 33] == index).all()
    assert not sheet[(rows - 1) * 40 :, (count - 1) % 16 * 33 + 33 :].any() or columns < 16


def test_constant_tile_is_flat_when_its_channel_is_dead_or_always_answers_alike():
    values = _random(4, 40, 40)
    values[1] = 0.0
    values[3] = 0.1  # not exact in float32: its deviation is not quite zero
    sheet = lay_out(_tiles(values), columns=4, margin=0)
    assert not sheet[:, 40:80].any()
    assert np.unique(sheet[:, 120:]).tolist() == [128]
    assert sheet[:, :40].std() > 10


def test_input_is_left_alone_when_it_is_scaled():
    values = _random(4, 8, 8)
    before = values.copy()
    lay_out(_tiles(values), columns=2, margin=1)
    np.testing.assert_array_equal(values, before)


def test_bounds_are_black_and_white_when_all_tiles_share_a_scale():
    values = np.array([[[-2.0]], [[0.0]], [[2.0]]], np.float32)
    sheet = lay_out(_tiles(values, "bounds", low=-2, high=2), columns=3, margin=0)
    assert sheet[0, ::48].tolist() == [0, 128, 255]


def test_sheet_is_black_when_all_weights_are_equal():
    assert not lay_out(_tiles(np.ones((2, 3, 3), np.float32), "bounds", low=1, high=1), columns=2, margin=0).any()


def test_margin_lies_between_tiles_when_there_is_one():
    sheet = lay_out(_tiles(np.full((4, 32, 32), 2, np.float32), "bounds", low=0, high=2), columns=2, margin=3)
    assert sheet.shape == (67, 67)
    assert not sheet[32:35].any()
    assert not sheet[:, 32:35].any()
    assert (sheet[:32, 35:] == 255).all()


def test_colours_stay_apart_when_tiles_are_rgb():
    values = np.zeros((2, 3, 3, 3), np.float32)
    values[0, ..., 0] = values[1, ..., 2] = 1
    sheet = lay_out(_tiles(values, "bounds"), columns=2, margin=0)
    assert sheet.shape == (33, 66, 3)
    assert sheet[0, 0].tolist() == [255, 0, 0]
    assert sheet[0, 65].tolist() == [0, 0, 255]


def test_rows_follow_the_layout_when_it_has_a_meaning():
    sheet = lay_out(_tiles(_random(6, 40, 40), columns=3), columns=16, margin=0)
    assert sheet.shape == (80, 120)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((10, 128), (100, 1280)),
        ((128, 10), (1280, 100)),
        ((6, 6), (258, 258)),
        ((2, 3), (172, 258)),
        ((1, 2000), (1, 2000)),
    ],
)
def test_single_tile_can_be_read_when_it_is_long_and_narrow(shape: tuple[int, int], expected: tuple[int, int]):
    assert lay_out(_tiles(_random(1, *shape)), columns=1, margin=0).shape == expected


def test_zero_is_in_the_middle_when_tiles_have_a_sign():
    values = np.array([-2.0, -1.0, 0.0, 0.5, 2.0], np.float32)[:, None, None]
    assert signed_shades(values, 2.0).ravel().tolist() == [1, 64, 128, 160, 255]
    assert signed_shades(values, 0.0).ravel().tolist() == [128] * 5
