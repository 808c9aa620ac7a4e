"""The terminal on a closed-form network: commands made from methods, exit codes, the output folder. No TensorFlow."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import click
import numpy as np
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from PIL import Image
from pydantic import Field, model_validator

from schemas.methods import MethodParams
from schemas.problems import ProblemError
from schemas.values.base import NoValues
from service.cli import main, make_program
from service.cli.backends import Backend, Local
from service.cli.exits import Exit, judge
from service.cli.interrupts import hold_interrupts
from service.client import ServiceError
from service.engine.arrays import Array
from service.engine.chunks import JobLimits
from service.engine.drawing.visuals import ScoreList
from service.engine.images.archive import DatasetLimits
from service.engine.images.decoding import ImageLimits
from service.engine.kinds.context import Context
from service.engine.kinds.method import AnyMethod, ImageMethod, NetworkMethod
from service.engine.methods import METHODS
from service.engine.methods.heatmaps.grad_cam import GRAD_CAM
from service.engine.ports.answers import Scores
from service.engine.ports.probe import Probe
from service.errors import ClassOutOfRangeError, ConvscopeError, ImageInvalidError, ModelFailedError
from service.models.catalog import Catalog
from service.models.datasets import Datasets
from service.models.sources.folder import Folder
from tests.unit.fakes import FakeLoader

DOCUMENT = Path(__file__).parents[2] / "docs" / "terminal.md"

Run = Callable[..., Result]


class EchoParams(MethodParams):
    """One of each kind."""

    layers: list[str] = Field([], description="Some layers.")
    class_index: int | None = Field(None, ge=0, description="A class.")
    opacity: float = Field(0.4, ge=0, le=1, description="How much.")
    colormap: Literal["viridis", "gray"] = Field("gray", description="Which colours.")
    mirrored: bool = Field(default=False, description="Left is right.")

    @model_validator(mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        return given | {"layers": given["layers"].split(",")} if "layers" in given else given


def _echo(probe: Probe, image: Array, params: EchoParams, _: Context) -> ScoreList:
    if params.class_index == 9:
        raise ClassOutOfRangeError("there are 2 classes")
    return ScoreList(probe.scores(image))


ECHO = ImageMethod(
    name="echo",
    title="Echo",
    description="Says what it was asked.",
    params=EchoParams,
    values=(NoValues,),
    compute=_echo,
    refuse=lambda _: None,
    makes_pictures=False,
    compared="the scores",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with two pictures of one name and a broken one, and a repository of two models."""
    monkeypatch.chdir(tmp_path)
    for name, content in {"closed": b"fine", "sick": b"broken"}.items():
        (tmp_path / "models" / name / "1").mkdir(parents=True)
        (tmp_path / "models" / name / "1" / "model.keras").write_bytes(content)
    for path in (tmp_path / "photos" / "red.png", tmp_path / "photos" / "more" / "RED.jpg"):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((8, 12, 3), (200, 0, 0), np.uint8)).save(path)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").write_text("no picture by its name")
    return tmp_path


@pytest.fixture
def convscope(folder: Path) -> Run:
    """Run the program with the given methods over the fake network."""

    @contextmanager
    def open_backend(_: str | None) -> Iterator[Backend]:
        catalog = Catalog([Folder(folder / "models", FakeLoader())])
        yield Local(catalog, ImageLimits(2**20, 10**6), JobLimits(), Datasets(folder / "datasets", DatasetLimits()))
        catalog.close()

    def run(*arguments: str, method: AnyMethod | None = None) -> Result:
        program = make_program([method] if method else [ECHO, GRAD_CAM], open_backend)
        return CliRunner().invoke(program, list(arguments), prog_name="convscope")

    return run


def _params(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)["provenance"]["params"]


def test_help_tells_what_the_parameters_say_when_a_method_is_new(convscope: Run):
    text = " ".join(convscope("echo", "--help").stdout.split())
    for words in (
        "Says what it was asked.",
        "IMAGE...",
        "--layers TEXT,TEXT… Some layers.",
        "--class-index INTEGER A class.",
        "--opacity NUMBER How much. [default: 0.4; 0 to 1]",
        "--colormap [viridis|gray] Which colours. [default: gray]",
        "--mirrored / --no-mirrored Left is right.",
    ):
        assert words in text


