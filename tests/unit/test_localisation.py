"""Heat in the object, by hand."""

import numpy as np
import pytest

from service.engine.annotations.localisation import localise


def _mask(*places: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((2, 4), np.bool_)
    for place in places:
        mask[place] = True
    return mask


def _object(energy: float, area: float, *, pointing: bool) -> dict[str, object]:
    return {"file": "masks/1.png", "energy": pytest.approx(energy), "pointing": pointing, "area": area}


def test_energy_is_the_share_in_the_object_when_map_and_picture_have_one_size():
    heat = np.array([[1, 2, 0, 0], [0, 4, 0, 3]], np.float32)
    assert dict(localise(heat, _mask((0, 1), (1, 1)), "masks/1.png")) == _object(0.6, 0.25, pointing=True)
    assert dict(localise(heat, _mask((1, 3)), "masks/1.png")) == _object(0.3, 0.125, pointing=False)


def test_map_is_resized_as_the_overlay_is_when_the_picture_is_larger():
    # With half-pixel centres a step from 0 to 1 becomes 0, 1/4, 3/4, 1 in each row.
    heat = np.array([[0, 1]], np.float32)
    assert dict(localise(heat, _mask((0, 2), (1, 2)), "masks/1.png")) == _object(0.375, 0.25, pointing=False)
    assert localise(heat, _mask((0, 3), (1, 3)), "masks/1.png").pointing


def test_energy_is_the_area_when_heat_is_everywhere_the_same():
    found = localise(np.ones((3, 5), np.float32), _mask((0, 0), (1, 1), (1, 2)), "masks/1.png")
    assert found.energy == pytest.approx(found.area) == 0.375


def test_nothing_is_found_when_the_map_is_empty():
    assert dict(localise(np.zeros((3, 5), np.float32), _mask((0, 0)), "masks/1.png")) == _object(
        0.0, 0.125, pointing=False
    )
