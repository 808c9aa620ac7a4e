"""Jobs as they stand, read from SQLite's rows."""

import sqlite3
import time

from schemas.jobs import JobError, JobRecord, Part
from service.jobs.store import errors
from service.jobs.store.port import Chunk, JobExpiredError, JobNotFoundError, Snapshot


def snapshot(db: sqlite3.Connection, row: sqlite3.Row, *, parts: bool) -> Snapshot:
    part = "part" if parts else "NULL AS part"
    chunks = db.execute(
        f"SELECT state, attempts, progress, revision, {part} FROM chunks WHERE job = ? ORDER BY number",  # noqa: S608 - our own text
        (row["id"],),
    )
    return Snapshot(
        record=JobRecord.model_validate_json(row["record"]),
        state=row["state"],
        revision=row["revision"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        expires=row["expires"],
        error=JobError.model_validate_json(row["error"]) if row["error"] else None,
        chunks=tuple(_chunk(chunk) for chunk in chunks),
    )


def absent(db: sqlite3.Connection, job: str) -> JobNotFoundError | JobExpiredError:
    row = db.execute("SELECT 1 FROM tombstones WHERE job = ? AND ends > ?", (job, time.time())).fetchone()
    return errors.expired(job) if row else errors.not_found(job)


def _chunk(row: sqlite3.Row) -> Chunk:
    part = Part.model_validate_json(row["part"]) if row["part"] else None
    return Chunk(row["state"], row["attempts"], row["progress"], row["revision"], part)
