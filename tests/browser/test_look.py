"""A photo and its heat maps: the page's first purpose."""

import base64
import io
import re
from pathlib import Path

import httpx2
import numpy as np
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.gestures import SCENE, choose_photo, classes, drop_photo, heat_map, pixels, region
from tests.browser.watch import Watch


def test_heat_map_is_there_when_the_page_is_opened(visit: Visit):
    page = visit()
    expect(heat_map(page)).to_be_visible()
    expect(classes(page).first).to_have_attribute("aria-pressed", "true")


def test_page_opens_on_a_model_with_class_scores_when_one_without_is_listed_first(visit: Visit, address: str):
    httpx2.post(f"{address}/v1/models/glyphs/load", timeout=60).raise_for_status()
    page = visit()
    expect(heat_map(page)).to_be_visible()
    expect(page.get_by_label("Model", exact=True)).to_have_value("shapes")


def test_reason_is_readable_when_a_network_has_no_class_scores(visit: Visit):
    page = visit("/?model=glyphs&scene=star")
    expect(region(page, "Predictions")).to_contain_text("this network has no class scores")
    expect(page.get_by_role("option", name=re.compile("^hidden"))).to_be_visible()


def test_heat_map_changes_when_a_class_is_clicked(visit: Visit):
    page = visit()
    choose_photo(page, SCENE)
    expect(heat_map(page, "star")).to_be_visible()
    star = pixels(heat_map(page))
    classes(page).nth(1).click()
    expect(heat_map(page, "triangle")).to_be_visible()
    assert pixels(heat_map(page)) != star


def test_map_equals_the_services_when_it_is_coloured_by_the_page(visit: Visit, address: str):
    page = visit()
    choose_photo(page, SCENE)
    # The scene that the page opens with, which is larger, has a star too.
    expect(heat_map(page, "star")).to_have_attribute("width", "288")
    region(page, "Heat map").get_by_label("Colour map").select_option("viridis")
    with Image.open(io.BytesIO(pixels(heat_map(page)))) as shown:
        seen = np.asarray(shown.convert("RGB"))
    answer = httpx2.post(
        f"{address}/v1/models/shapes/grad-cam",
        files={"image": ("scene.png", SCENE.read_bytes())},
        data={"colormap": "viridis"},
    ).json()
    data = next(image["data"] for image in answer["images"] if image["name"] == "heatmap")
    with Image.open(io.BytesIO(base64.b64decode(data))) as sent:
        assert np.array_equal(seen, np.asarray(sent.convert("RGB")))


def test_two_maps_stand_side_by_side_when_classes_are_compared(visit: Visit):
    page = visit()
    choose_photo(page, SCENE)
    expect(heat_map(page, "star")).to_be_visible()
    region(page, "Heat map").get_by_role("button", name="Compare", exact=True).click()
    maps = region(page, "Heat map").get_by_role("img", name=re.compile("^Heat map of"))
    expect(maps).to_have_count(2)
    expect(maps.nth(1)).to_have_accessible_name(re.compile("^Heat map of triangle"))
    assert pixels(maps.nth(0)) != pixels(maps.nth(1))


def test_maps_stay_side_by_side_and_on_the_page_when_the_name_of_a_layer_is_long(visit: Visit):
    page = visit()
    page.set_viewport_size({"width": 1280, "height": 900})
    choose_photo(page, SCENE)
    expect(heat_map(page, "star")).to_be_visible()
    region(page, "Heat map").get_by_role("button", name="Compare", exact=True).click()
    expect(region(page, "Heat map").get_by_role("img", name=re.compile("^Heat map of"))).to_have_count(2)
    # As the path of a layer within nested models is.
    page.evaluate(
        """for (const node of document.querySelectorAll(".stage option, .stage figcaption"))
             node.textContent = "sequential_1/model1/backbone/" + "conv5_block3_out_".repeat(8)"""
    )
    first, second = (stage.bounding_box() for stage in page.locator(".stage").all())
    assert first is not None
    assert second is not None
    assert first["y"] == second["y"]
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_photo_is_looked_at_when_it_is_dropped(visit: Visit):
    page = visit()
    expect(heat_map(page)).to_be_visible()
    drop_photo(page, SCENE)
    expect(region(page, "Photo").get_by_text("scene.png, 288")).to_be_visible()
    expect(heat_map(page, "star")).to_be_visible()


def test_reason_is_readable_when_a_file_is_no_picture(visit: Visit, watch: Watch, tmp_path: Path):
    watch.permit(400, 415, 422)
    page = visit()
    expect(heat_map(page)).to_be_visible()
    (tmp_path / "letter.png").write_text("no picture at all")
    choose_photo(page, tmp_path / "letter.png")
    trouble = region(page, "Heat map").get_by_role("alert")
    expect(trouble).to_be_visible()
    expect(trouble).to_contain_text("image")
    assert "{" not in trouble.inner_text()
    choose_photo(page, SCENE)
    expect(heat_map(page, "star")).to_be_visible()
    expect(trouble).to_have_count(0)


def test_map_is_clear_where_the_network_saw_nothing(visit: Visit):
    page = visit()
    expect(heat_map(page)).to_be_visible()
    opaque = page.evaluate(
        """async () => {
          const { paint } = await import("/ui/colours.js");
          const count = (window) => {
            const canvas = document.createElement("canvas");
            paint(canvas, { width: 8, height: 4, shades: new Uint8Array(32) }, "inferno", window);
            const { data } = canvas.getContext("2d").getImageData(0, 0, 8, 4);
            return Array.from({ length: 8 }, (_, x) => data[4 * (8 + x) + 3] === 255);
          };
          return [[0, 0.25, 1, 0.75], [-0.5, 0, 1.5, 1], undefined].map(count);
        }"""
    )
    assert opaque == [[False] * 2 + [True] * 4 + [False] * 2, [True] * 8, [True] * 8]


def test_range_is_told_when_a_picture_is_shown_brighter(visit: Visit, tmp_path: Path):
    """And it is sent as it is, however large: the browser would keep eight of the sixteen bits."""
    dim = tmp_path / "dim.png"
    Image.fromarray(np.linspace(0, 4000, 16 * 4096).astype(np.uint16).reshape(16, 4096)).save(dim)
    page = visit()
    expect(heat_map(page)).to_be_visible()
    told = region(page, "Heat map").get_by_text("taken for 12 of 16 bits, and shown brighter")
    expect(told).to_have_count(0)
    choose_photo(page, dim)
    expect(told.first).to_be_visible()
    shown = page.locator("#heatmap img.photo").first
    expect(shown).to_have_attribute("src", re.compile("^data:image/png"))
    data = (shown.get_attribute("src") or "").partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as plain:
        assert (plain.size, np.asarray(plain.convert("L")).max()) == ((4096, 16), 249)
