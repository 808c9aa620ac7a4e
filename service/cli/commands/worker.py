"""`convscope worker`: a Celery worker for this service's jobs, in place of this process."""

import os
import sys

import click

from schemas.tasks import QUEUES
from service.cli.backends import read_settings


@click.command()
@click.option(
    "--queues",
    metavar="NAME,NAME…",
    default=QUEUES[0],
    show_default=True,
    help=f"Queues to work off: {', '.join(QUEUES)}. A worker of a GPU takes `gpu`, one process per GPU.",
)
@click.option("--concurrency", type=click.IntRange(1, 64), help="Processes.  [default: the setting's]")
def worker(*, queues: str, concurrency: int | None) -> None:
    """Work off jobs from Redis.

    Needs CONVSCOPE_REDIS_URL, and models, data and artifacts as the service has them. The same as
    `celery -A workers.app worker`, with the options that suit it.
    """
    if not read_settings().redis_url:
        raise click.UsageError(
            "CONVSCOPE_REDIS_URL is not set: without Redis, `convscope serve` computes its jobs by itself"
        )
    names = queues.split(",")
    if unknown := [name for name in names if name not in QUEUES]:
        raise click.UsageError(f"'{unknown[0]}' is no queue: there are {', '.join(QUEUES)}")
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker"]
    command += ["--without-gossip", "--without-mingle", "--loglevel", "INFO", "--queues", queues]
    if concurrency is not None:
        command += ["--concurrency", str(concurrency)]
    os.execv(sys.executable, command)  # noqa: S606 - this very program, with words checked above
