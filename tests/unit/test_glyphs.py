"""The demo's glyphs: reproducible, centred, each label unlike the others; and their ZIP."""

from collections import Counter

import cv2
import numpy as np
import pytest

from service.demo.glyph_dataset import draw_glyph_files
from service.demo.glyphs import GLYPHS, draw_glyph, draw_glyphs

LABELS = range(len(GLYPHS))
# Above the noise of the ground.
INK = 64


def draw(seed: int, label: int) -> np.ndarray:
    return draw_glyph(np.random.default_rng(seed), label)


@pytest.mark.parametrize("label", LABELS, ids=GLYPHS)
def test_glyph_is_the_same_when_the_seed_is_the_same(label: int):
    first = draw(7, label)
    draw(8, (label + 1) % len(GLYPHS))
    np.testing.assert_array_equal(draw(7, label), first)


def test_glyphs_differ_when_seeds_differ():
    assert len({draw(seed, 0).tobytes() for seed in range(8)}) == 8


@pytest.mark.parametrize("label", LABELS, ids=GLYPHS)
def test_glyph_is_white_on_black_and_centred(label: int):
    for seed in range(20):
        glyph = draw(seed, label)
        assert glyph.shape == (28, 28)
        assert glyph.dtype == np.uint8
        assert glyph.max() > 200
        border = np.concatenate([glyph[0], glyph[-1], glyph[:, 0], glyph[:, -1]])
        assert border.max() < INK
        rows, columns = np.nonzero(glyph > INK)
        assert abs(rows.min() + rows.max() - 27) / 2 <= 2.5
        assert abs(columns.min() + columns.max() - 27) / 2 <= 2.5
        assert 15 <= rows.max() - rows.min() <= 24
        assert 0.04 < (glyph > INK).mean() < 0.45


def test_labels_are_told_apart_when_glyphs_are_compared_with_each_labels_mean():
    glyphs, labels = draw_glyphs(np.random.default_rng(0), 400)
    means = np.stack([glyphs[labels == label].mean(axis=0) for label in LABELS])
    fresh, expected = draw_glyphs(np.random.default_rng(1), 200)
    assert list(expected[:12]) == [*LABELS, 0, 1]
    distances = np.square(fresh[:, None] - means[None]).mean(axis=(2, 3))
    assert (distances.argmin(axis=1) == expected).mean() > 0.95


def test_dataset_has_a_folder_for_each_label_and_is_the_same_every_time():
    first, second = dict(draw_glyph_files()), dict(draw_glyph_files())
    assert first == second
    assert Counter(name.split("/")[0] for name in first) == dict.fromkeys(GLYPHS, 30)
    picture = cv2.imdecode(np.frombuffer(first["A/0.png"], np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape == (28, 28)
