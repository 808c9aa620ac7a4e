"""Which chunk is next, inside a SQLite transaction: owners take turns, and each has its chunks in order."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.jobs import JobRecord


@dataclass(frozen=True)
class Lane:
    """The chunks of one owner that wait in one queue."""

    queue: str
    owner: str


def lane_of(record: JobRecord) -> Lane:
    return Lane(record.queue, record.owner)


def find_lane(db: sqlite3.Connection, job: str) -> Lane:
    return Lane(*db.execute("SELECT queue, owner FROM chunks WHERE job = ? LIMIT 1", (job,)).fetchone())


def enqueue(db: sqlite3.Connection, lane: Lane, job: str, numbers: Sequence[int], *, at_head: bool = False) -> None:
    """Put chunks of a job behind the others of the lane, or before them. An owner who had none is the last in turn."""
    edge, step = ("min", -1) if at_head else ("max", 1)
    query = f"SELECT coalesce({edge}(position), 0) FROM chunks WHERE queue = ? AND owner = ? AND position IS NOT NULL"  # noqa: S608 - our own text
    position = db.execute(query, (lane.queue, lane.owner)).fetchone()[0]
    db.executemany(
        "UPDATE chunks SET state = 'queued', position = ? WHERE job = ? AND number = ?",
        [(position + step * (place + 1), job, number) for place, number in enumerate(numbers)],
    )
    db.execute(
        "INSERT OR IGNORE INTO lanes SELECT ?1, ?2, coalesce(max(turn), 0) + 1 FROM lanes WHERE queue = ?1",
        (lane.queue, lane.owner),
    )


def give_turn(db: sqlite3.Connection, lane: Lane) -> None:
    """Its owner is the next."""
    db.execute(
        "UPDATE lanes SET turn = (SELECT min(turn) - 1 FROM lanes WHERE queue = ?1) WHERE queue = ?1 AND owner = ?2",
        (lane.queue, lane.owner),
    )


def take_next(db: sqlite3.Connection, queue: str) -> tuple[str, int] | None:
    """Take the first chunk of the owner whose turn it is, who is the last in turn then; None where none waits."""
    row = db.execute("SELECT queue, owner FROM lanes WHERE queue = ? ORDER BY turn LIMIT 1", (queue,)).fetchone()
    if row is None:
        return None
    lane = Lane(*row)
    job, number = db.execute(
        "SELECT job, number FROM chunks WHERE queue = ? AND owner = ? AND position IS NOT NULL "
        "ORDER BY position LIMIT 1",
        (lane.queue, lane.owner),
    ).fetchone()
    db.execute("UPDATE chunks SET position = NULL WHERE job = ? AND number = ?", (job, number))
    db.execute(
        "UPDATE lanes SET turn = (SELECT max(turn) + 1 FROM lanes WHERE queue = ?1) WHERE queue = ?1 AND owner = ?2",
        (lane.queue, lane.owner),
    )
    close_if_empty(db, lane)
    return str(job), int(number)


def close_if_empty(db: sqlite3.Connection, lane: Lane) -> None:
    """To be called when chunks have left it: of an owner with nothing queued nothing is kept."""
    db.execute(
        "DELETE FROM lanes WHERE queue = ?1 AND owner = ?2 AND NOT EXISTS "
        "(SELECT 1 FROM chunks WHERE queue = ?1 AND owner = ?2 AND position IS NOT NULL)",
        (lane.queue, lane.owner),
    )