def test_parameters_reach_the_method_when_given_as_text(convscope: Run):
    arguments = ("--layers", "a,b", "--class-index", "1", "--opacity", ".5", "--colormap", "viridis", "--mirrored")
    result = convscope("echo", "photos/red.png", "--json", "--model", "closed", *arguments)
    assert _params(result) == {
        "layers": ["a", "b"],
        "class_index": 1,
        "opacity": 0.5,
        "colormap": "viridis",
        "mirrored": True,
    }


def test_defaults_are_the_models_own_when_nothing_is_given(convscope: Run):
    result = convscope("echo", "photos/red.png", "--json", "--model", "closed")
    assert _params(result)["opacity"] == 0.4
    assert _params(result)["layers"] == []


def test_methods_do_not_take_the_commands_own_options_when_they_exist():
    own = {"model", "version", "output", "json", "server", "help"}
    assert [name for name, method in METHODS.items() if own & set(method.params.model_fields)] == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--opacity", "3"], "'opacity': Input should be less than or equal to 1"),
        (["--colormap", "pink"], "'colormap': Input should be 'viridis', 'inferno'"),
        (["--class-index", "x"], "'class_index': Input should be a valid integer"),
        (["--scale", "fixed"], "'scale=fixed' and 'scale_max' go together"),
        (["--layer", ""], "'layer': "),
        (["--colour", "red"], "No such option"),
    ],
)
def test_exit_is_2_when_a_parameter_is_wrong(convscope: Run, arguments: list[str], sentence: str):
    result = convscope("grad-cam", "photos/red.png", "--model", "closed", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert not Path("convscope-out").exists()


def test_exit_is_2_when_only_the_network_can_tell_that_a_parameter_is_wrong(convscope: Run):
    result = convscope("echo", "photos/more", "--model", "closed", "--class-index", "9")
    assert result.exit_code == 2
    assert result.stderr == "Error: there are 2 classes [class_out_of_range]\n"


@pytest.mark.parametrize("arguments", [["nowhere.png"], [], ["models"], ["photos/red.png", "-o", "photos/red.png"]])
def test_exit_is_2_when_there_is_nothing_to_read_or_to_write_into(convscope: Run, arguments: list[str]):
    assert convscope("grad-cam", "--model", "closed", *arguments).exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--model", "closd"], "model_not_found"),
        (["--model", "closed", "--version", "2"], "version_not_found"),
        (["--model", "sick"], "model_failed"),
    ],
)
def test_exit_is_3_when_the_model_is_at_fault(convscope: Run, arguments: list[str], code: str):
    result = convscope("grad-cam", "photos", *arguments)
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"[{code}]" in result.stderr
    assert result.stderr.count("\n") == 1


def test_exit_is_3_when_the_method_does_not_work_on_the_model(convscope: Run):
    method = replace(ECHO, refuse=lambda _: "too small a network")
    result = convscope("echo", "photos", "--model", "closed", method=method)
    assert result.exit_code == 3
    assert "too small a network [method_unavailable]" in result.stderr


def test_others_go_on_and_exit_is_1_when_one_picture_is_broken(convscope: Run):
    result = convscope("grad-cam", "photos", "--model", "closed", "-o", "out")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["photos/red.png: 0 1.00", "photos/more/RED.jpg: 0 1.00"]
    assert "photos/broken.png: not a picture" in result.stderr
    assert "[image_invalid]" in result.stderr
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "RED-2-grad-cam-heatmap.png",
        "RED-2-grad-cam-input.png",
        "RED-2-grad-cam-overlay.png",
        "index.html",
        "red-grad-cam-heatmap.png",
        "red-grad-cam-input.png",
        "red-grad-cam-overlay.png",
        "results.jsonl",
    ]
    lines = [json.loads(line) for line in Path("out/results.jsonl").read_text().splitlines()]
    assert [line["source"] for line in lines] == ["photos/red.png", "photos/more/RED.jpg"]
    assert lines[0]["images"][0]["file"] == "red-grad-cam-overlay.png"
    assert "data" not in lines[0]["images"][0]


def test_exit_is_4_when_every_picture_fails(convscope: Run):
    result = convscope("grad-cam", "photos/broken.png", "--model", "closed")
    assert result.exit_code == 4
    assert not Path("convscope-out").exists()


