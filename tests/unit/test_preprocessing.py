"""The preprocessing modes, against the formulas of keras.applications written out by hand."""

import numpy as np
import pytest

from service.models.preprocessing import PRESETS, PreprocessingMode, PreprocessingTable

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
X = PIXELS.astype(np.float64)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", X),
        ("unit", X / 255),
        ("tf", X / 127.5 - 1),
        ("caffe", X[..., ::-1] - [103.939, 116.779, 123.68]),
        ("torch", (X / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]),
    ],
)
def test_mode_equals_its_formula_when_applied(mode: PreprocessingMode, expected: np.ndarray):
    values = PRESETS[mode].apply(PIXELS)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-4)


def test_table_equals_its_formula_when_every_member_is_given():
    table = PreprocessingTable(scale=2, offset=3, mean=(1, 2, 3), std=(4, 5, 6), channel_order="bgr")
    expected = ((X * 2 + 3 - [1, 2, 3]) / [4, 5, 6])[..., ::-1]
    np.testing.assert_allclose(table.to_preprocessing().apply(PIXELS), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("mode", "fits"), [("unit", True), ("tf", True), ("none", True), ("caffe", False)])
def test_gray_fits_when_all_channels_are_treated_alike(mode: PreprocessingMode, fits: bool):  # noqa: FBT001
    assert PRESETS[mode].fits_gray is fits
    if fits:
        gray = PIXELS[..., :1]
        np.testing.assert_array_equal(PRESETS[mode].apply(gray)[..., 0], PRESETS[mode].apply(PIXELS)[..., 0])


def test_gray_fits_when_a_table_gives_single_numbers():
    table = PreprocessingTable(scale=1 / 255, mean=0.1307, std=0.3081).to_preprocessing()
    assert table.fits_gray
    np.testing.assert_allclose(table.apply(PIXELS[..., :1]), (X[..., :1] / 255 - 0.1307) / 0.3081, rtol=1e-5)


def test_gray_stays_as_it_is_when_colours_would_be_turned_around():
    table = PreprocessingTable(scale=1 / 255, channel_order="bgr").to_preprocessing()
    np.testing.assert_allclose(table.apply(PIXELS[..., :1]), X[..., :1] / 255, rtol=1e-6)


def test_zero_std_is_refused_when_it_would_divide():
    with pytest.raises(ValueError, match="must not be 0"):
        PreprocessingTable(std=(1, 0, 1))


@pytest.mark.parametrize("mode", ["none", "unit", "tf", "caffe", "torch"])
def test_pixels_come_back_when_preprocessing_is_undone(mode: PreprocessingMode):
    preprocessing = PRESETS[mode]
    np.testing.assert_allclose(preprocessing.undo(preprocessing.apply(PIXELS)), X / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "span"), [("none", 255), ("unit", 1), ("tf", 2), ("caffe", 255), ("torch", 1 / 0.224)]
)
def test_span_is_that_from_black_to_white_when_units_differ(mode: PreprocessingMode, span: float):
    assert PRESETS[mode].span == pytest.approx(span)
