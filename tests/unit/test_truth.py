"""What a folder's name means to a model."""

import pytest

from service.engine.annotations.ground_truth import find_class, same_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Tiger cat", 1),
        ("tiger_cat", 1),
        ("TIGER--CAT", 1),
        ("crane", None),
        ("7", 3),
        ("2", 2),
        ("4", None),
        ("-1", None),
        ("²", None),
        ("photos", None),
        ("", None),
    ],
)
def test_class_is_found_by_label_first_then_by_index(name: str, expected: int | None):
    # `7` is the label of class 3; `crane` that of two.
    assert find_class(name, ("crane", "tiger cat", "crane", "7"), 4) == expected


def test_class_is_found_by_index_alone_when_the_model_has_no_labels():
    assert find_class("3", None, 4) == 3
    assert find_class("cat", None, 4) is None


def test_names_are_the_same_when_case_and_gaps_differ_alone():
    assert same_name("Great_White-Shark", "great white shark")
    assert not same_name("shark", "sharks")
