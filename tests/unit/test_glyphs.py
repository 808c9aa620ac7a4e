"""The demo's glyphs: reproducible, centred, each label unlike the others; and their ZIP."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.demo.glyphs import GLYPHS, draw_glyph, draw_glyphs, write_glyphs

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


def test_zip_holds_a_folder_per_label_when_it_is_written(tmp_path: Path):
    write_glyphs(tmp_path / "glyphs.zip", np.random.default_rng(0), per_label=3)
    with zipfile.ZipFile(tmp_path / "glyphs.zip") as archive:
        assert archive.namelist() == [f"{name}/000{number}.png" for name in GLYPHS for number in (1, 2, 3)]
        first = cv2.imdecode(np.frombuffer(archive.read("A/0001.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(first, draw(0, 0))


def test_zip_is_the_same_when_the_seed_is_the_same(tmp_path: Path):
    files = [tmp_path / "one.zip", tmp_path / "two.zip"]
    for file in files:
        write_glyphs(file, np.random.default_rng(5), per_label=2)
    assert files[0].read_bytes() == files[1].read_bytes()
