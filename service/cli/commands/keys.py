"""`convscope keys new | list | revoke`: the key file, as the service reads it. The key itself is printed once."""

from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import click

from service.api.access.callers import Role
from service.api.access.keys.changing import add_key, revoke_keys
from service.api.access.keys.key_file import LIMITS, ROLES, Key, KeyFileError, parse_limits, read_keys
from service.cli.backends import read_settings
from service.cli.speech import speak, speak_lines
from service.cli.tables import draw_table

_FILE = click.option(
    "--file", "given", type=click.Path(path_type=Path), help="The key file.  [default: CONVSCOPE_API_KEYS]"
)


@click.group()
def keys() -> None:
    """Make, list and revoke keys of the service."""


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the key may do (docs/keys.md).")
@click.option("--expires", metavar="DATE", help="From when on it does not: 2027-06-30, or a time with its zone.")
@click.option(
    "--limit", "limits", multiple=True, metavar="NAME=NUMBER", help=f"In place of the setting: {', '.join(LIMITS)}."
)
@_FILE
def new(*, name: str, role: Role, expires: str | None, limits: tuple[str, ...], given: Path | None) -> None:
    """Make a key for NAME, whose jobs are its own: the key alone on standard output, once.

    Several keys may have one name: make the new one, use it everywhere, then revoke the old one by its id.
    """
    path = _find(given)
    try:
        secret, key = add_key(path, name, role, expires=expires, limits=parse_limits(limits))
    except KeyFileError as error:
        _refuse(path, error)
    speak(f"A key of '{key.owner}' for '{key.role}', with the id {key.id}, is in {path}.", err=True)
    speak("It is shown this once: keep it where secrets are kept. A running service knows it in a second.", err=True)
    speak(secret)


@keys.command("list")
@_FILE
def list_keys(*, given: Path | None) -> None:
    """List the keys: ids, names, roles and ends, never the keys themselves."""
    path = _find(given)
    try:
        found = list(read_keys(path))
    except KeyFileError as error:
        _refuse(path, error)
    now = datetime.now(UTC).timestamp()
    speak_lines(draw_table(["id", "name", "role", "expires", "limits"], [_row(key, now) for key in found]))


@keys.command()
@click.argument("name_or_id", metavar="NAME|ID")
@_FILE
def revoke(*, name_or_id: str, given: Path | None) -> None:
    """Revoke the key with that ID, or all keys of that NAME, and the sessions of the page that were begun with them."""
    path = _find(given)
    try:
        revoked = revoke_keys(path, name_or_id)
    except KeyFileError as error:
        _refuse(path, error)
    if not revoked:
        raise click.UsageError(f"no key in {path} has this name or id: `convscope keys list` lists them")
    for key in revoked:
        speak(f"Revoked: {key.id} of '{key.owner}' ({key.role}).", err=True)


def _find(given: Path | None) -> Path:
    path = given or read_settings().api_keys
    if path is None:
        raise click.UsageError("name the key file, by CONVSCOPE_API_KEYS (which the service reads) or by --file")
    return path


def _refuse(path: Path, error: KeyFileError) -> NoReturn:
    raise click.UsageError(f"{path}: {error}")


def _row(key: Key, now: float) -> list[str]:
    end = "" if key.expires is None else key.expires.isoformat(timespec="minutes")
    limits = " ".join(f"{name}={number}" for name, number in key.overrides.items())
    return [key.id, key.owner, key.role, f"{end} (over)" if key.is_over(now) else end, limits]
