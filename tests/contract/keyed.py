"""A service that asks for keys, with one key of each kind. Holds no tests."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from service.api.access.callers import Role
from service.api.access.keys.authenticator import Authenticator
from service.api.access.keys.changing import add_key
from service.api.access.keys.guard import KeyGuard
from service.app import create_app
from service.settings import Settings

BASE = "http://127.0.0.1"
WRONG = "convscope_" + "0" * 64


@dataclass
class Keyed:
    """`keys` are by what they are: roles, `expired`, `revoked`, `wrong` and `none`."""

    path: Path
    client: TestClient
    keys: dict[str, str | None]

    @property
    def authenticator(self) -> Authenticator:
        """What the application asks, to be told at once that the file has changed."""
        (guard,) = [each for each in self.client.app.user_middleware if each.cls is KeyGuard]  # type: ignore[attr-defined]
        found: Authenticator = guard.kwargs["authenticator"]
        return found

    def headers(self, kind: str) -> dict[str, str]:
        key = self.keys[kind]
        return {} if key is None else {"Authorization": f"Bearer {key}"}


def make_keyed(folder: Path, **settings: Any) -> Keyed:
    """An application in this process that loads nothing; only its job records are real."""
    (folder / "data").mkdir(parents=True)
    path = folder / "keys"
    roles: tuple[Role, ...] = ("read", "use", "admin")
    keys: dict[str, str | None] = {role: add_key(path, f"{role}-owner", role)[0] for role in roles}
    keys["expired"] = add_key(path, "late", "admin", expires="2020-01-01")[0]
    secret, revoked = add_key(path, "gone", "admin")
    app = create_app(
        Settings(
            _env_file=None,
            data=folder / "data",
            api_keys=path,
            worker={"warm": False},
            models_mode="explicit",
            **settings,
        )
    )
    keyed = Keyed(path, TestClient(app, base_url=BASE, raise_server_exceptions=False), keys)
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if revoked.sha256 not in line))
    keyed.authenticator.keys.look()
    return Keyed(path, keyed.client, keys | {"revoked": secret, "wrong": WRONG, "none": None})


@contextmanager
def serve(app: ASGIApp) -> Iterator[str]:
    """An application behind a real socket, without what its start would load."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none"))
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
