"""From the heat map into the network: layers, channels, and what excites them."""

import re

from playwright.sync_api import Page, expect

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
