"""What one takes along from the page: a link, a command, a picture."""

import base64
import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.gestures import SCENE, choose_photo, classes, copied, heat_map, pixels, region

CLIPBOARD = ["clipboard-read", "clipboard-write"]


def test_view_is_the_same_when_its_link_is_opened(visit: Visit, address: str):
    page = visit(permissions=CLIPBOARD)
    region(page, "Photo").get_by_role("button", name="Scene: ring").click()
    expect(heat_map(page, "ring")).to_be_visible()
    classes(page).nth(1).click()
    expect(classes(page).nth(1)).to_have_attribute("aria-pressed", "true")
    expect(heat_map(page, "ring")).to_have_count(0)
    region(page, "Heat map").get_by_label("Colour map").select_option("turbo")
    page.get_by_role("button", name="Copy a link to this view").click()
    other = visit(copied(page).removeprefix(address))
    expect(heat_map(other)).to_have_accessible_name(heat_map(page).get_attribute("aria-label") or "")
    expect(classes(other).nth(1)).to_have_attribute("aria-pressed", "true")
    assert pixels(heat_map(other)) == pixels(heat_map(page))


@pytest.mark.parametrize("source", ["photo", "scene"])
def test_answer_is_the_pages_picture_when_the_curl_command_runs(visit: Visit, tmp_path: Path, source: str):
    page = visit(permissions=CLIPBOARD)
    _look(page, source)
    saved = _save(page)
    region(page, "Heat map").get_by_role("button", name="Copy as curl").click()
    (tmp_path / SCENE.name).write_bytes(SCENE.read_bytes())
    command = ["bash", "-ec", copied(page)]
    ran = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert _overlay(json.loads(ran.stdout)) == saved


def test_picture_is_the_pages_when_the_python_program_runs(visit: Visit, tmp_path: Path):
    page = visit(permissions=CLIPBOARD)
    _look(page, "scene")
    saved = _save(page)
    region(page, "Heat map").get_by_role("button", name="Copy as Python").click()
    (tmp_path / "program.py").write_text(copied(page), encoding="utf-8")
    subprocess.run(["python3", "program.py"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    assert (tmp_path / "overlay.png").read_bytes() == saved


def _look(page: Page, source: str) -> None:
    if source == "photo":
        choose_photo(page, SCENE)
        expect(heat_map(page, "star")).to_be_visible()
    else:
        region(page, "Photo").get_by_role("button", name="Scene: ring").click()
        expect(heat_map(page, "ring")).to_be_visible()
    before = heat_map(page).get_attribute("aria-label")
    classes(page).nth(1).click()
    expect(heat_map(page)).not_to_have_accessible_name(before or "")


def _save(page: Page) -> bytes:
    with page.expect_download() as download:
        region(page, "Heat map").get_by_role("button", name="Save the picture").click()
    return download.value.path().read_bytes()


def _overlay(result: dict[str, list[dict[str, str]]]) -> bytes:
    return base64.b64decode(result["images"][0]["data"])
