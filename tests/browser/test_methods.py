"""Every method's form on the page, made from its schema alone."""

import re

import pytest
from playwright.sync_api import expect

from service.engine.methods import METHODS
from tests.browser.conftest import Visit
from tests.browser.gestures import region
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