def test_what_is_done_stays_when_the_work_is_interrupted(convscope: Run):
    calls = iter([GRAD_CAM.compute])

    def compute(*arguments: Any) -> Any:
        for grad_cam in calls:
            return grad_cam(*arguments)
        raise KeyboardInterrupt

    result = convscope(
        "grad-cam", "photos", "--model", "closed", "-o", "out", method=replace(GRAD_CAM, compute=compute)
    )
    assert result.exit_code == 130
    assert "photos/red.png" in Path("out/index.html").read_text()
    assert len(Path("out/results.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize("place", ["compute", "open"])
def test_exit_is_130_when_ctrl_c_comes_anywhere(convscope: Run, place: str):
    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    if place == "compute":
        asked = ("echo", "photos/red.png", "--model", "closed")
        result = convscope(*asked, method=replace(ECHO, compute=interrupt))
    else:
        program = make_program([ECHO], interrupt)
        result = CliRunner().invoke(program, ["echo", "photos/red.png"], prog_name="convscope")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "Aborted" not in result.stderr


def test_what_is_being_written_is_whole_when_ctrl_c_comes():
    # A process that a script has put into the background ignores Ctrl-C.
    before, written = signal.getsignal(signal.SIGINT), []

    def write() -> None:
        with hold_interrupts():
            signal.raise_signal(signal.SIGINT)
            written.append("whole")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert written == ["whole"]
    assert signal.getsignal(signal.SIGINT) is before


def test_process_ends_quietly_when_ctrl_c_comes_while_it_imports():
    code = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "service.cli.commands.methods":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from service.terminal import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, b"", b"")


def test_own_output_is_left_out_when_it_lies_in_the_folder(convscope: Run):
    Path("photos/broken.png").unlink()
    first, second = (convscope("grad-cam", ".", "--model", "closed") for _ in range(2))
    assert first.exit_code == second.exit_code == 0
    assert first.stdout == second.stdout
    assert len(Path("convscope-out/results.jsonl").read_text().splitlines()) == 2


def test_file_is_read_once_when_it_is_named_twice(convscope: Run):
    result = convscope("grad-cam", "photos/red.png", "photos/../photos/red.png", "--model", "closed", "--json")
    assert result.stdout.count("\n") == 1


def test_nothing_is_written_when_json_is_wanted(convscope: Run):
    result = convscope("grad-cam", "photos/red.png", "--model", "closed", "--json")
    (line,) = result.stdout.splitlines()
    assert [image["name"] for image in json.loads(line)["images"]] == ["overlay", "heatmap", "input"]
    assert result.stderr == ""
    assert not Path("convscope-out").exists()


def test_no_image_is_taken_when_the_method_consumes_none(convscope: Run):
    method = NetworkMethod(
        name="echo",
        title="Echo",
        description="Looks at no picture.",
        params=EchoParams,
        values=(NoValues,),
        compute=lambda *_: ScoreList(Scores(np.ones(2, np.float32))),
        refuse=lambda _: None,
    )
    result = convscope("echo", "--help", method=method)
    assert "IMAGE" not in result.stdout
    assert convscope("echo", "photos/red.png", method=method).exit_code == 2


def test_text_is_escaped_when_it_stands_in_the_contact_sheet(convscope: Run):
    evil = "<script>alert('1')</script>&"
    Path("models/closed/model.toml").write_text(f"labels = [{json.dumps(evil)}, '\"quoted\"']")
    name = "#1 <b>&\"'?.png"
    Path(name).write_bytes(Path("photos/red.png").read_bytes())
    assert convscope("grad-cam", name, "--model", "closed", "-o", "out").exit_code == 0
    sheet = Path("out/index.html").read_text()
    assert "<script" not in sheet
    assert "&lt;script&gt;" in sheet
    assert "#1 &lt;b&gt;&amp;&quot;&#x27;?.png" in sheet
    assert 'src="./%231%20%3Cb%3E%26%22%27%3F-grad-cam-overlay.png"' in sheet
    assert "http" not in sheet


def test_failures_are_told_when_the_contact_sheet_is_made(convscope: Run):
    convscope("grad-cam", "photos", "--model", "closed", "-o", "out")
    sheet = Path("out/index.html").read_text()
    assert "2 done, 1 failed" in sheet
    assert "image_invalid" in sheet


def test_models_are_listed_with_their_failures_when_loaded(convscope: Run):
    table = convscope("models")
    assert table.exit_code == 0
    assert table.stdout.splitlines()[2].split() == ["closed", "1", "available"]
    loaded = convscope("models", "--load")
    assert loaded.exit_code == 1
    assert "classification  4 x 6 x 3" in loaded.stdout
    assert "sick: the file is broken" in loaded.stdout
    assert json.loads(convscope("models", "--json").stdout)["models"] == ["closed", "sick"]


def test_layers_are_a_table_when_asked_for(convscope: Run):
    lines = convscope("layers", "closed").stdout.splitlines()
    assert lines[0].split() == ["#", "path", "type", "output", "kernel", "parameters"]
    assert lines[2].split("  ")[-1].strip() == "12"
    assert lines[-1] == "parameters: 18 (trainable 18, non-trainable 0)"
    assert convscope("layers", "nobody").exit_code == 3


def test_datasets_are_listed_by_the_names_that_may_be_given(convscope: Run, folder: Path):
    for name in ("scenes", "faces"):
        shutil.copytree(folder / "photos", folder / "datasets" / name)
    listed = convscope("datasets")
    assert (listed.exit_code, listed.stdout.splitlines()) == (0, ["faces", "scenes"])
    assert json.loads(convscope("datasets", "--json").stdout) == {"datasets": ["faces", "scenes"]}
    done = convscope("grad-cam", "--dataset", "faces", "--model", "closed", "-o", "out")
    assert done.exit_code == Exit.SOME_FAILED, "all of the pictures are found, the broken one too"


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (ImageInvalidError("x"), None),
        (ModelFailedError("x"), Exit.MODEL),
        (ClassOutOfRangeError("x"), Exit.PARAMETERS),
        (ServiceError("unreachable", "x"), Exit.SERVICE),
        (ServiceError("server_busy", "x"), Exit.SERVICE),
        (ServiceError("image_invalid", "x", errors=[ProblemError(pointer="#/image", detail="x")]), None),
        (ServiceError("layer_odd", "x", errors=[ProblemError(pointer="#/layer", detail="x")]), Exit.PARAMETERS),
        (ServiceError("invalid_parameters", "x", errors=[ProblemError(pointer="#", detail="x")]), Exit.PARAMETERS),
    ],
)
def test_problem_ends_the_command_when_every_picture_would_meet_it(
    problem: ConvscopeError | ServiceError, expected: Exit | None
):
    assert judge(problem) == expected


