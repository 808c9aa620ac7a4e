"""Jobs as they stand, read from SQLite's rows."""

import sqlite3
import time
from typing import Final

from pydantic import TypeAdapter

from schemas.jobs import ChunkAnswer, JobError, JobRecord, StoredImage
from service.jobs.store import errors
from service.jobs.store.port import Chunk, Picture, Snapshot
from service.jobs.store.sqlite_outbox import statuses

IMAGES: Final = TypeAdapter(tuple[StoredImage, ...])
# Beyond any revision.
NO_PICTURES: Final = 1 << 62


def seen(db: sqlite3.Connection, job: str, owner: str | None, columns: str = "*") -> sqlite3.Row:
    """A job's row, for who may see the jobs of that owner, or of all. Raises what the port's `get` raises."""
    whose = "(?2 IS NULL OR owner = ?2)"
    query = f"SELECT {columns} FROM jobs WHERE id = ?1 AND {whose}"  # noqa: S608 - our own text
    row: sqlite3.Row | None = db.execute(query, (job, owner)).fetchone()
    if row is not None:
        return row
    query = f"SELECT 1 FROM tombstones WHERE job = ?1 AND {whose} AND ends > ?3"  # noqa: S608 - our own text
    if db.execute(query, (job, owner, time.time())).fetchone():
        raise errors.expired(job)
    raise errors.not_found(job)


def snapshot(db: sqlite3.Connection, row: sqlite3.Row, *, after: int | None) -> Snapshot:
    """`after` as the port's `get` has it."""
    chunks = db.execute(
        "SELECT state, attempts, retries, progress, revision, CASE WHEN revision > ? THEN images END AS images "
        "FROM chunks WHERE job = ? ORDER BY number",
        (-1 if after is None else after, row["id"]),
    )
    record = JobRecord.model_validate_json(row["record"])
    return Snapshot(
        record=record,
        state=row["state"],
        revision=row["revision"],
        created=row["created"],
        started=row["started"],
        finished=row["finished"],
        expires=row["expires"],
        error=JobError.model_validate_json(row["error"]) if row["error"] else None,
        chunks=tuple(_chunk(chunk) for chunk in chunks),
        answer=_answer(db, record) if after is None and row["state"] == "succeeded" else None,
        webhooks=statuses(db, record.id) if after is None else (),
    )


def answers(db: sqlite3.Connection, job: str) -> list[ChunkAnswer]:
    query = "SELECT result FROM chunks WHERE job = ? AND result IS NOT NULL ORDER BY number"
    return [ChunkAnswer.model_validate_json(row["result"]) for row in db.execute(query, (job,))]


def picture(db: sqlite3.Connection, row: sqlite3.Row, name: str) -> Picture | None:
    """The picture of the job that the row is of."""
    query = "SELECT images FROM chunks JOIN places USING (job) WHERE job = ? AND name = ? AND number = chunk"
    found = db.execute(query, (row["id"], name)).fetchone()
    images = IMAGES.validate_json(found["images"]) if found else ()
    return next((Picture(image, row["expires"]) for image in images if image.name == name), None)


def _chunk(row: sqlite3.Row) -> Chunk:
    images = IMAGES.validate_json(row["images"]) if row["images"] else ()
    return Chunk(row["state"], row["attempts"], row["retries"], row["progress"], row["revision"], images)


def _answer(db: sqlite3.Connection, record: JobRecord) -> ChunkAnswer | None:
    number = len(record.chunks) if record.combines else 0
    row = db.execute("SELECT result FROM chunks WHERE job = ? AND number = ?", (record.id, number)).fetchone()
    return ChunkAnswer.model_validate_json(row["result"]) if row and row["result"] else None
