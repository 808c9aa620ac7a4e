"""What commands say, on standard output or standard error: no foreign word commands the terminal."""

import click

from schemas.sentences import visible


def speak(text: str, /, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(visible(text), err=err)  # noqa: TID251 - here it is


def speak_lines(text: str, /) -> None:
    """Print several lines, in none of which a foreign word brings a line feed along."""
    for line in text.split("\n"):
        speak(line)
