"""The terminal: `convscope serve`."""

import logging
import os

import click
import uvicorn

from service.settings import Settings


@click.group()
@click.version_option(package_name="convscope")
def main() -> None:
    """See what a convolutional network sees."""


@main.command()
def serve() -> None:
    """Serve the HTTP API. Everything is set by CONVSCOPE_* variables: see docs/settings.md."""
    # TensorFlow's C++ log is for its developers; the service's own log says what fails.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from service.app import create_app

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=20,
    )
