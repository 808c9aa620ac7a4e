"""The demo's scenes: reproducible, labelled truthfully, and masked where the object is."""

import cv2
import numpy as np
import pytest

from service.demo.outlines import OUTLINES
from service.demo.scenes import CLASSES, Scene, draw_scene
from service.demo.textures import TEXTURES

LABELS = range(len(CLASSES))


def draw(seed: int, **options: int) -> Scene:
    return draw_scene(np.random.default_rng(seed), **options)


def test_scene_is_the_same_when_the_seed_is_the_same() -> None:
    first, second = draw(7), draw(7)
    assert first.label == second.label
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.mask, second.mask)


def test_scenes_differ_when_seeds_differ() -> None:
    images = [draw(seed, label=0).image for seed in range(8)]
    assert len({image.tobytes() for image in images}) == len(images)


def test_generator_draws_another_scene_when_asked_again() -> None:
    generator = np.random.default_rng(0)
    assert not np.array_equal(draw_scene(generator).image, draw_scene(generator).image)


def test_every_class_appears_when_no_label_is_given() -> None:
    generator = np.random.default_rng(0)
    assert {draw_scene(generator).label for _ in range(150)} == set(LABELS)


def test_textures_are_classes() -> None:
    assert set(TEXTURES) < set(CLASSES)


@pytest.mark.parametrize("size", [96, 384])
@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
def test_scene_has_the_promised_form_when_a_label_is_given(label: int, size: int) -> None:
    scene = draw(label, label=label, size=size)
    assert scene.label == label
    assert scene.image.shape == (size, size, 3)
    assert scene.image.dtype == np.uint8
    assert scene.mask.shape == (size, size)
    assert scene.mask.dtype == np.bool_


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
def test_object_fills_a_sensible_share_and_is_whole(label: int) -> None:
    for seed in range(8):
        mask = draw(seed, label=label).mask
        assert 0.03 < mask.mean() < 0.32
        assert not np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any()
        # One piece, and without holes: the background is one piece, too.
        assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
        assert cv2.connectedComponents((~mask).astype(np.uint8))[0] == 2


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
def test_scene_is_the_same_when_drawn_at_another_size(label: int) -> None:
    small, large = draw(3, label=label, size=96), draw(3, label=label, size=384)
    shrunk = cv2.resize(large.image, (96, 96), interpolation=cv2.INTER_AREA).astype(float)
    assert np.abs(shrunk - small.image).mean() < 6.0
    mask = cv2.resize(large.mask.astype(np.float32), (96, 96), interpolation=cv2.INTER_AREA) >= 0.5
    assert (mask & small.mask).sum() / (mask | small.mask).sum() > 0.95


@pytest.mark.parametrize("label", LABELS, ids=CLASSES)
def test_image_changes_just_where_the_masks_are_when_another_object_is_drawn(label: int) -> None:
    """Scenes of one seed share their clutter, so that their difference shows where the objects really are."""
    for seed in range(3):
        scene, other = draw(seed, label=label), draw(seed, label=(label + 1) % len(CLASSES))
        difference = np.abs(scene.image.astype(int) - other.image).max(axis=2)
        elsewhere = ~_grow(scene.mask | other.mask, 17)
        assert difference[elsewhere].mean() < 8.0
        solid = ~_grow(~scene.mask, 3) & ~_grow(other.mask, 9)
        if CLASSES[label] != "ring" and solid.sum() > 20:
            assert difference[solid].mean() > 30.0


@pytest.mark.parametrize("name", OUTLINES)
def test_outline_stays_in_the_unit_disc(name: str) -> None:
    for contour in OUTLINES[name](np.random.default_rng(0)):
        assert np.linalg.norm(contour, axis=1).max() <= 1.0 + 1e-6


def _grow(mask: np.ndarray, side: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(bool)
