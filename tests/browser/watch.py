"""Watches a browser while a page is used, and keeps what must not happen."""

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError

# What Chromium itself writes for an answer of 400 and above; the answer itself is judged here.
REFUSED = "Failed to load resource: the server responded with a status of"
# A page that no longer wants an answer gives it up; so does a page that is left.
GIVEN_UP = "net::ERR_ABORTED"


class Watch:
    """`faults` are sentences: errors and warnings in the console, exceptions, failed and foreign requests.

    `requests` are the addresses that were asked for, in order. An answer of 400 and above is a fault unless its status
    was named to `permit`.
    """

    def __init__(self, origin: str) -> None:
        self.faults: list[str] = []
        self.requests: list[str] = []
        self._origin = origin
        self._permitted: set[int] = set()

    def attach(self, context: BrowserContext) -> None:
        """From here on, all pages of this context are watched."""
        context.on("request", self._request)
        context.on("requestfailed", self._failure)
        context.on("response", self._response)
        context.on("console", self._console)
        context.on("weberror", self._error)

    def permit(self, *statuses: int) -> None:
        self._permitted.update(statuses)

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((f"{self._origin}/", "data:", "blob:")):
            self.faults.append(f"foreign request: {request.url}")

    def _failure(self, request: Request) -> None:
        if request.failure != GIVEN_UP:
            self.faults.append(f"failed request: {request.url}: {request.failure}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self._permitted:
            self.faults.append(f"answer {response.status}: {response.url}")

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(REFUSED):
            self.faults.append(f"console: {message.text}")

    def _error(self, error: WebError) -> None:
        self.faults.append(f"exception: {error.error}")
