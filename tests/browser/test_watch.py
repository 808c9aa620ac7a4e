"""The watch itself: each kind of fault is seen, or the other tests would pass on a broken page."""

import time

import pytest

from tests.browser.conftest import Visit
from tests.browser.watch import Watch


@pytest.mark.parametrize(
    ("script", "fault"),
    [
        ("console.warn('careless')", "console: careless"),
        ("setTimeout(() => { throw new Error('broken'); })", "exception: broken"),
        ("fetch('/v1/models/nobody').then(() => {})", "answer 404: "),
        ("fetch('http://example.com/', {mode: 'no-cors'}).catch(() => {})", "foreign request: http://example.com/"),
        ("navigator.sendBeacon('http://192.0.2.1/', 'x')", "failed request: http://192.0.2.1/"),
    ],
)
def test_fault_is_seen_when_a_page_does_it(visit: Visit, watch: Watch, script: str, fault: str):
    # The service's own policy would let most of it not come so far.
    page = visit("/livez", bypass_csp=True)
    page.evaluate(f"() => {{ {script} }}")
    end = time.monotonic() + 10
    while not any(seen.startswith(fault) for seen in watch.faults) and time.monotonic() < end:
        page.wait_for_timeout(20)
    assert any(seen.startswith(fault) for seen in watch.faults), watch.faults
    # Nothing more is seen from here on.
    page.context.close()
    watch.faults.clear()
