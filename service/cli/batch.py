"""One command's work: every picture in turn; one that fails is reported, and the rest go on."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click

from schemas.results import Result
from schemas.sentences import visible_json
from service.cli.backends import Backend, Report, Work
from service.cli.contact_sheet import Skipped, describe_dataset, describe_predictions, describe_versions
from service.cli.exits import PROBLEMS, Exit, fail, judge, say
from service.cli.gate import Neighbours, find_failures
from service.cli.interrupts import hold_interrupts
from service.cli.output import OutputFolder, readable, to_line
from service.cli.pictures import Picture, shorten
from service.cli.speech import speak
from service.engine.kinds.method import AnyMethod

# So many files are named in a sentence; the rest are counted.
_NAMED = 3
# Steps of the progress bar per picture.
_FINE = 1000
_SIXTEEN = 16


class Echo(Protocol):
    """Speaks on standard output or, with `err`, on standard error."""

    def __call__(self, text: str, /, *, err: bool) -> None: ...


class Batch:
    """Works at a backend, into a folder where there is one, or onto standard output."""

    def __init__(self, work: Work, backend: Backend, output: OutputFolder | None, *, is_json: bool) -> None:
        self._work = work
        self._backend = backend
        self._output = output
        self._is_json = is_json
        self._skipped: list[Skipped] = []
        self._compared: list[tuple[str, list[Neighbours]]] = []
        self._done = 0

    def do(self, pictures: list[Picture | None], *, min_correlation: float | None = None) -> None:
        """Work, and end the command with its exit code."""
        try:
            exit_code = self._go_through(pictures)
            different = 0 if exit_code == Exit.INTERRUPTED else self._compare(min_correlation)
        except PROBLEMS as problem:
            fail(problem, judge(problem) or Exit.ALL_FAILED)
        except BrokenPipeError:
            # Whoever read our output has seen enough; click ends the process quietly.
            raise
        except OSError as error:
            raise click.UsageError(f"the output cannot be written: {error}") from error
        click.get_current_context().exit(exit_code or different)

    def _go_through(self, pictures: list[Picture | None]) -> int:
        try:
            takes_long = self._work.method.kind == "job" or self._work.pictures is not None
            with _progress(pictures, self._work.method, takes_long=takes_long) as (items, echo, report):
                for picture in items:
                    self._one(picture, echo, report)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        finally:
            # Also when work ends early: what is done is done.
            with hold_interrupts():
                sheet = self._output.finish(self._skipped) if self._output else None
            if sheet is not None:
                speak(f"{self._done} done, {len(self._skipped)} failed: {sheet}", err=True)
        if not self._skipped:
            return 0
        return Exit.SOME_FAILED if self._done else Exit.ALL_FAILED

    def _compare(self, least: float | None) -> int:
        """Whether all versions were alike enough, of every picture."""
        if least is None:
            return 0
        failures = [f"{of}: {failure}" for of, pairs in self._compared for failure in find_failures(pairs, least)]
        for failure in failures:
            speak(failure, err=True)
        return Exit.DIFFERENT if failures else 0

    def _one(self, picture: Picture | None, echo: Echo, report: Report) -> None:
        path = None if picture is None else picture.path
        try:
            result = self._backend.run(self._work, path, report)
        except PROBLEMS as problem:
            if judge(problem) is not None or path is None:
                raise
            self._skipped.append(Skipped(readable(path), problem.code, problem.detail))
            echo(f"{readable(path)}: {say(problem)}", err=True)
            return
        stem = shorten(result.model) if picture is None else picture.stem
        if note := _about_range(result.provenance.plan.get("sample_range")):
            echo(f"{stem if path is None else readable(path)}: {note}", err=True)
        files = self._output.add(path, stem, result) if self._output else ()
        self._done += 1
        if self._work.versions is not None:
            self._compared.append((result.model if path is None else readable(path), result.values["neighbours"]))
        # Of a dataset: the others are in the result.
        for item in result.values.get("skipped", ()) if self._work.pictures else ():
            self._skipped.append(Skipped(item["name"], item["code"], item["detail"]))
            echo(f"{item['name']}: {item['detail']} [{item['code']}]", err=True)
        for item in result.values.get("sample_ranges", ()):
            echo(f"{item['name']}: {_about_range(item)}", err=True)
        echo(visible_json(to_line(path, result, files)) if self._is_json else _sentence(path, result, files), err=False)


def _about_range(samples: Mapping[str, object] | None) -> str | None:
    """Of a picture that is drawn brighter than sixteen bits are, though no file says so."""
    if samples is None or samples["sure"] != "found" or samples["bits"] == _SIXTEEN:
        return None
    return f"no number is over {samples['maximum']}: taken for {samples['bits']} of 16 bits, and drawn brighter"


@contextmanager
def _progress(
    pictures: list[Picture | None], method: AnyMethod, *, takes_long: bool
) -> Iterator[tuple[Iterable[Picture | None], Echo, Report]]:
    """The pictures behind a progress bar, on a terminal only, and how to speak meanwhile: after the bar has gone."""
    stream = sys.stderr
    if (len(pictures) == 1 and not takes_long) or not stream.isatty():
        yield pictures, speak, _ignore
        return
    held: list[tuple[str, bool]] = []

    def hold(text: str, /, *, err: bool) -> None:
        if err or sys.stdout.isatty():
            held.append((text, err))
        else:
            speak(text)

    try:
        with click.progressbar(length=_FINE * len(pictures), label=method.name, file=stream, show_eta=True) as bar:

            def report(fraction: float) -> None:
                """Move the bar within the picture that is under way."""
                bar.update(bar.pos // _FINE * _FINE + int(fraction * (_FINE - 1)) - bar.pos)

            def advance() -> Iterator[Picture | None]:
                for count, picture in enumerate(pictures, 1):
                    yield picture
                    bar.update(count * _FINE - bar.pos)

            yield advance(), hold, report
    finally:
        for text, err in held:
            speak(text, err=err)


def _ignore(_: float) -> None:
    """Where there is no bar."""


def _sentence(path: Path | None, result: Result, files: tuple[str, ...]) -> str:
    """A result in a line: beside pictures the best class, else every prediction that was asked for."""
    subject = result.model if path is None else readable(path)
    if "neighbours" in result.values:
        return f"{subject}: {describe_versions(result)}"
    if result.provenance.images_sha256 is not None:
        return f"{subject}: {describe_dataset(result)}"
    said = describe_predictions(result, 1 if files else len(result.predictions))
    return f"{subject}: {said or _list(files) or 'done'}"


def _list(files: tuple[str, ...]) -> str:
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return ", ".join(files[:_NAMED]) + more
