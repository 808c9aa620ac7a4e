"""Asks the terminal: its commands, run in this process, which computes by itself, or lets the service work."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from click.testing import CliRunner, Result

from service.cli import make_program
from service.cli.backends import Backend, open_backend
from service.engine.methods import METHODS
from tests.tour.inputs import Inputs
from tests.tour.over_http import to_text
from tests.tour.questions import Question
from tests.tour.reading import Record, record


@contextmanager
def open_terminal(environment: dict[str, str]) -> Iterator["Terminal"]:
    """The real program, but that its commands share what they load: a large network takes seconds."""
    with ExitStack() as stack:
        places: list[Backend] = []

        @contextmanager
        def open_once(server: str | None) -> Iterator[Backend]:
            if server is not None:
                with open_backend(server) as there:
                    yield there
                return
            if not places:
                places.append(stack.enter_context(open_backend(None)))
            yield places[0]

        yield Terminal(make_program(METHODS.values(), open_once), environment)


@dataclass(frozen=True)
class Terminal:
    """`environment` says where models and records are."""

    program: click.Command
    environment: dict[str, str]
    server: str | None = None

    def look(self, *arguments: str) -> Record:
        """A command that lists or describes."""
        done = self._run([*arguments, "--json"])
        return record(int(done.exit_code), _read_lines(done.stdout), {})

    def ask(self, questions: Iterable[Question], inputs: Inputs) -> Iterator[tuple[str, Record]]:
        for question in questions:
            with TemporaryDirectory() as folder:
                done = self._run([*_arguments(question, inputs), "-o", folder])
                yield question.name, _read_folder(int(done.exit_code), Path(folder))

    def _run(self, arguments: list[str]) -> Result:
        there = ["--server", self.server] if self.server else []
        return CliRunner().invoke(self.program, [*arguments, *there], env=self.environment, catch_exceptions=False)


def _arguments(question: Question, inputs: Inputs) -> list[str]:
    words = ["compare"] if question.compares else []
    words += [question.method, "--model", question.model]
    words += ["--version", question.version] if question.version else []
    for name, value in question.params.items():
        flag = name.replace("_", "-")
        words += [f"--{'' if value else 'no-'}{flag}"] if isinstance(value, bool) else [f"--{flag}", to_text(value)]
    if question.sends == "nothing":
        return words
    if question.sends == "name":
        return [*words, "--dataset", question.model]
    return [*words, str(inputs.image if question.sends == "image" else inputs.images)]


def _read_folder(exit_code: int, folder: Path) -> Record:
    """What a command wrote: its lines, and its pictures by what stands between method and ending."""
    lines = folder / "results.jsonl"
    results = _read_lines(lines.read_text(encoding="utf-8")) if lines.exists() else []
    files = {image["name"]: image["file"] for result in results for image in result["images"]}
    pictures = {name: (folder / file).read_bytes() for name, file in files.items()}
    return record(exit_code, results[0] if len(results) == 1 else results, pictures)


def _read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]
