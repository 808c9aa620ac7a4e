"""The commands of docs/tutorials, one by one, on the models and photos that they name."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from service.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "README.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]
MODELS = {
    "cats-and-dogs": (
        "legacy/cats_and_dogs_small_1__bwd_keras2.1.6.h5",
        'preprocessing = "unit"\nlabels = ["cat", "dog"]',
    ),
    "squeezenet": ("squeezenet_v1.1_imagenet.keras", 'preprocessing = "caffe"\nlabels = "imagenet"'),
    "vgg16": ("vgg16_blocks1_2_imagenet.keras", 'preprocessing = "caffe"'),
}
PHOTOS = {"cat.png": "skimage_chelsea.png", "elephant.jpg": "creative_commons_elephant.jpg"}


@pytest.fixture(scope="module")
def folder(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page says is there."""
    folder = tmp_path_factory.mktemp("tutorials")
    for name, (file, card) in MODELS.items():
        place = folder / "models" / name / "1"
        place.mkdir(parents=True)
        (place / f"model{Path(file).suffix}").symlink_to((test_data / "models" / file).resolve())
        (place.parent / "model.toml").write_text(card)
    for name, photo in PHOTOS.items():
        (folder / name).symlink_to((test_data / "images" / "photos" / photo).resolve())
    return folder


@pytest.fixture(scope="module")
def sheets(folder: Path) -> dict[str, tuple[int, int]]:
    """Runs every command in turn; the size of each picture by its path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CONVSCOPE_MODELS", "models")
        for command in COMMANDS:
            program, *arguments = shlex.split(command)
            assert program == "convscope"
            done = CliRunner().invoke(main, arguments, catch_exceptions=False, prog_name="convscope")
            assert done.exit_code == 0, (command, done.output)
    found = {}
    for path in (folder / "out").rglob("*.png"):
        with Image.open(path) as image:
            # Channels 3 and 4 are silent on this photo, as the page says.
            is_silent = path.parent.name in ("channel-3", "channel-4")
            assert (np.ptp(np.asarray(image)) == 0) == is_silent, path
            found[path.relative_to(folder / "out").as_posix()] = image.size
    return found


def test_eight_layers_are_grids_of_sixteen_channels_in_a_row(sheets: dict[str, tuple[int, int]]):
    layers = {name: size for name, size in sheets.items() if name.startswith("layers/")}
    assert len(layers) == 8
    assert layers["layers/cat-activations-conv2d_4.png"] == (16 * 48, 2 * 48)
    assert layers["layers/cat-activations-max_pooling2d_4.png"][0] == 16 * 48


def test_each_channel_has_a_picture_of_its_own(sheets: dict[str, tuple[int, int]]):
    for channel in (3, 4, 7, 30):
        assert f"channel-{channel}/cat-activations-conv2d_4.png" in sheets


def test_grids_have_the_tutorials_rows_and_columns(sheets: dict[str, tuple[int, int]]):
    width, height = sheets["first-64/elephant-activations-fire9_concat.png"]
    assert width == height
    width, height = sheets["kernels/vgg16-filters-block1_conv1--channels.png"]
    assert (width < height, round(height / width, 1)) == (True, 2.0)
    assert sheets["patterns/vgg16-filter-patterns-grid.png"] == (8 * 64 + 7 * 5, 8 * 64 + 7 * 5)
    assert {"blocks/elephant-activations-block1_pool.png", "blocks/elephant-activations-block2_pool.png"} < set(sheets)


def test_heat_map_lies_over_the_photo_and_three_classes_are_named(folder: Path, sheets: dict[str, tuple[int, int]]):
    with Image.open(folder / "elephant.jpg") as photo:
        assert sheets["heat/elephant-grad-cam-overlay.png"] == photo.size
    line = (folder / "out" / "heat" / "results.jsonl").read_text()
    assert line.count('"score"') == 4
    assert "elephant" in line.lower()
    assert "health/cats-and-dogs-layer-health-sparsity.png" in sheets
