"""Every method's form on the page, made from its schema alone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from service.engine.methods import METHODS
from tests.browser.conftest import Visit
from tests.browser.gestures import SCENE, region
from tests.browser.watch import Watch

# A worker imports TensorFlow before its first job.
START_MS = 60_000
# Nothing that takes long.
SHORT = {"filter-patterns": {"filters": "0", "steps": "5", "size": "64"}}


@pytest.mark.parametrize("name", list(METHODS))
def test_answer_is_shown_when_a_methods_form_is_sent(visit: Visit, name: str):
    model = "glyphs" if name.startswith("autoencoder-") else "shapes"
    page = visit(f"/?view=methods&model={model}")
    form = region(page, "Methods")
    form.get_by_label("Method", exact=True).select_option(name)
    for field, value in SHORT.get(name, {}).items():
        form.get_by_label(field, exact=True).fill(value)
    form.get_by_role("button", name="Run", exact=True).click()
    if name == "predictions":
        expect(form.get_by_text("star").last).to_be_visible()
    else:
        expect(form.get_by_role("img").first).to_be_visible(timeout=START_MS)


def test_field_is_named_when_its_value_is_refused(visit: Visit, watch: Watch):
    watch.permit(404, 422)
    page = visit("/?view=methods&method=grad-cam")
    form = region(page, "Methods")
    form.get_by_label("class_index", exact=True).fill("99")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form.get_by_role("alert")).to_be_visible()
    field = form.get_by_label("class_index", exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description(re.compile("99"))
    expect(field).to_be_focused()


def test_dataset_is_that_of_the_model_when_nobody_chose_one(visit: Visit):
    for model in ("shapes", "glyphs"):
        form = region(visit(f"/?view=methods&method=layer-health&model={model}"), "Methods")
        expect(form.get_by_label("Looks at")).to_have_value(f"dataset {model}")


def test_means_come_first_when_a_heat_map_goes_over_a_dataset(visit: Visit):
    form = region(visit("/?view=methods&method=grad-cam"), "Methods")
    form.get_by_label("Looks at").select_option(label="the dataset shapes")
    form.get_by_role("button", name="Run", exact=True).click()
    pictures = form.get_by_role("img")
    expect(pictures.first).to_be_visible(timeout=START_MS)
    expect(form.get_by_role("button", name="Download all (ZIP)")).to_be_visible(timeout=START_MS)
    names = [picture.get_attribute("alt") or "" for picture in pictures.all()]
    means = [name for name in names if name.startswith("mean-")]
    assert names[: len(means)] == means
    assert {"mean-right", "mean--star"} <= set(means)
    assert len(names) - len(means) == 80


def test_own_photos_are_a_dataset_when_they_are_chosen(visit: Visit, tmp_path: Path):
    form = region(visit("/?view=methods&method=grad-cam"), "Methods")
    photos = [tmp_path / "one.png", tmp_path / "two.png"]
    for photo in photos:
        photo.write_bytes(SCENE.read_bytes())
    form.get_by_label("Looks at").select_option("files")
    _choices(form).set_input_files(photos)
    form.get_by_role("button", name="Run", exact=True).click()
    for name in ("one", "two"):
        expect(form.get_by_role("img", name=name, exact=True)).to_be_visible(timeout=START_MS)


def test_field_of_files_is_named_when_none_were_chosen(visit: Visit, watch: Watch):
    form = region(visit("/?view=methods&method=layer-health"), "Methods")
    form.get_by_label("Looks at").select_option("files")
    before = len(watch.requests)
    form.get_by_role("button", name="Run", exact=True).click()
    expect(_choices(form)).to_be_focused()
    assert not any(url.endswith("/layer-health") for url in watch.requests[before:])


def _choices(form: Locator) -> Locator:
    return form.get_by_label("Photos or a ZIP")


def test_versions_lie_side_by_side_when_some_are_named(visit: Visit):
    page = visit("/?view=methods&model=glyphs&method=filters")
    form = region(page, "Methods")
    form.get_by_label("Compare versions", exact=True).fill("1,6")
    form.get_by_label("layer", exact=True).fill("hidden")
    form.get_by_role("button", name="Run", exact=True).click()
    expect(form.locator('[data-name="versions"]')).to_be_visible(timeout=START_MS)
    expect(form.locator('[data-name^="v1--"]').first).to_be_visible()


def test_versions_are_not_asked_for_when_the_model_has_one(visit: Visit):
    page = visit("/?view=methods&model=shapes&method=filters")
    expect(region(page, "Methods").get_by_role("button", name="Run", exact=True)).to_be_visible()
    expect(region(page, "Methods").get_by_label("Compare versions", exact=True)).to_be_hidden()


def test_numbers_are_explained_when_they_are_unfolded(visit: Visit):
    form = region(visit("/?view=methods&model=shapes&method=filters"), "Methods")
    form.get_by_role("button", name="Run", exact=True).click()
    form.locator("summary").click()
    expect(form.get_by_text("The Euclidean norm of each filter.")).to_be_visible()
    expect(form.get_by_title("The greatest weight.")).to_be_visible()
