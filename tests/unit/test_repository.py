"""What is found in a repository folder, by looking at it."""

from pathlib import Path

import pytest

from service.models.sources.repository import find_models, find_versions


def _write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_versions_come_newest_first_when_there_are_several(tmp_path: Path):
    for version in ("1", "2", "10"):
        _write(tmp_path / "cats" / version / "model.keras")
    assert [found.version for found in find_versions(tmp_path, "cats")] == ["10", "2", "1"]


def test_file_is_version_one_when_it_lies_straight_in_the_model_folder(tmp_path: Path):
    _write(tmp_path / "cats" / "anything.h5")
    (found,) = find_versions(tmp_path, "cats")
    assert (found.version, found.file) == ("1", tmp_path / "cats" / "anything.h5")


def test_model_keras_wins_when_several_files_lie_there(tmp_path: Path):
    _write(tmp_path / "cats" / "1" / "model.keras")
    _write(tmp_path / "cats" / "1" / "old.h5")
    assert find_versions(tmp_path, "cats")[0].file == tmp_path / "cats" / "1" / "model.keras"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["a.h5", "b.h5"], "several model files (a.h5, b.h5)"),
        (["notes.txt"], "no .keras"),
        (["saved_model.pb"], "SavedModel"),
        (["model.keras/saved_model.pb"], "SavedModel"),
    ],
)
def test_problem_is_told_when_a_version_has_no_single_file(tmp_path: Path, files: list[str], problem: str):
    for name in files:
        _write(tmp_path / "cats" / "1" / name)
    (found,) = find_versions(tmp_path, "cats")
    assert found.file is None
    assert problem in (found.problem or "")


def test_folders_are_passed_over_when_they_hold_no_models(tmp_path: Path):
    for name in ("cats", ".hidden", "dogs-1.0_x"):
        _write(tmp_path / name / "1" / "model.keras")
    _write(tmp_path / "some notes" / "readme.txt")
    _write(tmp_path / "readme.txt")
    assert list(find_models(tmp_path)) == ["cats", "dogs-1.0_x"]


def test_reason_is_told_when_a_model_lies_where_none_is_looked_for(tmp_path: Path):
    _write(tmp_path / "loose.keras")
    _write(tmp_path / "with space" / "1" / "model.keras")
    assert list(find_models(tmp_path)) == ["loose", "with-space"]
    (loose,), (spaced,) = find_versions(tmp_path, "loose"), find_versions(tmp_path, "with-space")
    assert loose.file is spaced.file is None
    assert loose.problem == "'loose.keras' lies straight in the repository: move it to loose/1/loose.keras"
    assert spaced.problem == "'with space' is no name of a model (A-Z a-z 0-9 . _ -): call the folder with-space"


def test_file_is_found_when_its_ending_is_in_capitals(tmp_path: Path):
    _write(tmp_path / "cats" / "1" / "MODEL.H5")
    assert find_versions(tmp_path, "cats")[0].file == tmp_path / "cats" / "1" / "MODEL.H5"


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "cats/../cats", "\x00"])
def test_nothing_is_found_when_the_name_would_leave_the_folder(tmp_path: Path, name: str):
    _write(tmp_path / "cats" / "1" / "model.keras")
    assert find_versions(tmp_path / "cats", name) == []


def test_nothing_is_found_when_the_folder_is_missing(tmp_path: Path):
    assert list(find_models(tmp_path / "nowhere")) == []


def test_weights_of_applications_are_no_models_when_they_lie_straight_in_the_repository(tmp_path: Path):
    for name in ("efficientnetb0.h5", "vgg16_weights_tf_dim_ordering_tf_kernels.h5", "efficientnetb0-mine.h5"):
        (tmp_path / name).touch()
    assert list(find_models(tmp_path)) == ["efficientnetb0-mine"]
    assert find_versions(tmp_path, "efficientnetb0") == []
