"""The page where the service asks for keys: signing in and out, and a key that ends in the middle."""

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from service.api.access.callers import Role
from service.api.access.keys.changing import add_key
from tests.browser.conftest import DESKTOP, PATIENCE_MS
from tests.browser.gestures import SCENE, choose_photo, copied, heat_map, region
from tests.browser.test_everyone import PHONE, serious_faults
from tests.browser.watch import Watch
from tests.server import Server

OWNERS: dict[str, Role] = {"rita": "read", "alice": "use", "bob": "use"}


@dataclass(frozen=True)
class Keyed:
    """A service that loads nothing unasked, and its file of keys."""

    url: str
    file: Path
    keys: dict[str, str]

    def revoke(self, owner: str) -> str:
        """Take an owner's line away, and wait until the service knows; the file as it was."""
        before = self.file.read_text(encoding="ascii")
        lines = [line for line in before.splitlines(keepends=True) if not line.startswith(f"{owner} ")]
        self._write("".join(lines), owner, 401)
        return before

    def restore(self, before: str, owner: str) -> None:
        self._write(before, owner, 200)

    def _write(self, text: str, owner: str, status: int) -> None:
        self.file.write_text(text, encoding="ascii")
        headers = {"Authorization": f"Bearer {self.keys[owner]}"}
        while httpx2.get(f"{self.url}/v1/methods", headers=headers).status_code != status:
            pass


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    file = tmp_path_factory.mktemp("keys") / "keys"
    keys = {owner: add_key(file, owner, role)[0] for owner, role in OWNERS.items()}
    settings = {"CONVSCOPE_API_KEYS": str(file), "CONVSCOPE_MODELS_MODE": "explicit"}
    with Server(tmp_path_factory.mktemp("keyed") / "log", **settings) as server:
        server.wait_until_ready()
        yield Keyed(server.url, file, keys)
    assert not [key for key in keys.values() if key in server.log()]


@pytest.fixture
def watch(keyed: Keyed) -> Iterator[Watch]:
    watching = Watch(keyed.url)
    yield watching
    assert watching.faults == []


@pytest.fixture
def visit(chromium: Browser, keyed: Keyed, watch: Watch) -> Iterator[Any]:
    contexts = []

    def open_path(path: str = "/", **options: Any) -> Page:
        context = chromium.new_context(**({"viewport": DESKTOP, "locale": "en-GB"} | options))
        context.set_default_timeout(PATIENCE_MS)
        watch.attach(context)
        contexts.append(context)
        page = context.new_page()
        page.goto(keyed.url + path)
        return page

    yield open_path
    for context in contexts:
        context.close()


def sign_in(page: Page, key: str) -> None:
    _form(page).get_by_label("Key", exact=True).fill(key)
    _form(page).get_by_role("button", name="Sign in").click()


def _form(page: Page) -> Locator:
    return region(page, "Sign in")


