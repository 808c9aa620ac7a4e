"""From the heat map into the network: layers, channels, and what excites them."""

import re

import pytest
from playwright.sync_api import Page, Route, expect
from playwright.sync_api import TimeoutError as GaveUpError

from tests.browser.conftest import Visit
from tests.browser.gestures import heat_map, region


def _open_layer(page: Page, name: str) -> None:
    expect(heat_map(page)).to_be_visible()
    region(page, "Network").get_by_role("option", name=re.compile(f"^{name}, ")).click()


def test_channels_are_shown_when_a_layer_is_clicked(visit: Visit):
    page = visit()
    _open_layer(page, "conv2")
    channels = region(page, "Activations").get_by_role("option")
    expect(channels).to_have_count(32)
    expect(region(page, "Network").get_by_role("option", name=re.compile("^conv2, "))).to_have_attribute(
        "aria-selected", "true"
    )


def test_no_channel_of_the_layer_before_is_chosen_when_another_is_on_its_way(visit: Visit):
    page = visit()
    expect(heat_map(page)).to_be_visible()
    tile = region(page, "Activations").get_by_role("option", name="Channel 3", exact=True)
    expect(tile).to_be_visible()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/activations", hold)
    _open_layer(page, "conv2")
    expect(page).to_have_url(re.compile("layer=conv2"))
    with pytest.raises(GaveUpError):
        tile.click(timeout=1000)
    expect(page).not_to_have_url(re.compile("channel="))
    for route in held:
        route.continue_()
    page.unroute("**/activations")
    tile.click()
    expect(region(page, "Channel").get_by_role("heading", name="Channel 3 of conv2")).to_be_visible()


def test_channel_is_large_beside_its_kernel_when_it_is_clicked(visit: Visit):
    page = visit()
    _open_layer(page, "conv2")
    region(page, "Activations").get_by_role("option", name="Channel 3", exact=True).click()
    channel = region(page, "Channel")
    expect(channel.get_by_role("heading", name="Channel 3 of conv2")).to_be_visible()
    for name in ("Activation of channel 3", "Kernel of filter 3"):
        image = channel.get_by_role("img", name=name)
        expect(image).to_be_visible()
        assert image.evaluate("(node) => (node.naturalWidth ?? node.width) > 0")


def test_pattern_appears_when_a_channel_is_asked_what_excites_it(visit: Visit):
    page = visit()
    _open_layer(page, "conv2")
    region(page, "Activations").get_by_role("option", name="Channel 5", exact=True).click()
    region(page, "Channel").get_by_role("button", name="Draw its pattern").click()
    expect(region(page, "Channel").get_by_role("img", name="Pattern of filter 5")).to_be_visible(timeout=60_000)
