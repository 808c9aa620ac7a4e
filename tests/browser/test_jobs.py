"""Jobs on the page: seen as they run, stopped, found again, taken along."""

import io
import re
import zipfile

from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Visit
from tests.browser.gestures import heat_map, region
from tests.browser.watch import Watch

# A worker imports TensorFlow before its first job.
START_MS = 60_000


def test_progress_and_pictures_are_live_when_patterns_are_drawn(visit: Visit, watch: Watch):
    page = visit("/?view=methods&method=filter-patterns")
    _submit(page, filters="0-15", steps="100", size="64")
    bar = _job(page).get_by_role("progressbar")
    expect(bar).to_be_visible(timeout=START_MS)
    values = _watch_progress(page, bar)
    assert len(values) >= 3, "progress is seen on the way"
    assert values == sorted(values)
    expect(_job(page).get_by_role("img", name="filter-15")).to_be_visible(timeout=START_MS)
    assert any(url.endswith("/events") for url in watch.requests)


def test_no_event_stream_is_open_when_no_job_is_watched(visit: Visit, watch: Watch):
    page = visit()
    expect(heat_map(page)).to_be_visible()
    page.get_by_role("link", name="Methods").click()
    page.get_by_role("link", name="Jobs").click()
    expect(region(page, "Jobs")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert [url for url in watch.requests if "/events" in url] == []


def test_job_ends_when_it_is_cancelled(visit: Visit):
    page = visit("/?view=methods&method=filter-patterns")
    _submit(page, filters="0-31", steps="1000", size="96", seed="1")
    expect(_job(page).get_by_role("progressbar")).to_be_visible(timeout=START_MS)
    _job(page).get_by_role("button", name="Cancel").click()
    expect(_job(page)).to_contain_text(re.compile("cancelled", re.IGNORECASE))
    expect(_job(page).get_by_role("button", name="Cancel")).to_have_count(0)


def test_job_goes_on_when_the_page_is_loaded_again(visit: Visit):
    page = visit("/?view=methods&method=filter-patterns")
    _submit(page, filters="0-15", steps="150", size="64", seed="2")
    expect(_job(page).get_by_role("progressbar")).to_be_visible(timeout=START_MS)
    page.reload()
    expect(_job(page).get_by_role("progressbar")).to_be_visible()
    expect(_job(page).get_by_role("img", name="filter-15")).to_be_visible(timeout=START_MS)
    expect(_job(page).get_by_role("progressbar")).to_have_count(0)


def test_zip_holds_every_picture_when_a_job_is_downloaded(visit: Visit):
    page = visit("/?view=methods&method=filter-patterns")
    _submit(page, filters="0-3", steps="10", size="64", seed="3")
    button = _job(page).get_by_role("button", name="Download all (ZIP)")
    expect(button).to_be_visible(timeout=START_MS)
    with page.expect_download() as download:
        button.click()
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.testzip() is None
        names = {name for name in archive.namelist() if name.endswith(".png")}
        assert {"grid.png", *(f"filter-{number}.png" for number in range(4))} <= names
        with Image.open(io.BytesIO(archive.read("filter-3.png"))) as picture:
            assert picture.size == (64, 64)


def test_job_is_listed_and_forgotten_when_it_is_deleted(visit: Visit):
    page = visit("/?view=methods&method=filter-patterns")
    rows = _list_one_more(page, seed="4")
    before = rows.count()
    rows.first.get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(before - 1)


def test_nothing_more_is_asked_about_a_job_when_it_is_deleted_on_its_way(visit: Visit, watch: Watch):
    page = visit("/?view=methods&method=filter-patterns")
    _submit(page, filters="0-31", steps="1000", size="96", seed="5")
    expect(_job(page).get_by_role("progressbar")).to_be_visible(timeout=START_MS)
    page.get_by_role("link", name="Jobs").click()
    expect(_job(page)).to_be_visible()
    region(page, "Jobs").get_by_role("list", name="Jobs").get_by_role("button", name="Delete").first.click()
    expect(_job(page)).to_have_count(0)
    asked = len(watch.requests)
    # Longer than any stream waits until it connects again.
    page.wait_for_timeout(4000)
    assert [url for url in watch.requests[asked:] if "/v1/jobs/" in url] == []
    page.get_by_role("link", name="Methods").click()
    expect(_job(page)).to_have_count(0)


def test_job_stays_where_it_was_when_it_cannot_be_deleted(visit: Visit, watch: Watch):
    page = visit("/?view=methods&method=filter-patterns")
    rows, jobs = _list_one_more(page, seed="6"), region(page, "Jobs")
    rows.first.get_by_role("button", name="Show").click()
    picture = _job(page).get_by_role("img", name="filter-0")
    expect(picture).to_be_visible()
    before = rows.count()
    watch.permit(503)
    page.route("**/v1/jobs/*", _refuse_to_delete)
    rows.first.get_by_role("button", name="Delete").click()
    expect(jobs.get_by_role("alert")).to_contain_text("try again in a moment")
    expect(picture).to_be_visible()
    expect(rows).to_have_count(before)
    page.unroute("**/v1/jobs/*")
    rows.first.get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(before - 1)
    expect(_job(page)).to_have_count(0)
    expect(jobs.get_by_role("alert")).to_have_count(0)


def test_problem_is_shown_when_a_job_was_deleted_elsewhere(visit: Visit, watch: Watch, address: str):
    page = visit("/?view=methods&method=filter-patterns")
    rows, jobs = _list_one_more(page, seed="7"), region(page, "Jobs")
    before = rows.count()
    watch.permit(404)
    newest = page.request.get(f"{address}/v1/jobs?limit=1").json()["jobs"][0]
    assert page.request.delete(address + newest["links"]["self"]).ok
    rows.first.get_by_role("button", name="Delete").click()
    expect(jobs.get_by_role("link", name="job_not_found")).to_be_visible()
    expect(rows).to_have_count(before - 1)


def _list_one_more(page: Page, *, seed: str) -> Locator:
    """Draw the pattern of one filter, and go to the list of jobs: its rows."""
    _submit(page, filters="0", steps="10", size="64", seed=seed)
    expect(_job(page).get_by_role("img", name="filter-0")).to_be_visible(timeout=START_MS)
    page.get_by_role("link", name="Jobs").click()
    rows = region(page, "Jobs").get_by_role("list", name="Jobs").get_by_role("listitem")
    expect(rows.first).to_be_visible()
    return rows


def _refuse_to_delete(route: Route) -> None:
    """Answer as the service does while its store is away."""
    if route.request.method != "DELETE":
        route.continue_()
        return
    problem = {"title": "Jobs are unavailable", "status": 503, "code": "jobs_unavailable",
               "detail": "The job records cannot be reached: try again in a moment"}  # fmt: skip
    route.fulfill(status=503, content_type="application/problem+json", json=problem)


def _submit(page: Page, **fields: str) -> None:
    form = region(page, "Methods")
    for name, value in ({"layer": "conv3"} | fields).items():
        field = form.get_by_label(name, exact=True)
        if field.evaluate("(node) => node.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    form.get_by_role("button", name="Run", exact=True).click()


def _job(page: Page) -> Locator:
    return page.get_by_role("group", name="Job", exact=True)


def _watch_progress(page: Page, bar: Locator) -> list[float]:
    """The values that the bar takes until it is full or gone."""
    values: list[float] = []
    while True:
        # Of all at once, as it may be gone at any moment.
        now: list[float] = bar.evaluate_all("(nodes) => nodes.map((node) => node.value / node.max)")
        if now and now != values[-1:]:
            values += now
        if not now or now == [1]:
            return values
        page.wait_for_timeout(50)
