"""`convscope serve`: the HTTP API in this process."""

import logging
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from service.cli.backends import read_settings
from service.logs import configure_logging
from service.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from service.api.access.early import EarlyRefusal

logger = logging.getLogger(__name__)

# As uvicorn's own command does.
_NOT_STARTED = 3
# How long requests in work may take once the service is told to end. The worker's grace comes after it: whatever stops
# the service by force has to wait longer than both.
DRAIN_SECONDS = 20
# For everything that is no connection: records, models, forms' files.
_OTHER_FILES = 256
# Enough for any limit that makes sense; some systems allow a thousand million, and programs have gone through them all.
_MAX_FILES = 65_536


@click.command()
def serve() -> None:
    """Serve the HTTP API.

    Everything is set by CONVSCOPE_* variables: see docs/settings.md.
    """
    # Not at the top: help and completion need no web framework.
    import uvicorn

    from service.app import create_app, make_early_refusal
    from service.composition.access import AccessError

    settings = read_settings()
    configure_logging(force=True)
    try:
        app = create_app(settings)
    except AccessError as error:
        raise click.UsageError(str(error)) from error

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # uvicorn waits for open answers, and streams of events would stay open.
            app.state.services.jobs.stopping.set()
            super().handle_exit(sig, frame)

    server = Server(configure(app, settings, early=make_early_refusal(app, settings)))
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_NOT_STARTED)


def configure(app: Callable[..., Any], settings: Settings, early: "EarlyRefusal | None" = None) -> "uvicorn.Config":
    """How uvicorn serves it."""
    import uvicorn

    from service.api.access.connections import ConnectionLimits, make_protocol

    limits = ConnectionLimits(bound_connections(settings.limits.connections), settings.limits.head_timeout_seconds)
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=make_protocol(limits, settings.root_path, early),
        # Nothing here speaks WebSocket.
        ws="none",
        log_config=None,
        server_header=False,
        # By itself uvicorn would believe whatever runs on this machine; the application knows whom to believe.
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )


def bound_connections(wanted: int) -> int:
    """How many connections there are file descriptors for, after asking the system for as many as it gives."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    best = _MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, _MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < best:
        resource.setrlimit(resource.RLIMIT_NOFILE, (best, hard))
        soft = best
    room = wanted if soft == resource.RLIM_INFINITY else max(1, soft - _OTHER_FILES)
    if room < wanted:
        logger.warning(
            "%d connections at most, not %d: the system allows %d open files (ulimit -n)", room, wanted, soft
        )
    return min(room, wanted)
