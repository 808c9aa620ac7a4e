"""A method of each kind is added to a copy of the project, as CONTRIBUTING says, and is everywhere by itself.

In OpenAPI, in `GET /v1/methods`, in the terminal, on the page and in the documents; its own tests pass.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx2
import pytest
from playwright.sync_api import Browser, expect

from service.client import Client
from tests.browser.conftest import PATIENCE_MS
from tests.browser.gestures import SCENE, region
from tests.server import ROOT, Server

RECIPES: Final = ROOT / "tests" / "recipes"
# The recipe's file, the folder that it goes to, and its value.
METHODS: Final = {
    "eigen_cam": ("heatmaps", "EIGEN_CAM"),
    "score_cam": ("heatmaps", "SCORE_CAM"),
    "weight_norms": ("layers", "WEIGHT_NORMS"),
    "darkest": ("layers", "DARKEST"),
}
NAMES: Final = [name.replace("_", "-") for name in METHODS]
WORK_SECONDS: Final = 300
PICTURES: Final = 3
# A worker imports TensorFlow before its first job.
START_MS: Final = 60_000


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, with a file, a test file and a line for each of the recipes."""
    root = tmp_path_factory.mktemp("recipes") / "project"
    for folder in ("service", "schemas", "workers", "docs", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "recipes"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / file, root)
    methods = root / "service" / "engine" / "methods"
    lines = (methods / "__init__.py").read_text(encoding="utf-8")
    for recipe, (family, value) in METHODS.items():
        shutil.copy(RECIPES / f"{recipe}.py", methods / family)
        shutil.copy(RECIPES / f"test_{recipe}.py", root / "tests" / "unit")
        line = f"from service.engine.methods.{family}.{recipe} import {value}\n"
        lines = lines.replace("\nMETHODS:", f"{line}\nMETHODS:", 1)
    (methods / "__init__.py").write_text(lines, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def grown(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The copy's own service, with a dataset of its own."""
    folder = tmp_path_factory.mktemp("grown")
    few = folder / "data" / "datasets" / "few"
    few.mkdir(parents=True)
    for number in range(PICTURES):
        shutil.copy(SCENE, few / f"star-{number}.png")
    server = Server(folder / "log", CONVSCOPE_WORKER__WARM="true")
    server.root = copy
    with server:
        server.wait_until_ready()
        yield server.url


def _run(copy: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=WORK_SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_tests_of_the_new_methods_pass_and_the_rest_stays_in_order(copy: Path):
    tests = [f"tests/unit/test_{recipe}.py" for recipe in METHODS]
    out = _run(
        copy, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *tests, "tests/contract/test_values.py"
    )
    assert re.search(r"\d+ passed|\[100%\]", out)


def test_methods_are_in_the_documents_when_those_are_made(copy: Path):
    _run(copy, "docs.generate")
    page = (copy / "docs" / "methods.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"\n## {name}\n" not in page] == []
    assert "| `darkest[].brightness` | number | Mean of the network's input. |" in page
    assert "| `weight-norms` | the norms of all filters |" in (copy / "docs" / "versions.md").read_text(
        encoding="utf-8"
    )
    components = json.loads((copy / "docs" / "openapi.json").read_text(encoding="utf-8"))["components"]["schemas"]
    assert {"ScoreCamJobResult", "EigenCamResult", "WeightNormsValues", "DarkestValues", "DarkestVersions"} <= set(
        components
    )


def test_methods_are_offered_by_the_service_and_the_terminal(grown: str, copy: Path, tmp_path: Path):
    told = {method["name"]: method for method in httpx2.get(f"{grown}/v1/methods").json()["methods"]}
    assert {name: (told[name]["kind"], told[name]["consumes"]) for name in NAMES} == {
        "eigen-cam": ("interactive", "image"),
        "score-cam": ("job", "image"),
        "weight-norms": ("interactive", "none"),
        "darkest": ("job", "images"),
    }
    assert "/v1/models/{model}/score-cam" in httpx2.get(f"{grown}/openapi.json").json()["paths"]
    help_page = _run(copy, "service.cli", "score-cam", "--help")
    assert "--class-index" in help_page
    _run(copy, "service.cli", "score-cam", str(SCENE), "--model", "shapes", "-o", str(tmp_path))
    line = json.loads((tmp_path / "results.jsonl").read_text(encoding="utf-8"))
    assert line["target"]["label"] == "star"
    assert line["values"]["max"] > 0


def test_versions_and_datasets_need_no_word_of_the_method(grown: str):
    with Client(grown) as client:
        items = client.run("eigen-cam", "shapes", dataset="few").values["items"]
    assert len(items) == PICTURES
    assert {"index", "picture", "right", "max"} <= set(items[0])


@pytest.mark.parametrize("name", NAMES)
def test_page_has_a_form_for_each_and_shows_what_comes_of_it(grown: str, chromium: Browser, name: str):
    context = chromium.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{grown}/?view=methods&model=shapes&method={name}")
    form = region(page, "Methods")
    expect(form.get_by_label("Method", exact=True)).to_have_value(name)
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form.get_by_role("img").first).to_be_visible(timeout=START_MS)
    context.close()
