"""A Hugging Face hub on this machine, with as much of its API as fetching a repository takes."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

COMMIT: Final = "c0ffee" + "0" * 34


@contextmanager
def serve_hub(repositories: dict[str, Path]) -> Iterator[str]:
    """Its URL; `repositories` are folders by OWNER/NAME, each with the revisions `main` and COMMIT."""
    with _Hub(repositories) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Hub(ThreadingHTTPServer):
    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories = repositories


class _Handler(BaseHTTPRequestHandler):
    server: _Hub

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, *, with_body: bool) -> None:
        status, content, headers = self._find(self.path.partition("?")[0].strip("/").split("/"))
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _find(self, parts: list[str]) -> tuple[int, Any, dict[str, str]]:
        is_api = parts[:2] == ["api", "models"]
        owner, name, kind, revision, *rest = [*parts[2 if is_api else 0 :], "", "", "", ""]
        folder = self.server.repositories.get(f"{owner}/{name}")
        if folder is None:
            return 404, {}, {"X-Error-Code": "RepoNotFound"}
        if (revision or "main") not in ("main", COMMIT):
            return 404, {}, {"X-Error-Code": "RevisionNotFound"}
        files = sorted(folder.iterdir())
        if not is_api:
            file = folder / rest[0]
            return 200, file.read_bytes(), {"ETag": f'"{_digest(file)}"', "X-Repo-Commit": COMMIT}
        if kind == "tree":
            return 200, [{"type": "file", "path": file.name, **_describe(file)} for file in files], {}
        siblings = [{"rfilename": file.name, **_describe(file)} for file in files]
        return 200, {"id": f"{owner}/{name}", "sha": COMMIT, "siblings": siblings}, {}


def _describe(file: Path) -> dict[str, str | int]:
    return {"size": file.stat().st_size, "oid": _digest(file)}


def _digest(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
