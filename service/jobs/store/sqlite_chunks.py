"""The moves of a chunk, and of its job with it, inside a SQLite transaction that somebody else has begun."""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from pydantic_core import to_json

from schemas.jobs import ChunkResult, JobError, JobRecord, JobState
from schemas.webhooks import WEBHOOK_EVENTS
from service.jobs.store import errors
from service.jobs.store.port import MAX_REQUESTS, Claim, Rules, Worker
from service.jobs.store.sqlite_outbox import announce, forget_webhooks
from service.jobs.store.sqlite_queue import close_if_empty, enqueue, find_lane, give_turn, lane_of, take_next


@dataclass(frozen=True)
class Moment:
    """When a transaction happens, and by which rules."""

    now: float
    rules: Rules

    @property
    def expires(self) -> float:
        return self.now + self.rules.result_seconds


# How an attempt stands: it has committed something (`done`), or is told to stop for one of two reasons.
Standing = Literal["running", "done", "cancel", "fenced"]


def insert(db: sqlite3.Connection, record: JobRecord) -> None:
    count = len(record.chunks)
    db.executemany(
        "INSERT INTO chunks (job, number, queue, owner, state) VALUES (?, ?, ?, ?, 'waiting')",
        [(record.id, number, record.queue, record.owner) for number in range(count + record.combines)],
    )
    enqueue(db, lane_of(record), record.id, range(count))


def held(db: sqlite3.Connection, process: str) -> Claim | None:
    """What the process holds of a job in work. One that claims has stopped computing whatever has ended."""
    row = db.execute("SELECT * FROM holds WHERE process = ?", (process,)).fetchone()
    if row is None:
        return None
    if row["ended"] is not None:
        let_go(db, row["fence"])
        return None
    return _claim(db, row["job"], row["chunk"])


def start_next(db: sqlite3.Connection, queue: str, worker: Worker, now: float) -> Claim | None:
    found = take_next(db, queue)
    if found is None:
        return None
    job, number = found
    fence = db.execute("UPDATE fences SET last = last + 1 RETURNING last").fetchone()[0]
    db.execute(
        "UPDATE chunks SET state = 'running', fence = ?, attempts = attempts + 1, progress = 0 "
        "WHERE job = ? AND number = ?",
        (fence, job, number),
    )
    db.execute("INSERT INTO holds VALUES (?, ?, ?, ?, ?, NULL)", (worker.process, worker.name, job, number, fence))
    db.execute(
        "UPDATE jobs SET state = 'running', started = coalesce(started, ?), revision = revision + 1 WHERE id = ?",
        (now, job),
    )
    return _claim(db, job, number)


def renew(db: sqlite3.Connection, claim: Claim, lease: float) -> None:
    db.execute("UPDATE chunks SET lease = ? WHERE job = ? AND number = ?", (lease, claim.record.id, claim.chunk))


def advance(db: sqlite3.Connection, claim: Claim, progress: float, *, rules: Rules) -> None:
    key = (claim.record.id, claim.chunk)
    moved = db.execute(
        "UPDATE chunks SET progress = ?3 WHERE job = ?1 AND number = ?2 AND progress < ?3", (*key, progress)
    )
    if moved.rowcount:
        change(db, claim.record.id)
        announce(db, claim.record.id, ("progress",), rules=rules)


def standing(db: sqlite3.Connection, claim: Claim) -> Standing:
    """How the attempt stands. One that has to stop lets go of its hold."""
    row = db.execute(
        "SELECT state, fence FROM chunks WHERE job = ? AND number = ?", (claim.record.id, claim.chunk)
    ).fetchone()
    if row is not None and row["fence"] != claim.fence:
        return "fenced"
    if row is None or row["state"] == "cancelled":
        let_go(db, claim.fence)
        return "cancel"
    return "running" if row["state"] == "running" else "done"