def test_page_is_there_until_one_signs_out_and_keeps_nothing_of_the_key(visit: Any, keyed: Keyed, watch: Watch) -> None:
    watch.permit(401)
    page = visit("/?scene=ring")
    field = _form(page).get_by_label("Key", exact=True)
    expect(field).to_be_focused()
    expect(page.get_by_label("Model")).to_be_hidden()
    assert [url for url in watch.requests if "/v1/" in url] == []
    sign_in(page, f"{keyed.keys['alice']}x")
    expect(field).to_have_accessible_description(re.compile("not taken"))
    expect(field).to_be_focused()
    field.fill(f" {keyed.keys['alice']} ")
    field.press("Enter")
    expect(heat_map(page, "ring")).to_be_visible()
    expect(_form(page)).to_be_hidden()
    expect(page.get_by_role("banner")).to_contain_text("alice (use)")
    kept = page.evaluate(
        "() => JSON.stringify([localStorage, sessionStorage, document.cookie, location.href, history.state])"
    )
    assert keyed.keys["alice"][10:30] not in kept + page.content()
    assert page.locator("#key").input_value() == ""
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    page.reload()
    expect(heat_map(page, "ring")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(_form(page)).to_be_visible()
    expect(heat_map(page)).to_have_count(0)
    assert page.context.cookies() == []


def test_everyone_can_sign_in(visit: Any, keyed: Keyed) -> None:
    page = visit("/?view=methods", reduced_motion="reduce", color_scheme="dark", viewport=PHONE, is_mobile=True)
    expect(_form(page)).to_be_visible()
    assert serious_faults(page) == []
    sign_in(page, keyed.keys["rita"])
    expect(page.get_by_text("Your key may look")).to_be_visible()
    expect(region(page, "Methods").get_by_role("button", name="Run", exact=True)).to_be_disabled()
    page.emulate_media(color_scheme="light")
    assert serious_faults(page) == []
    assert page.evaluate("() => document.documentElement.scrollWidth - innerWidth") <= 0


def test_words_are_chinese_when_the_browser_is(visit: Any, watch: Watch) -> None:
    watch.permit(401)
    page = visit(locale="zh-CN")
    sheet = page.get_by_role("region", name="登录")
    sheet.get_by_label("密钥").fill("convscope_x")
    sheet.get_by_role("button", name="登录").click()
    expect(sheet.get_by_role("alert")).to_contain_text("密钥无效")


def test_nothing_is_lost_when_the_key_is_revoked_in_the_middle(visit: Any, keyed: Keyed, watch: Watch) -> None:
    page = visit("/?view=methods&method=predictions")
    sign_in(page, keyed.keys["alice"])
    form = region(page, "Methods")
    choose_photo(page, SCENE)
    form.get_by_label("top", exact=True).fill("3")
    form.get_by_role("button", name="Run", exact=True).click()
    results = form.get_by_role("group", name="Result").get_by_role("list").get_by_role("listitem")
    expect(results).to_have_count(3)
    before = keyed.revoke("alice")
    watch.permit(401)
    form.get_by_label("top", exact=True).fill("2")
    page.get_by_role("link", name="Jobs").click()
    expect(_form(page).get_by_role("status")).to_contain_text("Sign in again to go on")
    expect(_form(page).get_by_label("Key", exact=True)).to_be_focused()
    page.get_by_role("link", name="Methods").click()
    expect(results).to_have_count(3)
    form.get_by_role("button", name="Run", exact=True).click()
    sign_in(page, keyed.keys["alice"])
    expect(_form(page).get_by_role("alert")).to_contain_text("not taken")
    keyed.restore(before, "alice")
    sign_in(page, keyed.keys["alice"])
    # What was asked for goes on by itself, with the photo and the form as they were.
    expect(results).to_have_count(2)
    expect(form.get_by_label("top", exact=True)).to_have_value("2")
    expect(region(page, "Photo")).to_contain_text(SCENE.name)


def test_page_begins_anew_when_somebody_else_signs_in(visit: Any, keyed: Keyed, watch: Watch) -> None:
    page = visit()
    sign_in(page, keyed.keys["alice"])
    expect(heat_map(page)).to_be_visible()
    choose_photo(page, SCENE)
    expect(region(page, "Photo")).to_contain_text(SCENE.name)
    watch.permit(401)
    # Of another tab.
    page.context.clear_cookies()
    page.get_by_role("link", name="Jobs").click()
    sign_in(page, keyed.keys["bob"])
    expect(page.get_by_role("banner")).to_contain_text("bob (use)")
    page.get_by_role("link", name="Look").click()
    expect(heat_map(page)).to_be_visible()
    expect(region(page, "Photo")).not_to_contain_text(SCENE.name)


def test_nothing_is_asked_that_the_role_forbids(visit: Any, keyed: Keyed, watch: Watch) -> None:
    """`watch` finds a fault in any 403."""
    page = visit()
    sign_in(page, keyed.keys["rita"])
    expect(region(page, "Network").get_by_role("option").first).to_be_visible()
    region(page, "Network").get_by_role("option", name=re.compile("^conv3")).click()
    for view in ("Methods", "Jobs", "Look"):
        page.get_by_role("link", name=view).click()
        expect(page.get_by_text("Your key may look")).to_be_visible()
    page.get_by_label("Model").select_option("glyphs")
    expect(region(page, "Network")).to_contain_text("once it has been loaded")
    page.wait_for_load_state("networkidle")
    assert "/load" not in " ".join(watch.requests)


def test_model_is_loaded_by_asking_it_when_the_role_does_not_load(visit: Any, keyed: Keyed, watch: Watch) -> None:
    # An autoencoder has no heat map, which is not known before it has been loaded.
    watch.permit(422)
    page = visit("/?model=glyphs")
    sign_in(page, keyed.keys["alice"])
    expect(region(page, "Network").get_by_role("option").first).to_be_visible()
    assert "/load" not in " ".join(watch.requests)


def test_copied_requests_bring_the_key_of_the_environment(visit: Any, keyed: Keyed, tmp_path: Path) -> None:
    page = visit("/?scene=ring", permissions=["clipboard-read", "clipboard-write"])
    sign_in(page, keyed.keys["alice"])
    expect(heat_map(page, "ring")).to_be_visible()
    environment = os.environ | {"CONVSCOPE_KEY": keyed.keys["alice"]}
    for button, program in {"curl": ["bash", "-ec"], "Python": ["python3", "-c"]}.items():
        region(page, "Heat map").get_by_role("button", name=f"Copy as {button}").click()
        command = [*program, text := copied(page)]
        assert keyed.keys["alice"][10:30] not in text
        ran = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)
        assert b"ring" in ran.stdout
        # The next is news again.
        expect(page.get_by_text("Copied", exact=True)).to_have_count(0, timeout=PATIENCE_MS)
