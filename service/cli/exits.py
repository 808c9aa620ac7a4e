"""What an exit code means, and which errors concern one picture and which end the whole command."""

from enum import IntEnum
from typing import NoReturn

import click

from service.cli.speech import speak
from service.client import ServiceError
from service.engine.parameters import InvalidParametersError
from service.errors import ConvscopeError

# What a Backend raises. Both have a stable `code` and a `detail`.
PROBLEMS = (ConvscopeError, ServiceError)
AnyProblem = ConvscopeError | ServiceError


class Exit(IntEnum):
    """The table stands in docs/terminal.md too."""

    SOME_FAILED = 1
    PARAMETERS = 2
    MODEL = 3
    ALL_FAILED = 4
    SERVICE = 5
    DIFFERENT = 6
    KEY = 7
    INTERRUPTED = 130


_OF_THE_MODEL = {"model_not_found", "version_not_found", "model_failed", "weights_unavailable", "method_unavailable"}
_OF_THE_SERVICE = {
    "unreachable",
    "timeout",
    "unexpected_answer",
    "server_busy",
    "not_found",
    "rate_limited",
    "owner_limit_reached",
}
_OF_THE_KEY = {"key_missing", "key_invalid", "role_insufficient"}


def judge(problem: AnyProblem) -> Exit | None:
    """The exit code of a problem that every picture would meet; None for one of this picture alone."""
    if problem.code in _OF_THE_MODEL:
        return Exit.MODEL
    if problem.code in _OF_THE_SERVICE:
        return Exit.SERVICE
    if problem.code in _OF_THE_KEY:
        return Exit.KEY
    return Exit.PARAMETERS if problem.code == "invalid_parameters" or _points_to_parameter(problem) else None


def _points_to_parameter(problem: AnyProblem) -> bool:
    if isinstance(problem, ServiceError | InvalidParametersError):
        names = [error.pointer.removeprefix("#").lstrip("/").partition("/")[0] for error in problem.errors]
    else:
        names = [problem.field or ""]
    return any(name not in ("", "image", "images") for name in names)


def fail(problem: AnyProblem, exit_code: Exit) -> NoReturn:
    """End the command with the problem's own sentence and code."""
    speak(f"Error: {say(problem)}", err=True)
    click.get_current_context().exit(exit_code)


def say(problem: AnyProblem) -> str:
    # Never an option: that would stand in the shell's history, and in the list of processes.
    advice = "; here the key is what CONVSCOPE_KEY holds" if problem.code in _OF_THE_KEY else ""
    return f"{problem.detail}{advice} [{problem.code}]"
