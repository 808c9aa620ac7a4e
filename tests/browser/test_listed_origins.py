"""CORS as Chromium has it: a listed page asks with a key in a header; cookies and other pages get nowhere."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.browser.conftest import PATIENCE_MS
from tests.browser.test_foreign import _serve
from tests.contract.keyed import make_keyed, serve

ASK = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    return [answer.status, answer.headers.get("WWW-Authenticate"), (await answer.json()).code ?? null];
  } catch { return "refused"; }
}"""
JOB = f"/v1/jobs/{'0' * 32}/cancel"


def test_listed_page_asks_with_a_key_and_never_with_the_cookie(chromium: Browser, tmp_path: Path) -> None:
    with _serve("<!doctype html><title>lab</title>") as lab, _serve("<!doctype html><title>other</title>") as other:
        keyed = make_keyed(tmp_path, cors_origins=(f"http://127.0.0.1:{lab}",))
        with serve(keyed.client.app) as url:
            context = chromium.new_context()
            context.set_default_timeout(PATIENCE_MS)
            page = context.new_page()

            def ask(path: str, method: str = "GET", **options: Any) -> Any:
                return page.evaluate(ASK, [url + path, options | {"method": method}])

            page.goto(url)
            _sign_in(page, str(keyed.keys["use"]))
            assert ask(JOB, "POST") == [404, None, "job_not_found"]
            header = keyed.headers("use")
            page.goto(f"http://127.0.0.1:{lab}/")
            assert ask("/v1/jobs", headers=header) == [200, None, None]
            assert ask(JOB, "POST", headers=header) == [404, None, "job_not_found"]
            assert ask(JOB, "POST") == [401, 'Bearer realm="convscope"', "key_missing"]
            # The browser sends the cookie to all ports of a host; it does not count, and nothing can be read.
            assert ask(JOB, "POST", credentials="include") == "refused"
            page.goto(f"http://127.0.0.1:{other}/")
            for options in ({"headers": header}, {}, {"credentials": "include"}):
                assert ask(JOB, "POST", **options) == ask("/v1/jobs", **options) == "refused"
            context.close()


def _sign_in(page: Page, key: str) -> None:
    body = {"method": "POST", "headers": {"Content-Type": "application/json"}, "body": f'{{"key": "{key}"}}'}
    assert page.evaluate("async (options) => (await fetch('/ui/session', options)).status", body) == 204
