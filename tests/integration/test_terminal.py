"""The terminal on real networks and a real service: the same bytes from both. One command is a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from service.cli import main
from service.client import Client
from service.demo.scenes import CLASSES, draw_scene
from tests.server import ROOT

CONVSCOPE = [sys.executable, "-m", "service.cli"]
# Other tests ask TensorFlow for more words; here it must be silent by itself.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def _convscope(*arguments: str | Path) -> Result:
    """In this process: a new one would import everything again."""
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False, prog_name="convscope")


def _run_convscope(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # In the project's folder, whose packages then come before installed ones.
    command = [*CONVSCOPE, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of one name, in a folder and below it, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(7)
    for name, path in {"star": folder / "scene.png", "ring": folder / "below" / "scene.webp"}.items():
        path.parent.mkdir(exist_ok=True)
        scene = draw_scene(generator, label=CLASSES.index(name), size=150)
        Image.fromarray(scene.image).save(path, lossless=True)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff and then nothing")
    return folder


@pytest.fixture(scope="module")
def folder(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `convscope grad-cam` writes of them."""
    folder = tmp_path_factory.mktemp("out") / "new" / "folder"
    done = _run_convscope("grad-cam", photos / "scene.png", photos, "--class-index", "3", "--top", "2", "-o", folder)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[0].startswith(f"{photos / 'scene.png'}: star ")
    # One line for the broken picture, one for the whole, none from TensorFlow.
    broken, summary = done.stderr.splitlines()
    assert broken.startswith(f"{photos / 'broken.jpg'}: ")
    assert broken.endswith(" [image_invalid]")
    assert summary == f"2 done, 1 failed: {folder / 'index.html'}"
    return folder


def test_bytes_are_those_of_the_service_when_pictures_are_written(address: str, photos: Path, folder: Path):
    with Client(address) as client:
        for stem, path in {"scene": photos / "scene.png", "scene-2": photos / "below" / "scene.webp"}.items():
            result = client.run("grad-cam", "shapes", image=path, class_index=3)
            assert [image.name for image in result.images] == ["overlay", "heatmap", "input"]
            for image in result.images:
                assert (folder / f"{stem}-grad-cam-{image.name}.png").read_bytes() == image.data


def test_results_are_the_apis_own_when_written_as_lines(photos: Path, folder: Path):
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == [str(photos / "scene.png"), str(photos / "below" / "scene.webp")]
    assert {line["target"]["label"] for line in lines} == {"star"}
    assert [len(line["predictions"]) for line in lines] == [2, 2]
    for line in lines:
        assert all((folder / image["file"]).is_file() for image in line["images"])
    sheet = (folder / "index.html").read_text()
    assert all(f'src="./{image["file"]}"' in sheet for line in lines for image in line["images"])


def test_folder_is_the_same_when_a_service_does_the_work(address: str, photos: Path, folder: Path, tmp_path: Path):
    done = _convscope(
        "grad-cam",
        photos / "scene.png",
        photos,
        "--class-index",
        "3",
        "--top",
        "2",
        "-o",
        tmp_path,
        "--server",
        address,
    )
    assert done.exit_code == 1, done.stderr
    assert "[image_invalid]" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in folder.iterdir())
    for path in folder.glob("*.png"):
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert (tmp_path / "index.html").read_text() == (folder / "index.html").read_text()


def test_json_lines_are_printed_when_wanted(address: str, photos: Path):
    done = _convscope("predictions", photos / "scene.png", "--json", "--top", "1", "--server", address)
    assert (done.exit_code, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    assert [prediction["label"] for prediction in result["predictions"]] == ["star"]
    assert result["images"] == []


def test_lists_and_ranges_arrive_when_they_are_text(address: str, photos: Path, tmp_path: Path):
    output: list[str | Path] = ["-o", tmp_path, "--server", address]
    layers = ["--layers", "conv1,conv4", "--channels", "0-3"]
    assert _convscope("activations", photos / "scene.png", *layers, *output).exit_code == 0
    result = json.loads((tmp_path / "results.jsonl").read_text())
    assert [image["layer"] for image in result["images"]] == ["conv1", "conv4"]
    assert result["values"]["layers"][0]["channels"] == [0, 1, 2, 3]
    # No picture goes into this one: its files are named after the model.
    assert _convscope("filters", "--layer", "conv1", *output).exit_code == 0
    assert (tmp_path / "shapes-filters-conv1--rgb.png").is_file()


def test_lists_are_the_same_when_a_service_is_asked(address: str):
    here, there = (_convscope("layers", "shapes", *server) for server in ([], ["--server", address]))
    assert here.exit_code == there.exit_code == 0, here.stderr + there.stderr
    assert here.stdout == there.stdout
    assert "conv7" in here.stdout
    assert here.stderr == ""
    models = _convscope("models", "--server", address).stdout.splitlines()
    assert models[2].split()[0] == "glyphs"
    assert models[3].split()[:7] == ["shapes", "1", "ready", "classification", "96", "x", "96"]
    assert _convscope("models", "--load", "--server", address).exit_code == 2
    assert _convscope("datasets", "--server", address).stdout.splitlines() == ["glyphs", "shapes"]


def test_exit_code_tells_what_went_wrong_when_a_service_is_asked(address: str, photos: Path):
    scene = photos / "scene.png"
    codes = [
        _convscope("grad-cam", scene, "--json", *arguments, "--server", url).exit_code
        for url, arguments in [(address, ["--layer", "nix"]), (address, ["--model", "nix"]), ("http://127.0.0.1:1", [])]
    ]
    assert codes == [2, 3, 5]


def test_tensorflow_is_not_imported_when_models_are_listed():
    program = (
        "import sys; from service.cli import main; main(['models'], standalone_mode=False);"
        "sys.exit('tensorflow' in sys.modules or 'fastapi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "shapes" in done.stdout


def test_range_is_told_when_it_was_found_and_the_picture_is_drawn_brighter(address: str, tmp_path: Path):
    """Twelve of sixteen bits, alone and in a dataset; the other picture uses all of them."""
    for name, greatest in (("dim", 4000), ("whole", 65535)):
        values = np.linspace(0, greatest, 64 * 64).astype(np.uint16).reshape(64, 64)
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    told = "no number is over 4095: taken for 12 of 16 bits, and drawn brighter"
    alone = _convscope("predictions", tmp_path, "--server", address)
    assert alone.stderr.splitlines() == [f"{tmp_path / 'dim.png'}: {told}"]
    as_dataset = _convscope("predictions", tmp_path, "--as-dataset", "--server", address)
    assert f"dim.png: {told}" in as_dataset.stderr
    assert as_dataset.stderr.count(told) == 1
