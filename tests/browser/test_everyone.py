"""The page for everyone: by keyboard alone, by screen reader, in the dark, on a phone, in Chinese."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.gestures import SCENE, choose_photo, classes, heat_map, region, tab_to

PHONE = {"width": 375, "height": 667}
VIEWS = ("look", "methods", "jobs")


def test_class_is_explained_when_only_the_keyboard_is_used(visit: Visit):
    page = visit()
    # Listened for from the start: Playwright takes over the dialogue some time after it was asked to.
    page.on("filechooser", lambda chooser: chooser.set_files(SCENE))
    settle(page, "look")
    tab_to(page, page.get_by_label("Photo file"))
    page.keyboard.press("Enter")
    expect(heat_map(page, "star")).to_be_visible()
    tab_to(page, classes(page).first)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(heat_map(page, "triangle")).to_be_visible()
    expect(classes(page).nth(1)).to_be_focused()


@pytest.mark.parametrize("view", VIEWS)
def test_focus_shows_when_one_tabs_through_a_view(visit: Visit, view: str):
    page = visit(f"/?view={view}")
    settle(page, view)
    seen = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        # What is focused, and whether anything marks it; a hidden file input is marked by its label.
        name, shows = page.evaluate(
            """() => {
              const node = document.activeElement;
              const marks = [node, node.nextElementSibling].filter(Boolean).map((one) => getComputedStyle(one));
              return [node.outerHTML.slice(0, 200), marks.some((style) => style.outlineStyle !== "none")];
            }"""
        )
        if name.startswith("<body"):
            break
        assert shows, name
        seen.add(name)
    assert len(seen) >= 4


@pytest.mark.parametrize("view", VIEWS)
def test_no_serious_fault_is_found_when_axe_looks(visit: Visit, view: str):
    page = visit(f"/?view={view}", color_scheme="light", reduced_motion="reduce")
    settle(page, view)
    assert serious_faults(page) == []
    page.emulate_media(color_scheme="dark")
    assert serious_faults(page) == []


@pytest.mark.parametrize("view", VIEWS)
def test_nothing_is_cut_off_when_the_page_is_read_on_a_phone(visit: Visit, view: str):
    page = visit(f"/?view={view}", viewport=PHONE, is_mobile=True, has_touch=True)
    settle(page, view)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= PHONE["width"]


def test_words_are_chinese_when_the_language_is_chosen(visit: Visit):
    page = visit()
    choose_photo(page, SCENE)
    expect(heat_map(page, "star")).to_be_visible()
    page.get_by_label("Language").select_option("zh")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("navigation")).to_contain_text(re.compile("[\u4e00-\u9fff]"))
    expect(page.get_by_text("Choose a photo")).to_have_count(0)
    page.reload()
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")


def test_words_are_chinese_when_the_browser_is(visit: Visit):
    page = visit(locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")


def settle(page: Page, view: str) -> None:
    """Until the view shows what it has."""
    if view == "look":
        expect(heat_map(page)).to_be_visible()
        expect(region(page, "Network").get_by_role("option").first).to_be_visible()
    else:
        expect(region(page, view.capitalize())).to_be_visible()
        page.wait_for_load_state("networkidle")


def serious_faults(page: Page) -> list[tuple[str, list[str]]]:
    """Rules that are broken, and the elements that break them."""
    return [
        (fault["id"], [node["html"] for node in fault["nodes"]])
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
    ]
