"""Starts the service or a worker without one of its safeguards, which MUTATION names.

A suite that is content with such a program does not test the safeguard. Holds no tests.
"""

import os
import sys
from functools import cache

from service.jobs.reconciler import Reconciler
from service.jobs.store import redis_scripts


def switch_reconciler_off() -> None:
    def do_nothing(self: Reconciler) -> None:
        """Instead of a round."""

    Reconciler.reconcile_once = do_nothing  # type: ignore[method-assign]


def switch_fencing_off() -> None:
    """An attempt stands as its chunk does, whosoever it is."""
    text = redis_scripts._text.__wrapped__
    check = "if chunk[1] and chunk[2] ~= fence then"

    @cache
    def without_check(name: str) -> str:
        script = text(name)
        assert script.count(check) == 1
        return script.replace(check, "if false then")

    redis_scripts._text = without_check


{"reconciler": switch_reconciler_off, "fencing": switch_fencing_off}[os.environ["MUTATION"]]()

# The worker's children run this file too, under another name: they are fresh interpreters, and mutants as well.
if __name__ == "__main__":
    if sys.argv[1] == "serve":
        from service.cli import main

        main(["serve"])
    else:
        from workers.app import app

        app.worker_main(["worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO", "--queues", "cpu"])
