"""Webhooks and their deliveries in the SQLite file: moves inside a transaction, and the operations of the outbox."""

import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from schemas.webhooks import WEBHOOK_EVENTS, WebhookEvent
from service.jobs.store import errors
from service.jobs.store.outbox import (
    MAX_OF_OWNER,
    MAX_TO_RECEIVER,
    MAX_WEBHOOKS,
    Delivery,
    DeliveryCounts,
    Outcome,
    Settlement,
    SigningSecrets,
    Webhook,
    WebhookStatus,
    make_secret,
)
from service.jobs.store.port import Rules
from service.jobs.store.sqlite_file import RecordsFile

_FINAL: Final = "state IN ('succeeded', 'failed', 'cancelled')"


def add_webhook(db: sqlite3.Connection, job: str, submission: str, webhook: Webhook, rules: Rules) -> None:
    """Add it to a job, unless there is an equal one; where the job has ended, queue what is to be told of it."""
    facts = db.execute(f"SELECT owner, {_FINAL} AS ended FROM jobs WHERE id = ?", (job,)).fetchone()  # noqa: S608 - our own text
    if facts is None:
        # An Idempotency-Key is remembered longer than the job that it was answered with.
        return
    events = " ".join(webhook.events)
    query = "SELECT id FROM webhooks WHERE job = ? AND url = ? AND events = ?"
    if db.execute(query, (job, webhook.url, events)).fetchone() is None:
        if db.execute("SELECT 1 FROM webhooks WHERE id = ?", (submission,)).fetchone():
            # The same submission again.
            return
        if db.execute("SELECT count(*) FROM webhooks WHERE job = ?", (job,)).fetchone()[0] >= MAX_WEBHOOKS:
            raise errors.webhooks_full(job)
        db.execute(
            "INSERT INTO webhooks (id, job, owner, url, receiver, events) VALUES (?, ?, ?, ?, ?, ?)",
            (submission, job, facts["owner"], webhook.url, webhook.receiver, events),
        )
    if facts["ended"]:
        found = db.execute(query, (job, webhook.url, events)).fetchone()
        announce(db, job, WEBHOOK_EVENTS, rules=rules, webhook=found["id"])


def announce(
    db: sqlite3.Connection, job: str, events: Sequence[WebhookEvent], *, rules: Rules, webhook: str | None = None
) -> None:
    """Queue, for each of the job's webhooks, or one, the first of these events that it asks for."""
    now = time.time()
    query = "SELECT * FROM webhooks WHERE job = ?1 AND ending IS NOT 'stopped' AND (?2 IS NULL OR id = ?2)"
    for row in db.execute(query, (job, webhook)).fetchall():
        event = next((event for event in events if event in row["events"].split()), None)
        if event is not None and not _is_told_by(row, event, now):
            _queue(db, row, event, now, rules)


def forget_webhooks(db: sqlite3.Connection, job: str) -> None:
    db.execute("DELETE FROM webhooks WHERE job = ?", (job,))


def statuses(db: sqlite3.Connection, job: str) -> tuple[WebhookStatus, ...]:
    rows = db.execute("SELECT * FROM webhooks WHERE job = ? ORDER BY rowid", (job,)).fetchall()
    return tuple(
        WebhookStatus(
            row["receiver"],
            tuple(row["events"].split()),
            row["ending"],
            row["attempts"],
            row["last_status"],
            row["last_error"],
            row["due"],
        )
        for row in rows
    )


