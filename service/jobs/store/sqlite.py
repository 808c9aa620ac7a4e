"""Job records in a SQLite file, for one machine: used by the service's threads and its worker process at once."""

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from schemas.jobs import ChunkAnswer, ChunkResult, JobError, JobRecord, JobState
from service.jobs.store import errors
from service.jobs.store import sqlite_chunks as chunks
from service.jobs.store.bounds import UNBOUNDED, Bounds
from service.jobs.store.outbox import Webhook
from service.jobs.store.port import Claim, Order, Overdue, Picture, Rules, Snapshot, Submission, Sweep, Worker
from service.jobs.store.sqlite_bounds import require_place
from service.jobs.store.sqlite_chunks import Moment
from service.jobs.store.sqlite_file import RecordsFile
from service.jobs.store.sqlite_outbox import SqliteOutbox, add_webhook
from service.jobs.store.sqlite_snapshots import NO_PICTURES, answers, picture, seen, snapshot

_DAY: Final = 86_400.0


class SqliteJobStore(SqliteOutbox):
    def __init__(self, path: Path, rules: Rules) -> None:
        super().__init__(RecordsFile(path), rules)

    def reserve(self, key: str, fingerprint: str) -> str | None:
        now = time.time()
        with self._file.writing() as db:
            row = db.execute("SELECT * FROM idempotency WHERE key = ? AND ends > ?", (key, now)).fetchone()
            if row and row["fingerprint"] not in {None, fingerprint}:
                raise errors.key_reused()
            if row and row["job"]:
                return str(row["job"])
            if row and row["reserved"] > now:
                raise errors.in_progress()
            db.execute(
                "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, NULL, ?)",
                (key, fingerprint, now + self._rules.reservation_seconds, now + self._rules.idempotency_seconds),
            )
            self._forget_oldest_keys(db)
        return None

    def unreserve(self, key: str) -> None:
        with self._file.writing() as db:
            db.execute("DELETE FROM idempotency WHERE key = ? AND job IS NULL", (key,))

    def admits(self, record: JobRecord, duplicate_key: str | None, bounds: Bounds) -> bool:
        with self._file.reading() as db:
            if duplicate_key is not None and _duplicate(db, duplicate_key):
                return False
            require_place(db, record, bounds)
        return True

    def submit(  # noqa: PLR0913 - what a request says
        self,
        record: JobRecord,
        *,
        duplicate_key: str,
        fresh: bool = False,
        idempotency_key: str | None = None,
        bounds: Bounds = UNBOUNDED,
        webhook: Webhook | None = None,
    ) -> Submission:
        with self._file.writing() as db:
            if db.execute("SELECT 1 FROM jobs WHERE id = ?", (record.id,)).fetchone():
                return Submission(record.id, created=True)
            earlier = _answered(db, idempotency_key)
            if earlier is None:
                earlier = None if fresh else _duplicate(db, duplicate_key)
                if earlier is None:
                    require_place(db, record, bounds)
                    self._create(db, record)
                    db.execute("INSERT OR REPLACE INTO duplicates VALUES (?, ?)", (duplicate_key, record.id))
                chunks.add_request(db, earlier or record.id, record.id)
            if idempotency_key is not None:
                self._answer(db, idempotency_key, earlier or record.id)
            if webhook is not None:
                add_webhook(db, earlier or record.id, record.id, webhook, self._rules)
        return Submission(earlier or record.id, created=earlier is None)

    def get(self, job: str, *, owner: str | None = None, after: int | None = None) -> Snapshot:
        with self._file.reading() as db:
            return snapshot(db, seen(db, job, owner), after=after)

    def answers(self, job: str) -> Sequence[ChunkAnswer]:
        with self._file.reading() as db:
            return answers(db, job)

    def picture(self, job: str, name: str, *, owner: str | None = None) -> Picture | None:
        with self._file.reading() as db:
            return picture(db, seen(db, job, owner), name)

    def revision(self, job: str, *, owner: str | None = None) -> int:
        with self._file.reading() as db:
            return int(seen(db, job, owner, "revision")["revision"])

    def list(self, *, limit: int, owner: str | None = None, after: str | None = None) -> Sequence[Snapshot]:
        with self._file.reading() as db:
            before = 1 << 62 if after is None else seen(db, after, owner, "sequence")["sequence"]
            # Two queries, each by its own index: one for both reads the jobs of all.
            whose = "" if owner is None else "owner = ?3 AND "
            query = f"SELECT * FROM jobs WHERE {whose}sequence < ?1 ORDER BY sequence DESC LIMIT ?2"  # noqa: S608 - our own text
            rows = db.execute(query, (before, limit) if owner is None else (before, limit, owner)).fetchall()
            return [snapshot(db, row, after=NO_PICTURES) for row in rows]

    def claim(self, queue: str, worker: Worker) -> Claim | None:
        now = time.time()
        with self._file.writing() as db:
            held = chunks.held(db, worker.process)
            if chunks.is_worker_released(db, worker.name, now):
                if held is not None:
                    chunks.hand_back(db, held)
                return None
            found = held or chunks.start_next(db, queue, worker, now)
            if found is not None:
                chunks.renew(db, found, now + self._rules.lease_seconds)
            return found

    def beat(self, claim: Claim, progress: float) -> Order:
        now = time.time()
        with self._file.writing() as db:
            standing = chunks.standing(db, claim)
            if standing == "done":
                return "fenced"
            if standing != "running":
                return standing
            chunks.renew(db, claim, now + self._rules.lease_seconds)
            chunks.advance(db, claim, min(progress, 1.0), rules=self._rules)
            return "release" if chunks.is_released(db, claim, now) else "continue"

    def finish(self, claim: Claim, outcome: ChunkResult | JobError) -> Order:
        with self._file.writing() as db:
            standing = chunks.standing(db, claim)
            if standing == "cancel" or standing == "fenced":  # noqa: PLR1714 - mypy narrows no dataset
                return standing
            if standing == "running" and isinstance(outcome, JobError):
                chunks.fail(db, claim.record.id, claim.chunk, outcome, at=self._moment())
            elif standing == "running" and isinstance(outcome, ChunkResult):
                chunks.succeed(db, claim, outcome, at=self._moment())
        return "continue"

    def hand_back(self, claim: Claim) -> None:
        with self._file.writing() as db:
            if chunks.standing(db, claim) == "running":
                chunks.hand_back(db, claim)

    def retry(self, claim: Claim) -> None:
        with self._file.writing() as db:
            if chunks.standing(db, claim) == "running":
                chunks.retry(db, claim)

    def release(self, worker_name: str) -> None:
        with self._file.writing() as db:
            db.execute("INSERT OR REPLACE INTO releases VALUES (?, ?)", (worker_name, time.time() + _DAY))

    def abandon(self, process: str) -> None:
        with self._file.writing() as db:
            held = chunks.held(db, process)
            if held is not None:
                chunks.take_back(db, held.record.id, held.chunk, at=self._moment())

    def cancel(self, job: str, *, owner: str | None = None) -> JobState:
        with self._file.writing() as db:
            state: JobState = seen(db, job, owner, "state")["state"]
            if state in {"succeeded", "failed"}:
                raise errors.ended(job, state)
            if state != "cancelled":
                chunks.end(db, job, "cancelled", at=self._moment())
        return state

    def delete(self, job: str, *, owner: str | None = None) -> bool:
        with self._file.writing() as db:
            seen(db, job, owner, "id")
            if chunks.take_request(db, job):
                return False
            chunks.forget(db, job, time.time())
        return True

    def overdue(self, worker_name: str, seconds: float) -> Sequence[Overdue]:
        with self._file.reading() as db:
            rows = db.execute(
                "SELECT * FROM holds WHERE worker = ? AND ended <= ?", (worker_name, time.time() - seconds)
            ).fetchall()
        return [Overdue(row["job"], row["chunk"], Worker(row["worker"], row["process"])) for row in rows]

    def sweep(self) -> Sweep:
        now = time.time()
        with self._file.writing() as db:
            for row in db.execute("SELECT job, number FROM chunks WHERE lease <= ? ORDER BY lease", (now,)).fetchall():
                # Another chunk may just have failed the job, and taken this one's lease.
                if db.execute("SELECT lease FROM chunks WHERE job = ? AND number = ?", tuple(row)).fetchone()[0]:
                    chunks.take_back(db, *row, at=self._moment())
            expired = self._expire(db, now)
            queued = db.execute("SELECT queue, count(*) FROM chunks WHERE position IS NOT NULL GROUP BY queue")
            return Sweep(expired, dict(map(tuple, queued.fetchall())))

    def outstanding(self) -> dict[str, int]:
        # Through the two partial indexes, so that it costs what is queued and running, not what is kept.
        query = (
            "SELECT queue, count(*) FROM (SELECT queue FROM chunks WHERE position IS NOT NULL "
            "UNION ALL SELECT queue FROM chunks WHERE lease IS NOT NULL) GROUP BY queue"
        )
        with self._file.reading() as db:
            return dict(map(tuple, db.execute(query).fetchall()))

    def known(self, jobs: Sequence[str]) -> set[str]:
        with self._file.reading() as db:
            return {job for job in jobs if db.execute("SELECT 1 FROM jobs WHERE id = ?", (job,)).fetchone()}

    def inputs(self) -> set[str]:
        with self._file.reading() as db:
            return {row[0] for row in db.execute("SELECT DISTINCT input FROM jobs WHERE input IS NOT NULL")}

    def close(self) -> None:
        self._file.close()

    def _moment(self) -> Moment:
        return Moment(time.time(), self._rules)

    def _create(self, db: sqlite3.Connection, record: JobRecord) -> None:
        now = time.time()
        db.execute(
            "INSERT INTO jobs (id, owner, record, input, input_bytes, items, created, expires) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                record.id,
                record.owner,
                record.model_dump_json(),
                record.request.input,
                record.request.input_bytes,
                record.total,
                now,
                now + self._rules.result_seconds,
            ),
        )
        db.execute("DELETE FROM tombstones WHERE job = ?", (record.id,))
        chunks.insert(db, record)

    def _answer(self, db: sqlite3.Connection, key: str, job: str) -> None:
        now = time.time()
        db.execute(
            "INSERT INTO idempotency VALUES (?1, NULL, ?2, ?3, ?4) "
            "ON CONFLICT (key) DO UPDATE SET job = excluded.job, ends = excluded.ends",
            (key, now, job, now + self._rules.idempotency_seconds),
        )
        self._forget_oldest_keys(db)

    def _forget_oldest_keys(self, db: sqlite3.Connection) -> None:
        surplus = db.execute("SELECT count(*) FROM idempotency").fetchone()[0] - self._rules.idempotency_keys
        if surplus > 0:
            db.execute(
                "DELETE FROM idempotency WHERE rowid IN (SELECT rowid FROM idempotency ORDER BY ends, rowid LIMIT ?)",
                (surplus,),
            )

    def _expire(self, db: sqlite3.Connection, now: float) -> tuple[str, ...]:
        query = "SELECT id, owner FROM jobs WHERE finished IS NOT NULL AND expires <= ? ORDER BY expires"
        rows = db.execute(query, (now,)).fetchall()
        for job, owner in rows:
            chunks.forget(db, job, now)
            db.execute("INSERT INTO tombstones VALUES (?, ?, ?)", (job, owner, now + self._rules.tombstone_seconds))
        for table in ("tombstones", "idempotency", "releases"):
            db.execute(f"DELETE FROM {table} WHERE ends <= ?", (now,))  # noqa: S608 - our own names
        # A worker whose machine is gone never lets go by itself.
        db.execute("DELETE FROM holds WHERE ended <= ?", (now - _DAY,))
        return tuple(str(row["id"]) for row in rows)


def _answered(db: sqlite3.Connection, key: str | None) -> str | None:
    query = "SELECT job FROM idempotency WHERE key = ? AND job IS NOT NULL AND ends > ?"
    row = db.execute(query, (key, time.time())).fetchone()
    return None if row is None else str(row["job"])


def _duplicate(db: sqlite3.Connection, key: str) -> str | None:
    row = db.execute("SELECT job FROM duplicates WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row["job"])
