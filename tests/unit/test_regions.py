"""Outlines, boxes and run lengths drawn as pixels, counted by hand and against OpenCV."""

import cv2
import numpy as np
import pytest

from service.engine.annotations.regions import (
    Annotation,
    Polygon,
    RunLengths,
    Shape,
    Thing,
    box,
    draw,
    fit_mask,
)
from service.errors import AnnotationInvalidError


def _annotation(*shapes: Shape, frame: tuple[int, int] | None = None) -> Annotation:
    return Annotation("notes.json", tuple(Thing(None, (shape,)) for shape in shapes), frame)


def _polygon(*points: tuple[float, float]) -> Polygon:
    return Polygon(np.array(points, np.float64))


def _rows(mask: np.ndarray) -> list[str]:
    return ["".join(".#"[int(pixel)] for pixel in row) for row in mask]


def test_box_takes_the_pixels_whose_centre_is_in_it():
    assert _rows(draw(_annotation(box(1, 1, 3, 2)), (3, 5))) == [".....", ".##..", "....."]
    assert _rows(draw(_annotation(box(1.4, 0.6, 3.6, 2.4)), (3, 5))) == [".....", ".###.", "....."]


def test_box_is_cut_off_when_it_reaches_over_the_edge():
    assert _rows(draw(_annotation(box(-2, -1, 1, 1)), (2, 3))) == ["#..", "..."]
    assert _rows(draw(_annotation(box(1, 1, 900, 900)), (2, 3))) == ["...", ".##"]


def test_outline_is_filled_when_it_is_no_box():
    diamond = _polygon((2.5, 0), (5, 2.5), (2.5, 5), (0, 2.5))
    assert _rows(draw(_annotation(diamond), (5, 5))) == ["..#..", ".###.", "#####", ".###.", "..#.."]


def test_outline_is_what_opencv_draws_when_its_edge_is_left_out():
    generator = np.random.default_rng(0)
    for _ in range(20):
        # Around the middle, so that no two edges cross.
        angles, radii = np.sort(generator.uniform(0, 2 * np.pi, 9)), generator.uniform(5, 31, 9)
        points = 32 + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        ours = draw(_annotation(Polygon(points)), (64, 64))
        large = np.zeros((64 * 8, 64 * 8), np.uint8)
        cv2.fillPoly(large, [np.rint(points * 8 - 0.5).astype(np.int32)], 1)
        theirs = cv2.resize(large.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
        assert (ours & (theirs < 0.1)).sum() + (~ours & (theirs > 0.9)).sum() == 0


def test_objects_are_one_mask_when_they_overlap():
    assert _rows(draw(_annotation(box(0, 0, 2, 2), box(1, 0, 3, 1)), (2, 4))) == ["###.", "##.."]


def test_run_lengths_go_down_the_columns():
    runs = RunLengths((2, 3), np.array([1, 3, 2]))
    assert _rows(draw(_annotation(runs), (2, 3))) == [".#.", "##."]
    assert _rows(draw(_annotation(runs), (4, 6))) == ["..##..", "..##..", "####..", "####.."]


def test_places_are_scaled_when_the_picture_is_larger_than_the_file_says():
    assert _rows(draw(_annotation(box(1, 0, 2, 1), frame=(2, 3)), (4, 6))) == ["..##..", "..##..", "......", "......"]
    with pytest.raises(AnnotationInvalidError, match=r"'notes.json' is for a picture of 3 x 2 pixels.*has 6 x 8"):
        draw(_annotation(box(1, 0, 2, 1), frame=(2, 3)), (8, 6))


@pytest.mark.parametrize("outside", [box(6, 0, 9, 2), box(0, 4, 2, 5), box(-4, 0, -1, 2), box(0, -3, 2, -1)])
def test_object_is_refused_when_it_lies_outside_the_picture(outside: Polygon):
    with pytest.raises(AnnotationInvalidError, match="outside its picture of 6 x 4"):
        draw(_annotation(outside), (4, 6))


def test_objects_are_refused_when_drawing_them_would_take_long():
    many = np.random.default_rng(0).uniform(0, 60_000, (10_000, 2))
    with pytest.raises(AnnotationInvalidError, match="more objects"):
        draw(_annotation(Polygon(many)), (6_000, 6_000))
    runs = RunLengths((8_000, 8_000), np.array([64_000_000]))
    with pytest.raises(AnnotationInvalidError, match="more objects"):
        draw(_annotation(*[runs] * 20), (8, 8))


def test_mask_is_resized_when_its_picture_has_the_same_aspect():
    mask = np.array([[True, False], [False, True]])
    assert _rows(fit_mask(mask, (4, 4), "m.png")) == ["##..", "##..", "..##", "..##"]
    # 100 x 67 is 50 x 33.5: rounded either way it fits.
    for height in (33, 34):
        assert fit_mask(np.ones((height, 50), np.bool_), (67, 100), "m.png").all()
    with pytest.raises(AnnotationInvalidError, match=r"'m\.png'"):
        fit_mask(np.ones((40, 50), np.bool_), (67, 100), "m.png")


def test_objects_are_those_of_the_first_name_that_is_among_them():
    things = (Thing("cat", ()), Thing("Great_Dane", ()), Thing("great dane", ()), Thing(None, ()))
    annotation = Annotation("a.xml", things)
    assert annotation.about(["tiger", "great-dane", "cat"]).things == things[1:3]
    assert annotation.about(["tiger"]).things == things
