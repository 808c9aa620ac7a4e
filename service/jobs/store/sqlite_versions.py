"""The version of the SQLite file of job records: stamped, told where the stamp is lost, brought up to date or refused.

The records in it are JSON: a change of their form is a change of the file's, as one of a table is. Redis has a number
of its own for the same, FORM in `scripts/prelude.lua`.
"""

import sqlite3
from pathlib import Path
from typing import Final

from service.jobs.store.port import JobsUnavailableError

VERSION: Final = 2
_SCHEMA: Final = Path(__file__).with_name("jobs.sql")
# What brings a file of an earlier version to the next.
_MIGRATIONS: Final = {
    1: (
        "CREATE TABLE requests (job TEXT NOT NULL, id TEXT NOT NULL UNIQUE)",
        "CREATE INDEX requests_by_job ON requests (job)",
        "INSERT INTO requests SELECT id, id FROM jobs",
    )
}
# By which tables a file is known that has lost its stamp, as a dump that was read in again has. Later ones first.
_TABLES: Final = {2: {"jobs", "chunks", "requests"}, 1: {"jobs", "chunks"}}


def bring_up_to_date(db: sqlite3.Connection) -> None:
    """Within a transaction: all or nothing. Raises JobsUnavailableError."""
    version = _find_version(db)
    if version > VERSION:
        raise JobsUnavailableError(
            f"The job records were written by a newer convscope (version {version} of the file, this one "
            f"knows {VERSION}). Start that one, or choose another CONVSCOPE_DATA."
        )
    if version == 0:
        for statement in _SCHEMA.read_text(encoding="utf-8").split(";\n"):
            db.execute(statement)
    for earlier in range(version or VERSION, VERSION):
        for statement in _MIGRATIONS[earlier]:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {VERSION}")


def _find_version(db: sqlite3.Connection) -> int:
    """0: a new file."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > 0:
        return version
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if version == 0 and not tables:
        return 0
    for known, names in _TABLES.items():
        if version == 0 and names <= tables:
            return known
    raise JobsUnavailableError(
        "The file of the job records, jobs.sqlite in CONVSCOPE_DATA, is another program's. Move it away."
    )
