"""Resizing, colouring, blending and encoding, against float64 NumPy."""

import io

import numpy as np
import pytest
from PIL import Image

from schemas.rendering import HeatmapRendering, TilesRendering
from schemas.values.base import to_json
from service.engine.drawing.colormaps import lookup_table
from service.engine.drawing.rendering import draw_heatmap, draw_tiles, measure_heatmap
from service.engine.drawing.visuals import Heatmap, Tiles
from service.engine.ports.answers import Scores, Target


def _heatmap(values: object) -> Heatmap:
    return Heatmap(np.asarray(values, np.float32), "conv", Target(0, 0.5, "logit", 1.0), Scores(np.ones(2, np.float32)))


def _bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Half-pixel centres, edges repeated, in float64."""

    def axis(size: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        position = np.clip((np.arange(new) + 0.5) * size / new - 0.5, 0, size - 1)
        low = np.floor(position).astype(int)
        return low, np.minimum(low + 1, size - 1), position - low

    y0, y1, fy = axis(values.shape[0], height)
    x0, x1, fx = axis(values.shape[1], width)
    rows = values[y0] * (1 - fy)[:, None] + values[y1] * fy[:, None]
    return rows[:, x0] * (1 - fx) + rows[:, x1] * fx


def _decode(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.parametrize("size", [(80, 60), (70, 50), (33, 96), (64, 1)])
def test_heatmap_is_resized_with_half_pixel_centres_when_the_picture_has_another_size(size: tuple[int, int]):
    values = np.random.default_rng(0).random((7, 5))
    picture = np.zeros((*size, 3), np.uint8)
    _, heatmap = draw_heatmap(_heatmap(values), picture, HeatmapRendering())
    expected = _bilinear(values.astype(np.float32).astype(np.float64), *size)
    # At most one level beside float64: a product near .5 may round either way.
    difference = np.abs(heatmap.pixels.astype(int) - np.rint(255 * expected / expected.max()))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_overlay_blends_without_renormalising_when_opacity_is_given():
    values = np.linspace(0, 1, 12).reshape(3, 4)
    picture = np.random.default_rng(1).integers(0, 256, (66, 88, 3), dtype=np.uint8)
    rendering = HeatmapRendering(colormap="viridis", opacity=0.3)
    overlay, heatmap = draw_heatmap(_heatmap(values), picture, rendering)
    colours = lookup_table("viridis")[heatmap.pixels].astype(float)
    np.testing.assert_allclose(overlay.pixels, 0.3 * colours + 0.7 * picture, atol=0.51)


@pytest.mark.parametrize("opacity", [0, 1])
def test_overlay_is_one_of_both_when_opacity_is_extreme(opacity: float):
    picture = np.full((66, 88, 3), 90, np.uint8)
    overlay, heatmap = draw_heatmap(_heatmap(np.eye(3, 4)), picture, HeatmapRendering(opacity=opacity))
    expected = lookup_table("inferno")[heatmap.pixels] if opacity else picture
    np.testing.assert_array_equal(overlay.pixels, expected)


def test_picture_is_enlarged_with_its_pixels_kept_when_it_is_tiny():
    picture = np.random.default_rng(2).integers(0, 256, (28, 20, 3), dtype=np.uint8)
    overlay, heatmap = draw_heatmap(_heatmap(np.eye(7, 5)), picture, HeatmapRendering(opacity=0))
    assert overlay.pixels.shape == (224, 160, 3)
    assert heatmap.pixels.shape == (224, 160)
    np.testing.assert_array_equal(overlay.pixels[::8, ::8], picture)
    np.testing.assert_array_equal(overlay.pixels[7::8, 7::8], picture)


def test_map_is_never_blue_when_its_colours_have_two_signs():
    _, heatmap = draw_heatmap(
        _heatmap(np.eye(3, 3)), np.zeros((90, 90, 3), np.uint8), HeatmapRendering(colormap="coolwarm")
    )
    assert heatmap.palette is not None
    colours = heatmap.palette[heatmap.pixels].astype(int)
    assert (heatmap.pixels.min(), heatmap.pixels.max()) == (128, 255)
    assert (colours[..., 0] >= colours[..., 2]).all()


def test_scale_is_shared_when_it_is_fixed():
    picture = np.zeros((2, 2, 3), np.uint8)
    rendering = HeatmapRendering(scale="fixed", scale_max=4.0)
    _, half = draw_heatmap(_heatmap(np.full((2, 2), 2.0)), picture, rendering)
    _, over = draw_heatmap(_heatmap(np.full((2, 2), 9.0)), picture, rendering)
    assert np.unique(half.pixels).tolist() == [128]
    assert np.unique(over.pixels).tolist() == [255]


def test_map_is_drawn_empty_when_there_is_no_evidence():
    heatmap = _heatmap(np.zeros((3, 3)))
    _, drawn = draw_heatmap(heatmap, np.zeros((6, 6, 3), np.uint8), HeatmapRendering())
    numbers = measure_heatmap(heatmap, HeatmapRendering())
    assert not drawn.pixels.any()
    assert numbers.empty is True
    assert "another layer" in (numbers.reason or "")


def test_raw_map_is_given_unscaled_when_asked_for():
    values = [[0.0, 3.5], [1.25, 7.0]]
    assert to_json(measure_heatmap(_heatmap(values), HeatmapRendering(values="raw"))) == {
        "min": 0.0,
        "max": 7.0,
        "shape": [2, 2],
        "empty": False,
        "map": values,
    }


def test_colours_are_rgb_when_a_table_is_looked_up():
    # Ends of the published tables (viridis and inferno: van der Walt and Smith, matplotlib; jet: blue to red).
    assert lookup_table("viridis")[0].tolist() == [68, 1, 84]
    assert lookup_table("viridis")[255].tolist() == [253, 231, 37]
    assert lookup_table("inferno")[255].tolist() == [252, 255, 164]
    blue, red = lookup_table("jet")[0], lookup_table("jet")[255]
    assert blue[2] > 100 > blue[0]
    assert red[0] > 100 > red[2]


def test_signs_have_colours_when_the_map_is_diverging():
    values = np.asarray([[[-1, 0], [2, -2]], [[1, 0.5], [0, 0]]], np.float32)
    tiles = Tiles("weights", "conv", values, "bounds", low=-2, high=1)
    drawing = draw_tiles(tiles, TilesRendering(colormap="coolwarm", columns=2, margin=2), "rgb")
    # Tiles are enlarged to 32 pixels.
    shades = drawing.pixels[8::16]
    assert shades[0, [0, 16]].tolist() == [64, 128]
    assert shades[1, [0, 16]].tolist() == [254, 1]
    assert shades[0, 32:34].tolist() == [0, 0]
    assert drawing.palette is not None
    assert drawing.palette[0].tolist() == [255, 255, 255], "between tiles is white"
    blue, gray, red = lookup_table("coolwarm")[[0, 128, 255]].tolist()
    assert (blue, red) == ([59, 76, 192], [180, 4, 38])
    assert max(gray) - min(gray) <= 2


def test_colours_of_a_picture_stay_when_the_map_is_diverging():
    values = np.random.default_rng(0).random((2, 3, 3, 3)).astype(np.float32)
    tiles = Tiles("rgb", "conv", values, "bounds", low=0, high=1)
    plain, signed = (draw_tiles(tiles, TilesRendering(colormap=name), "rgb") for name in ("gray", "coolwarm"))
    np.testing.assert_array_equal(plain.pixels, signed.pixels)
