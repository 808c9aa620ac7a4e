"""A real nginx with TLS before a real service, by the lines of docs/proxies.md. Holds no tests."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from service.api.access.callers import Role
from service.api.access.keys.changing import add_key
from tests.ports import free_port
from tests.server import Server

ROOT = Path(__file__).parents[2]
PREFIX = "/tools/convscope"
# Names that end in .test are known to Chromium alone, as this machine's.
NAME = "cam.test"
START_SECONDS = 20.0
Way = Literal["taken off", "kept"]
OWNERS: dict[str, Role] = {"alice": "use", "bob": "use"}
CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy;
    fastcgi_temp_path other; uwsgi_temp_path other; scgi_temp_path other;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        {location}
    }}
}}
"""


@dataclass(frozen=True)
class Proxied:
    """A service that asks for keys, as clients see it; `certificate` is a file that programs have to trust."""

    origin: str
    certificate: Path
    file: Path
    keys: dict[str, str]

    @property
    def url(self) -> str:
        return f"{self.origin}{PREFIX}"

    @property
    def local_url(self) -> str:
        """For programs, which know no names that end in .test."""
        return self.url.replace(NAME, "localhost")

    def revoke(self, owner: str) -> str:
        """Take an owner's line away; the file as it was."""
        before = self.file.read_text(encoding="ascii")
        lines = [line for line in before.splitlines(keepends=True) if not line.startswith(f"{owner} ")]
        self.file.write_text("".join(lines), encoding="ascii")
        return before


@contextmanager
def proxied(folder: Path, way: Way) -> Iterator[Proxied]:
    file = folder / "keys"
    keys = {owner: add_key(file, owner, role)[0] for owner, role in OWNERS.items()}
    settings = {
        "CONVSCOPE_API_KEYS": str(file),
        "CONVSCOPE_HOSTS": f"{NAME},localhost",
        "CONVSCOPE_TRUSTED_PROXIES": "127.0.0.1",
        "CONVSCOPE_WORKER__WARM": "true",
        **({"CONVSCOPE_ROOT_PATH": PREFIX} if way == "kept" else {}),
    }
    with Server(folder / "log", **settings) as server:
        server.wait_until_ready()
        with _nginx(folder, way, server.port) as port:
            yield Proxied(f"https://{NAME}:{port}", folder / "certificate.pem", file, keys)
    assert not [key for key in keys.values() if key in server.log()]


def location(way: Way, port: int) -> str:
    """The lines of the document, with the service's port."""
    page = (ROOT / "docs" / "proxies.md").read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 2
    return blocks[way == "kept"].replace("127.0.0.1:8000", f"127.0.0.1:{port}")


@contextmanager
def _nginx(folder: Path, way: Way, service: int) -> Iterator[int]:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    assert program is not None, "install nginx; Debian's is the package 'nginx'"
    _certify(folder)
    user = "user root;" if os.getuid() == 0 else ""
    text = CONFIGURATION.format(port=(port := free_port()), user=user, location=location(way, service))
    (folder / "nginx.conf").write_text(text, encoding="utf-8")
    with (folder / "nginx.log").open("wb") as log:
        command = [program, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(process, port, folder / "nginx.log")
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(START_SECONDS)


def _certify(folder: Path) -> None:
    """A certificate of its own making, for two days."""
    names = f"subjectAltName=DNS:{NAME},DNS:*.test,DNS:localhost,IP:127.0.0.1"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    files = ["-keyout", "key.pem", "-out", "certificate.pem", "-subj", f"/CN={NAME}", "-addext", names]
    subprocess.run([*command, *files], cwd=folder, check=True, capture_output=True)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nginx does not answer:\n{log.read_text(encoding='utf-8', errors='replace')}")
