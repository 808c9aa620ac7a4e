"""`convscope serve`: the HTTP API in this process."""

import logging
import sys
from contextlib import suppress
from types import FrameType

import click

from service.cli.places import read_settings

# As uvicorn's own command does.
_NOT_STARTED = 3


@click.command()
def serve() -> None:
    """Serve the HTTP API.

    Everything is set by CONVSCOPE_* variables: see docs/settings.md.
    """
    # Not at the top: help and completion need no web framework.
    import uvicorn

    from service.app import create_app

    settings = read_settings()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            # uvicorn waits for open answers, and streams of events would stay open.
            app.state.services.jobs.stopping.set()
            super().handle_exit(sig, frame)

    server = Server(config)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(_NOT_STARTED)
