"""Jobs as they stand, read from SQLite's rows."""

import sqlite3
import time

from schemas.jobs import ChunkResult, JobError, JobRecord
from service.jobs.store import errors
from service.jobs.store.port import Chunk, JobExpiredError, JobNotFoundError, Snapshot


def snapshot(db: sqlite3.Connection, row: sqlite3.Row, *, results: bool) -> Snapshot:
    result = "result" if results else "NULL AS result"
    chunks = db.execute(
        f"SELECT state, attempts, progress, revision, {result} FROM chunks WHERE job = ? ORDER BY number",  # noqa: S608 - our own text
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
    result = ChunkResult.model_validate_json(row["result"]) if row["result"] else None
    return Chunk(row["state"], row["attempts"], row["progress"], row["revision"], result)
