"""The terminal: `convscope serve | worker | models | layers | datasets | doctor | keys | METHOD IMAGE…`, by METHODS."""

import logging
import os
from collections.abc import Iterable

import click

from service.cli.backends import OpenBackend, open_backend
from service.cli.commands.doctor import doctor
from service.cli.commands.keys import keys
from service.cli.commands.lists import make_datasets, make_layers, make_models
from service.cli.commands.methods import make_compare, make_method
from service.cli.commands.serve import serve
from service.cli.commands.worker import worker
from service.cli.exits import Exit
from service.engine.kinds.method import AnyMethod
from service.engine.methods import METHODS
from service.logs import configure_logging


class Program(click.Group):
    """The group of all commands; its help lists the methods apart from the rest."""

    def __init__(self, methods: dict[str, click.Command], others: dict[str, click.Command]) -> None:
        super().__init__(
            name="convscope",
            help="See what a convolutional network sees.",
            epilog="Exit codes, completion and examples: docs/terminal.md.",
            commands=others | methods,
            callback=_quieten,
        )
        self._sections = {"Methods": methods, "Commands": others}

    def invoke(self, ctx: click.Context) -> object:
        """Ctrl-C has one exit code, wherever it comes."""
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(Exit.INTERRUPTED)

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, command.get_short_help_str(70)) for name, command in commands.items()])


def make_program(methods: Iterable[AnyMethod], backend: OpenBackend) -> click.Command:
    """Every command, working at the backends that `backend` opens."""
    methods = list(methods)
    program = Program(
        {method.name: make_method(method, backend) for method in methods},
        {
            "compare": make_compare(methods, backend),
            "models": make_models(backend),
            "layers": make_layers(backend),
            "datasets": make_datasets(backend),
            "doctor": doctor,
            "keys": keys,
            "serve": serve,
            "worker": worker,
        },
    )
    return click.version_option(package_name="convscope")(program)


def _quieten() -> None:
    # TensorFlow's C++ log is for its developers, and it reads this when it is imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # What went wrong is said once, by the commands; a traceback is logged only where the fault is ours.
    configure_logging(logging.ERROR, form="%(levelname)s %(name)s %(message)s")


main = make_program(METHODS.values(), open_backend)
