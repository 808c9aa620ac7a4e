"""`convscope serve`: the HTTP API in this process."""

import logging

import click

from service.cli.places import read_settings


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
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )
