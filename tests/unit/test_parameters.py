"""What is told of parameters that do not validate, however many they are."""

from typing import Any

import pytest

from service.engine.methods.heatmaps.grad_cam import GradCamParams
from service.engine.nearest import MAX_LENGTH, find_nearest
from service.engine.parameters import InvalidParametersError, validate


def _refuse(given: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidParametersError) as caught:
        validate(GradCamParams, given)
    return [f"{error.pointer} {error.detail}" for error in caught.value.errors]


def test_five_are_explained_and_the_rest_counted_when_many_are_unknown() -> None:
    errors = _refuse({"opacity": 2} | {f"colourmap{number}": "gray" for number in range(1000)})
    assert len(errors) == 7
    assert errors[0].startswith("#/opacity ")
    assert errors[1] == "#/colourmap0 unknown parameter; nearest: 'colormap'"
    assert errors[-1] == "# 995 more parameters are unknown"


def test_name_is_cut_when_it_is_long() -> None:
    (error,) = _refuse({"x" * 100_000: 1})
    assert len(error) < 400


def test_text_is_refused_when_it_is_longer_than_any_that_means_something() -> None:
    assert _refuse({"layer": "0" * 100_000}) == ["#/layer at most 65536 characters are taken"]


def test_nothing_is_nearest_when_a_name_is_too_long_to_be_misspelt() -> None:
    assert find_nearest("a" * MAX_LENGTH, ["a" * MAX_LENGTH]) == ["a" * MAX_LENGTH]
    assert find_nearest("a" * MAX_LENGTH + "a", ["a" * MAX_LENGTH]) == []
