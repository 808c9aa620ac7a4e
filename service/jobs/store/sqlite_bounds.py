"""Whether there is room for one more job, and what its owner's come to, inside a SQLite transaction."""

import sqlite3
from collections.abc import Iterator
from typing import Final

from schemas.jobs import JobRecord
from service.jobs.store import errors
from service.jobs.store.bounds import Bounds, LimitName

_IN_WORK: Final = "state IN ('queued', 'running')"


def require_place(db: sqlite3.Connection, record: JobRecord, bounds: Bounds) -> None:
    """Raises QueueFullError or OwnerLimitReachedError where there is none."""
    if bounds.queued is not None:
        in_work = db.execute(f"SELECT count(*) FROM jobs WHERE {_IN_WORK}").fetchone()[0]  # noqa: S608 - our own text
        if in_work >= bounds.queued:
            raise errors.queue_full(bounds.queued)
    if bounds.owner is not None:
        for name, used, more in _amounts(db, record):
            if used + max(more, 1) > getattr(bounds.owner, name):
                raise errors.owner_limit_reached(name, bounds.owner, used=used, more=more)


def _amounts(db: sqlite3.Connection, record: JobRecord) -> Iterator[tuple[LimitName, int, int]]:
    """Of each limit what is used, and what the new job adds."""
    in_work = f"SELECT count(*), coalesce(sum(items), 0) FROM jobs WHERE owner = ? AND {_IN_WORK}"  # noqa: S608 - our own text
    jobs, items = db.execute(in_work, (record.owner,)).fetchone()
    yield "queued_jobs", jobs, 1
    yield "job_items", items, record.total
    yield "stored_bytes", _stored_bytes(db, record.owner), _new_bytes(db, record)


def _stored_bytes(db: sqlite3.Connection, owner: str) -> int:
    inputs = "SELECT max(input_bytes) AS size FROM jobs WHERE owner = ?1 AND input IS NOT NULL GROUP BY input"
    query = (
        f"SELECT (SELECT coalesce(sum(size), 0) FROM ({inputs})) + "  # noqa: S608 - our own text
        "(SELECT coalesce(sum(picture_bytes), 0) FROM jobs WHERE owner = ?1)"
    )
    return int(db.execute(query, (owner,)).fetchone()[0])


def _new_bytes(db: sqlite3.Connection, record: JobRecord) -> int:
    if record.request.input is None:
        return 0
    known = "SELECT 1 FROM jobs WHERE owner = ? AND input = ? LIMIT 1"
    is_kept = db.execute(known, (record.owner, record.request.input)).fetchone() is not None
    return 0 if is_kept else record.request.input_bytes