def is_released(db: sqlite3.Connection, claim: Claim, now: float) -> bool:
    row = db.execute("SELECT worker FROM holds WHERE fence = ?", (claim.fence,)).fetchone()
    return row is not None and is_worker_released(db, row["worker"], now)


def is_worker_released(db: sqlite3.Connection, name: str, now: float) -> bool:
    return db.execute("SELECT 1 FROM releases WHERE worker = ? AND ends > ?", (name, now)).fetchone() is not None


def succeed(db: sqlite3.Connection, claim: Claim, result: ChunkResult, *, at: Moment) -> None:
    job = claim.record.id
    let_go(db, claim.fence)
    change(db, job)
    images = to_json(result.images).decode() if result.images else None
    db.execute(
        "UPDATE chunks SET state = 'succeeded', lease = NULL, progress = 1, result = ?, images = ?4, "
        "revision = (SELECT revision FROM jobs WHERE id = ?2) WHERE job = ?2 AND number = ?3",
        (result.model_dump_json(exclude={"images"}), job, claim.chunk, images),
    )
    _note_places(db, claim, result)
    added = sum(image.size for image in result.images)
    db.execute("UPDATE jobs SET picture_bytes = picture_bytes + ? WHERE id = ?", (added, job))
    left = db.execute(
        "SELECT state, count(*) FROM chunks WHERE job = ? AND state != 'succeeded' GROUP BY state", (job,)
    ).fetchall()
    if not left:
        if claim.record.combines:
            db.execute("UPDATE chunks SET result = NULL WHERE job = ? AND number != ?", (job, claim.chunk))
        db.execute(
            "UPDATE jobs SET state = 'succeeded', finished = ?, expires = ? WHERE id = ?",
            (at.now, at.expires, job),
        )
    announce(db, job, ("output", "progress") if left else WEBHOOK_EVENTS, rules=at.rules)
    if [row["state"] for row in left] == ["waiting"]:
        # Before the owner's others, when its turn comes: it takes a moment, and the job is done.
        enqueue(db, lane_of(claim.record), job, [len(claim.record.chunks)], at_head=True)


def fail(db: sqlite3.Connection, job: str, number: int, error: JobError, *, at: Moment) -> None:
    db.execute("UPDATE chunks SET state = 'failed', lease = NULL WHERE job = ? AND number = ?", (job, number))
    db.execute("DELETE FROM holds WHERE job = ? AND chunk = ?", (job, number))
    db.execute("UPDATE jobs SET error = ? WHERE id = ?", (error.model_dump_json(), job))
    end(db, job, "failed", at=at)


def end(db: sqlite3.Connection, job: str, state: JobState, *, at: Moment) -> None:
    """End the job without a result: what waits or runs is cancelled, and its duplicate key is free."""
    db.execute(
        "UPDATE jobs SET state = ?, finished = ?, expires = ?, revision = revision + 1 WHERE id = ?",
        (state, at.now, at.expires, job),
    )
    db.execute(
        "UPDATE chunks SET state = 'cancelled', position = NULL, lease = NULL "
        "WHERE job = ? AND state IN ('waiting', 'queued', 'running')",
        (job,),
    )
    close_if_empty(db, find_lane(db, job))
    db.execute("UPDATE chunks SET result = NULL WHERE job = ?", (job,))
    db.execute("UPDATE holds SET ended = ? WHERE job = ? AND ended IS NULL", (at.now, job))
    db.execute("DELETE FROM duplicates WHERE job = ?", (job,))
    announce(db, job, ("completed",), rules=at.rules)


def forget(db: sqlite3.Connection, job: str, now: float) -> None:
    db.execute("UPDATE holds SET ended = ? WHERE job = ? AND ended IS NULL", (now, job))
    db.execute("DELETE FROM duplicates WHERE job = ?", (job,))
    db.execute("DELETE FROM requests WHERE job = ?", (job,))
    db.execute("DELETE FROM places WHERE job = ?", (job,))
    lane = find_lane(db, job)
    db.execute("DELETE FROM chunks WHERE job = ?", (job,))
    forget_webhooks(db, job)
    close_if_empty(db, lane)
    db.execute("DELETE FROM jobs WHERE id = ?", (job,))


