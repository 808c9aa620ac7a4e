"""The version of the SQLite file of job records: stamped, told where the stamp is lost, brought up to date or refused.

The records in it are JSON: a change of their form is a change of the file's, as one of a table is. Redis has a number
of its own for the same, FORM in `scripts/prelude.lua`.
"""

import sqlite3
from pathlib import Path
from typing import Final

from service.jobs.store.errors import JobsUnavailableError

VERSION: Final = 5
_SCHEMA: Final = Path(__file__).with_name("jobs.sql")
# Of a chunk's job: how many chunks it has but for the reducing one, and where they stand beside those of others.
_COUNT: Final = "(SELECT json_array_length(record, '$.chunks') FROM jobs WHERE id = job)"
_PLACE: Final = "(SELECT sequence FROM jobs WHERE id = job) * 1000000 + number"
_HALF_DONE: Final = (
    "SELECT chunks.job FROM chunks JOIN jobs ON jobs.id = chunks.job "
    "WHERE chunks.state = 'succeeded' AND jobs.state IN ('queued', 'running')"
)
_ENDED: Final = "SELECT id FROM jobs WHERE state IN ('failed', 'cancelled')"
_REDUCED: Final = "SELECT id FROM jobs WHERE state = 'succeeded' AND json_extract(record, '$.combines')"
_CHUNKS_4: Final = """CREATE TABLE chunks (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    queue TEXT NOT NULL,
    state TEXT NOT NULL,
    position INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    lease REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    images TEXT,
    PRIMARY KEY (job, number)
)"""
_MOVE_4: Final = (
    "INSERT INTO chunks SELECT job, number, queue, state, position, fence, lease, attempts, 0, progress, revision, "
    "json_remove(result, '$.images'), nullif(json_extract(result, '$.images'), '[]') FROM chunks_3"
)
_PLACES_4: Final = (
    "CREATE TABLE places "
    "(job TEXT NOT NULL, name TEXT NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY (job, name)) WITHOUT ROWID"
)
# The last of a name is found: the reducing chunk's, else the first chunk's.
_FIND_PLACES_4: Final = (
    "INSERT OR REPLACE INTO places SELECT job, json_extract(value, '$.name'), number "  # noqa: S608 - our own text
    f"FROM chunks, json_each(images) ORDER BY number = {_COUNT}, number DESC"
)
_JOBS_5: Final = """CREATE TABLE jobs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    record TEXT NOT NULL,
    input TEXT,
    input_bytes INTEGER NOT NULL,
    picture_bytes INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    revision INTEGER NOT NULL DEFAULT 1,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    expires REAL NOT NULL,
    error TEXT
)"""
_CHUNKS_5: Final = _CHUNKS_4.replace("    state", "    owner TEXT NOT NULL,\n    state", 1)
_MOVE_CHUNKS_5: Final = (
    "INSERT INTO chunks SELECT job, number, queue, '', state, position, fence, lease, attempts, retries, progress, "
    "revision, result, images FROM chunks_4"
)
_LANES_5: Final = (
    "CREATE TABLE lanes (queue TEXT NOT NULL, owner TEXT NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (queue, owner)) "
    "WITHOUT ROWID"
)
_MOVE_JOBS_5: Final = (
    "INSERT INTO jobs SELECT sequence, id, '', record, input, 0, 0, 0, state, revision, created, started, finished, "
    "expires, error FROM jobs_4"
)
_WEBHOOKS_5: Final = """CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    owner TEXT NOT NULL,
    url TEXT NOT NULL,
    receiver TEXT NOT NULL,
    events TEXT NOT NULL,
    ending TEXT,
    event TEXT,
    number INTEGER NOT NULL DEFAULT 0,
    due REAL,
    until REAL,
    lease REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    sent REAL,
    last_status INTEGER,
    last_error TEXT
)"""
_ANEW: Final = "result = NULL, fence = -1, lease = NULL, progress = 0, attempts = 0"
# What brings a file of an earlier version to the next.
_MIGRATIONS: Final = {
    1: (
        "CREATE TABLE requests (job TEXT NOT NULL, id TEXT NOT NULL UNIQUE)",
        "CREATE INDEX requests_by_job ON requests (job)",
        "INSERT INTO requests SELECT id, id FROM jobs",
    ),
    # What chunks hand to the reducer has another form: jobs under way that have some of it are computed anew.
    2: (
        "ALTER TABLE chunks RENAME COLUMN part TO result",
        f"UPDATE chunks SET {_ANEW}, state = 'queued', position = {_PLACE} WHERE job IN ({_HALF_DONE})",  # noqa: S608 - our own text
        f"UPDATE chunks SET {_ANEW}, state = 'waiting', position = NULL WHERE number = {_COUNT} AND fence = -1",  # noqa: S608
        "UPDATE chunks SET fence = 0 WHERE fence = -1",
    ),
    # Pictures leave the results, and results that nobody needs any more the file.
    3: (
        "ALTER TABLE chunks RENAME TO chunks_3",
        _CHUNKS_4,
        _MOVE_4,
        "DROP TABLE chunks_3",
        "CREATE INDEX chunks_queued ON chunks (queue, position) WHERE position IS NOT NULL",
        "CREATE INDEX chunks_leased ON chunks (lease) WHERE lease IS NOT NULL",
        _PLACES_4,
        _FIND_PLACES_4,
        f"UPDATE chunks SET result = NULL WHERE job IN ({_ENDED}) OR (number < {_COUNT} AND job IN ({_REDUCED}))",  # noqa: S608
    ),
    # Jobs have owners. Those that were there are of none, which has no limits: who sees the jobs of all sees them.
    4: (
        "ALTER TABLE jobs RENAME TO jobs_4",
        _JOBS_5,
        _MOVE_JOBS_5,
        "DROP TABLE jobs_4",
        "CREATE INDEX jobs_in_work ON jobs (state) WHERE state IN ('queued', 'running')",
        "CREATE INDEX jobs_to_expire ON jobs (expires) WHERE finished IS NOT NULL",
        "CREATE INDEX jobs_by_input ON jobs (input)",
        "CREATE INDEX jobs_by_owner ON jobs (owner)",
        "CREATE INDEX jobs_in_work_of ON jobs (owner, state, items) WHERE state IN ('queued', 'running')",
        "CREATE INDEX jobs_bytes_of ON jobs (owner, input, input_bytes, picture_bytes)",
        "ALTER TABLE chunks RENAME TO chunks_4",
        _CHUNKS_5,
        _MOVE_CHUNKS_5,
        "DROP TABLE chunks_4",
        "CREATE INDEX chunks_queued ON chunks (queue, owner, position) WHERE position IS NOT NULL",
        "CREATE INDEX chunks_leased ON chunks (lease) WHERE lease IS NOT NULL",
        _LANES_5,
        "CREATE UNIQUE INDEX lanes_by_turn ON lanes (queue, turn)",
        "INSERT INTO lanes SELECT DISTINCT queue, '', 1 FROM chunks WHERE position IS NOT NULL",
        "ALTER TABLE tombstones RENAME TO tombstones_4",
        "CREATE TABLE tombstones (job TEXT PRIMARY KEY, owner TEXT NOT NULL, ends REAL NOT NULL)",
        "INSERT INTO tombstones SELECT job, '', ends FROM tombstones_4",
        "DROP TABLE tombstones_4",
        "CREATE INDEX tombstones_ends ON tombstones (ends)",
        _WEBHOOKS_5,
        "CREATE INDEX webhooks_by_job ON webhooks (job)",
        "CREATE INDEX webhooks_due ON webhooks (due) WHERE due IS NOT NULL",
        "CREATE INDEX webhooks_by_receiver ON webhooks (owner, receiver, due) WHERE due IS NOT NULL",
        "CREATE INDEX webhooks_leased ON webhooks (lease) WHERE lease IS NOT NULL",
        "CREATE TABLE delivery_outcomes (outcome TEXT PRIMARY KEY, count INTEGER NOT NULL)",
        "CREATE TABLE signing_secrets (owner TEXT PRIMARY KEY, current TEXT NOT NULL, previous TEXT, ends REAL)",
    ),
}
_LIST: Final = "SELECT * FROM pragma_table_info(?)"
# By which columns a file is known that has lost its stamp, as a dump that was read in again has. Later ones first.
_COLUMNS: Final = {
    5: {"jobs.owner", "webhooks.url", "chunks.images", "requests.id"},
    4: {"jobs.record", "chunks.images", "requests.id"},
    3: {"jobs.record", "chunks.result", "requests.id"},
    2: {"jobs.record", "chunks.part", "requests.id"},
    1: {"jobs.record", "chunks.part"},
}


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
    tables = "SELECT name FROM sqlite_master WHERE type = 'table'"
    columns = {f"{table}.{row[1]}" for (table,) in db.execute(tables) for row in db.execute(_LIST, (table,))}
    if version == 0 and not columns:
        return 0
    for known, names in _COLUMNS.items():
        if version == 0 and names <= columns:
            return known
    raise JobsUnavailableError(
        "The file of the job records, jobs.sqlite in CONVSCOPE_DATA, is another program's. Move it away."
    )