class SqliteOutbox:
    """What a store of jobs in SQLite does about webhooks."""

    def __init__(self, file: RecordsFile, rules: Rules) -> None:
        self._file = file
        self._rules = rules

    def claim_deliveries(self, limit: int) -> Sequence[Delivery]:
        """See Outbox."""
        with self._file.reading() as db:
            # Most looks find nothing, and should not wait for who writes.
            if db.execute("SELECT 1 FROM webhooks WHERE due <= ? LIMIT 1", (time.time(),)).fetchone() is None:
                return []
        claimed: list[Delivery] = []
        with self._file.writing() as db:
            now = time.time()
            while len(claimed) < limit and (found := _find_due(db, now)):
                lease = now + self._rules.delivery_lease_seconds
                db.execute(
                    "UPDATE webhooks SET due = ?1, lease = ?1, tries = tries + 1, attempts = attempts + 1 "
                    "WHERE id = ?2",
                    (lease, found),
                )
                claimed.append(_delivery(db.execute("SELECT * FROM webhooks WHERE id = ?", (found,)).fetchone()))
        return claimed

    def settle(self, delivery: Delivery, outcome: Outcome) -> Settlement:
        """See Outbox."""
        now = time.time()
        with self._file.writing() as db:
            query = "SELECT * FROM webhooks WHERE id = ? AND tries = ? AND lease IS NOT NULL"
            row = db.execute(query, (delivery.webhook, delivery.fence)).fetchone()
            if row is None:
                return "fenced"
            db.execute(
                "UPDATE webhooks SET lease = NULL, last_status = ?, last_error = ? WHERE id = ?",
                (outcome.status, outcome.error, delivery.webhook),
            )
            settlement = self._settle(db, row, delivery, outcome, now)
            db.execute(
                "INSERT INTO delivery_outcomes VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1", (settlement,)
            )
        return settlement

    def signing_secrets(self, owner: str) -> SigningSecrets:
        """See Outbox."""
        with self._file.reading() as db:
            if (found := _secrets(db, owner)) is not None:
                return found
        with self._file.writing() as db:
            db.execute("INSERT OR IGNORE INTO signing_secrets (owner, current) VALUES (?, ?)", (owner, make_secret()))
            made = _secrets(db, owner)
            assert made is not None
            return made

    def rotate_signing_secret(self, owner: str, secret: str, seconds: float) -> SigningSecrets:
        """See Outbox."""
        with self._file.writing() as db:
            db.execute(
                "INSERT INTO signing_secrets (owner, current) VALUES (?1, ?2) ON CONFLICT DO UPDATE "
                "SET previous = current, current = ?2, ends = ?3 WHERE current != ?2",
                (owner, secret, time.time() + seconds),
            )
            rotated = _secrets(db, owner)
            assert rotated is not None
            return rotated

    def delivery_counts(self) -> DeliveryCounts:
        """See Outbox."""
        with self._file.reading() as db:
            pending = db.execute("SELECT count(*) FROM webhooks WHERE due IS NOT NULL").fetchone()[0]
            outcomes = db.execute("SELECT outcome, count FROM delivery_outcomes").fetchall()
        return DeliveryCounts(pending, dict(map(tuple, outcomes)))

    def _settle(
        self, db: sqlite3.Connection, row: sqlite3.Row, delivery: Delivery, outcome: Outcome, now: float
    ) -> Settlement:
        key = delivery.webhook
        if outcome.verdict == "stopped":
            db.execute("UPDATE webhooks SET ending = 'stopped', event = NULL, due = NULL WHERE id = ?", (key,))
            return "stopped"
        is_newer = row["number"] != delivery.number
        if outcome.verdict == "failed":
            # The last event of all has not been tried yet.
            due = now if is_newer and row["event"] == "completed" else now + outcome.pause_seconds
            if due > row["until"]:
                db.execute("UPDATE webhooks SET ending = 'failed', event = NULL, due = NULL WHERE id = ?", (key,))
                return "given_up"
            db.execute("UPDATE webhooks SET due = ? WHERE id = ?", (due, key))
            return "retried"
        if not is_newer:
            db.execute("UPDATE webhooks SET event = NULL, due = NULL, sent = ? WHERE id = ?", (now, key))
        else:
            due = now + (self._rules.progress_seconds if row["event"] == "progress" else 0.0)
            db.execute("UPDATE webhooks SET due = ?, attempts = 0, sent = ? WHERE id = ?", (due, now, key))
        return "delivered"


def _is_told_by(row: sqlite3.Row, event: WebhookEvent, now: float) -> bool:
    """Whether what is to be sent already says all that this event does."""
    if row["event"] is None:
        return False
    if row["event"] != event:
        return WEBHOOK_EVENTS.index(row["event"]) < WEBHOOK_EVENTS.index(event)
    return event == "progress" and (row["lease"] is None or row["lease"] <= now)


def _queue(db: sqlite3.Connection, row: sqlite3.Row, event: WebhookEvent, now: float, rules: Rules) -> None:
    is_held = row["lease"] is not None and row["lease"] > now
    is_failing = row["due"] is not None and row["attempts"] > 0 and event != "completed"
    if is_held or is_failing:
        # Its turn comes with the end of the attempt, or of the pause.
        due, attempts = row["due"], row["attempts"]
    elif event == "progress":
        due, attempts = max(now, (row["sent"] or 0.0) + rules.progress_seconds), 0
    else:
        due, attempts = now, 0
    db.execute(
        "UPDATE webhooks SET event = ?, number = number + 1, due = ?, until = ?, attempts = ?, ending = NULL "
        "WHERE id = ?",
        (event, due, now + rules.delivery_seconds, attempts, row["id"]),
    )


def _find_due(db: sqlite3.Connection, now: float) -> str | None:
    """The webhook whose turn it is."""
    held = db.execute("SELECT owner, receiver FROM webhooks WHERE lease > ?", (now,)).fetchall()
    of_owners = Counter(row["owner"] for row in held)
    to_receivers = Counter(tuple(row) for row in held)
    query = "SELECT owner, receiver, min(due) AS due FROM webhooks WHERE due <= ? GROUP BY owner, receiver"
    lanes = [
        (of_owners[row["owner"]], row["due"], row["owner"], row["receiver"])
        for row in db.execute(query, (now,)).fetchall()
        if of_owners[row["owner"]] < MAX_OF_OWNER and to_receivers[row["owner"], row["receiver"]] < MAX_TO_RECEIVER
    ]
    if not lanes:
        return None
    *_, due, owner, receiver = min(lanes)
    query = "SELECT id FROM webhooks WHERE owner = ? AND receiver = ? AND due = ? ORDER BY id LIMIT 1"
    return str(db.execute(query, (owner, receiver, due)).fetchone()["id"])


def _delivery(row: sqlite3.Row) -> Delivery:
    return Delivery(
        webhook=row["id"],
        job=row["job"],
        owner=row["owner"],
        url=row["url"],
        receiver=row["receiver"],
        event=row["event"],
        number=row["number"],
        fence=row["tries"],
        attempt=row["attempts"],
    )


def _secrets(db: sqlite3.Connection, owner: str) -> SigningSecrets | None:
    row = db.execute("SELECT * FROM signing_secrets WHERE owner = ?", (owner,)).fetchone()
    if row is None:
        return None
    if row["ends"] is None or row["ends"] <= time.time():
        return SigningSecrets(row["current"])
    return SigningSecrets(row["current"], row["previous"], row["ends"])