def add_request(db: sqlite3.Connection, job: str, submission: str) -> None:
    count = db.execute("SELECT count(*) FROM requests WHERE job = ?", (job,)).fetchone()[0]
    if count < MAX_REQUESTS:
        db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?)", (job, submission))


def take_request(db: sqlite3.Connection, job: str) -> bool:
    """Take one request from the job; False where it was the last."""
    db.execute("DELETE FROM requests WHERE rowid = (SELECT max(rowid) FROM requests WHERE job = ?)", (job,))
    return db.execute("SELECT 1 FROM requests WHERE job = ? LIMIT 1", (job,)).fetchone() is not None


def hand_back(db: sqlite3.Connection, claim: Claim) -> None:
    """Queue the chunk as the next of all, as if this attempt had not been."""
    let_go(db, claim.fence)
    _queue_again(db, claim.record.id, claim.chunk, at_head=True)
    give_turn(db, lane_of(claim.record))
    db.execute("UPDATE chunks SET attempts = attempts - 1 WHERE job = ? AND number = ?", (claim.record.id, claim.chunk))


def retry(db: sqlite3.Connection, claim: Claim) -> None:
    """Queue the chunk behind the owner's others; this attempt failed for a passing reason."""
    let_go(db, claim.fence)
    _queue_again(db, claim.record.id, claim.chunk)
    db.execute("UPDATE chunks SET retries = retries + 1 WHERE job = ? AND number = ?", (claim.record.id, claim.chunk))


def take_back(db: sqlite3.Connection, job: str, number: int, *, at: Moment) -> None:
    """End the attempt of a worker that is gone: the chunk goes behind the owner's others, or its job fails."""
    query = "SELECT attempts - retries FROM chunks WHERE job = ? AND number = ?"
    if db.execute(query, (job, number)).fetchone()[0] >= at.rules.max_attempts:
        db.execute("UPDATE chunks SET fence = 0 WHERE job = ? AND number = ?", (job, number))
        fail(db, job, number, errors.worker_lost(at.rules.max_attempts), at=at)
        return
    db.execute("DELETE FROM holds WHERE job = ? AND chunk = ?", (job, number))
    _queue_again(db, job, number)


def let_go(db: sqlite3.Connection, fence: int) -> None:
    db.execute("DELETE FROM holds WHERE fence = ?", (fence,))


def change(db: sqlite3.Connection, job: str) -> None:
    db.execute("UPDATE jobs SET revision = revision + 1 WHERE id = ?", (job,))


def _queue_again(db: sqlite3.Connection, job: str, number: int, *, at_head: bool = False) -> None:
    db.execute("UPDATE chunks SET fence = 0, lease = NULL, progress = 0 WHERE job = ? AND number = ?", (job, number))
    enqueue(db, find_lane(db, job), job, [number], at_head=at_head)
    change(db, job)


def _claim(db: sqlite3.Connection, job: str, number: int) -> Claim:
    row = db.execute(
        "SELECT record, fence, attempts, retries FROM jobs JOIN chunks ON job = id WHERE id = ? AND number = ?",
        (job, number),
    ).fetchone()
    record = JobRecord.model_validate_json(row["record"])
    return Claim(record, number, row["fence"], row["attempts"], row["retries"])


def _note_places(db: sqlite3.Connection, claim: Claim, result: ChunkResult) -> None:
    """Of several pictures of one name the combining chunk's is found, else that of the chunk that comes first."""
    job, is_combining = claim.record.id, claim.chunk == len(claim.record.chunks)
    db.executemany(
        "INSERT INTO places VALUES (?1, ?2, ?3) "
        "ON CONFLICT DO UPDATE SET chunk = excluded.chunk WHERE ?4 OR chunk > excluded.chunk",
        [(job, image.name, claim.chunk, is_combining) for image in result.images],
    )