def test_exit_codes_stand_in_the_document_when_there_are_new_ones():
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    codes = {line.split("`")[1] for line in rows}
    assert {str(int(code)) for code in Exit} | {"0"} <= codes


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["grad-cam", "--colormap"], "viridis"),
        (["grad-cam", "--model"], "shapes"),
        (["layers"], "shapes"),
        ([], "grad-cam"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_shell_completes_when_asked(words: list[str], expected: str):
    assert isinstance(main, click.Group)
    completion = ShellComplete(main, {}, "convscope", "_CONVSCOPE_COMPLETE")
    assert expected in [item.value for item in completion.get_completions(words, expected[:1])]


@pytest.mark.usefixtures("folder")
def test_setting_is_named_when_it_makes_no_sense(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_LIMITS__MAX_IMAGE_BYTES", "many")
    result = CliRunner().invoke(main, ["models"])
    assert result.exit_code == 2
    assert "CONVSCOPE_LIMITS__MAX_IMAGE_BYTES" in result.stderr


def test_large_file_is_refused_unread_when_it_is_over_the_limit(convscope: Run):
    with Path("photos/huge.png").open("wb") as stream:
        stream.truncate(2**20 + 1)
    result = convscope("grad-cam", "photos/huge.png", "--model", "closed")
    assert result.exit_code == 4
    assert f"{2**20 + 1} bytes" in result.stderr
    assert "[image_too_large]" in result.stderr


@pytest.mark.parametrize("way", ["zip", "folder", "name"])
def test_pictures_are_one_dataset_when_they_are_asked_for_as_one(convscope: Run, folder: Path, way: str):
    ways = {
        "zip": [str(folder / "photos.zip")],
        "folder": [str(folder / "photos"), "--as-dataset"],
        "name": ["--dataset", "mine"],
    }
    shutil.make_archive(str(folder / "photos"), "zip", folder / "photos")
    shutil.copytree(folder / "photos", folder / "datasets" / "mine")
    out = folder / "out"
    result = convscope("grad-cam", *ways[way], "--model", "closed", "-o", str(out))
    assert result.exit_code == Exit.SOME_FAILED, result.output
    line = json.loads((out / "results.jsonl").read_text())
    assert {item["name"] for item in line["values"]["items"]} == {
        path.relative_to(folder / "photos").as_posix()
        for path in (folder / "photos").rglob("*.*")
        if path.name not in ("broken.png", "notes.txt")
    }
    assert [item["name"] for item in line["values"]["skipped"]] == ["broken.png"]
    assert "broken.png" in result.stderr
    assert all((out / image["file"]).is_file() for image in line["images"])


@pytest.mark.parametrize("way", ["folder", "two", "twice", "name"])
def test_objects_are_found_when_a_folder_has_annotations(convscope: Run, folder: Path, way: str):
    root = folder / "datasets" / "mine"
    for name in ("red", "green"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (6, 4), name).save(root / name / f"{name}.png")
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    (root / "red" / "red.xml").write_text(f"<annotation><object><name>red</name>{box}</object></annotation>")
    (root / "green" / "masks").mkdir()
    Image.new("L", (6, 4), 255).save(root / "green" / "masks" / "green.png")
    ways = {
        "folder": [str(root), "--as-dataset"],
        "two": [str(root / "red"), str(root / "green"), "--as-dataset"],
        "twice": [str(root), str(root / "red"), "--as-dataset"],
        "name": ["--dataset", "mine"],
    }
    result = convscope("grad-cam", *ways[way], "--model", "closed", "-o", str(folder / "out"))
    assert result.exit_code == 0, result.output
    assert "2 pictures" in result.stdout
    assert "75% of the heat in the object, which takes 75% of the picture" in result.stdout
    items = json.loads((folder / "out" / "results.jsonl").read_text())["values"]["items"]
    assert {item["name"]: item["object"]["area"] for item in items} == {"red/red.png": 0.5, "green/green.png": 1}


def test_pictures_that_are_not_read_are_told_when_a_folder_has_some(convscope: Run, folder: Path):
    shutil.rmtree(folder / "photos" / "more")
    (folder / "photos" / "broken.png").unlink()
    (folder / "photos" / "IMG_1.HEIC").write_bytes(b"ftypheic")
    (folder / "datasets").mkdir()
    shutil.copytree(folder / "photos", folder / "datasets" / "mine")
    for way in (["photos"], ["photos", "--as-dataset"], ["--dataset", "mine"]):
        result = convscope("grad-cam", *way, "--model", "closed", "-o", "out")
        assert result.exit_code == Exit.SOME_FAILED, result.output
        assert "IMG_1.HEIC: " in result.stderr
        assert "[image_invalid]" in result.stderr
        assert "1 done, 1 failed" in result.stderr


def test_command_is_refused_when_it_names_no_pictures_or_two_datasets(convscope: Run, folder: Path):
    assert convscope("grad-cam").exit_code == Exit.PARAMETERS
    assert convscope("grad-cam", str(folder / "photos"), "--dataset", "mine").exit_code == Exit.PARAMETERS
    unknown = convscope("grad-cam", "--dataset", "mine", "--model", "closed")
    assert unknown.exit_code == Exit.PARAMETERS
    assert "there is no dataset 'mine'" in unknown.stderr


def test_versions_are_compared_when_asked_and_end_the_command_as_a_gate(convscope: Run, folder: Path):
    shutil.copytree(folder / "models" / "closed" / "1", folder / "models" / "closed" / "2")
    photo = str(folder / "photos" / "red.png")
    alike = convscope("compare", "grad-cam", photo, "--model", "closed", "--min-correlation", "0.9", "--json")
    # One colour gives constant maps: there is nothing that could be alike.
    assert alike.exit_code == Exit.DIFFERENT
    assert "red.png: versions 1 and 2 cannot be compared: nothing is left to compare" in alike.stderr
    scores = convscope("compare", "echo", photo, "--model", "closed", "--min-correlation", "0.9")
    assert scores.exit_code == 0, scores.output
    assert "1-2 r = 1.000" in scores.stdout
    assert convscope("compare", "echo", photo, "--model", "closed", "--versions", "2").exit_code == Exit.PARAMETERS
    assert convscope("compare", "echo", photo, "--model", "closed", "--versions", "1,3").exit_code == Exit.MODEL


def test_no_model_is_opened_when_more_versions_are_named_than_are_compared(convscope: Run, folder: Path):
    # Each file would fail as it is opened, and the command with another code.
    for version in range(2, 53):
        shutil.copytree(folder / "models" / "sick" / "1", folder / "models" / "sick" / str(version))
    refused = convscope("compare", "echo", str(folder / "photos" / "red.png"), "--model", "sick")
    assert refused.exit_code == Exit.PARAMETERS
    assert "52 versions were named: 2 to 50 are compared" in refused.stderr
