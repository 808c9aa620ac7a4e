"""The machine's own Chromium, driven by Playwright. It can reach this machine alone, whatever a page asks for."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Every name and address but the service's own is unknown: nothing leaves, and whoever tries fails and is seen. Names
# that end in .test are of this machine too: those of foreign pages.
ONLY_HERE = "--host-resolver-rules=MAP *.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
# Every page is of one site: no process is kept ready for a second one, which would cost each test half a second.
ONE_SITE = "--disable-site-isolation-trials"


@contextmanager
def open_chromium() -> Iterator[Browser]:
    """A headless browser. While it is open, its thread counts as one with a running event loop."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program is not None, f"install one of {', '.join(PROGRAMS)}; Debian's is the package 'chromium'"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=[ONLY_HERE, ONE_SITE])
        yield browser
        browser.close()
