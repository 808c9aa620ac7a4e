"""The SQLite file of the job records: connections, transactions, and what its failures mean to people.

Knows nothing of jobs.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.sqlite_versions import bring_up_to_date

BUSY_SECONDS: Final = 5.0
_LOG = logging.getLogger(__name__)

_SENTENCES: Final = {
    "SQLITE_BUSY": "The job records are locked by another process. Try again shortly.",
    "SQLITE_LOCKED": "The job records are locked by another process. Try again shortly.",
    "SQLITE_FULL": "The disk that keeps the job records is full. Free some space on it.",
    "SQLITE_READONLY": "The job records cannot be written. Make the folder CONVSCOPE_DATA writable for the service.",
    "SQLITE_CANTOPEN": "The job records cannot be opened. Check that the folder CONVSCOPE_DATA exists and is writable.",
    "SQLITE_NOTADB": "The file of the job records is damaged. Move it away and restart the service.",
    "SQLITE_CORRUPT": "The file of the job records is damaged. Move it away and restart the service.",
}
_OTHER: Final = (
    "The job records cannot be read or written. See the service's log, and check the disk of CONVSCOPE_DATA."
)


class RecordsFile:
    """Hands each caller a connection of its own, inside a transaction that is kept whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        # SQLite's own waiting is a poll without order; threads of this process wait in line instead.
        self._writing = threading.Lock()
        # Opened with the first use, and tried again until it works: no jobs, but everything else, without it.
        self._created = False

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        with self._explained(), self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        if not self._writing.acquire(timeout=BUSY_SECONDS):
            raise JobsUnavailableError(_SENTENCES["SQLITE_BUSY"])
        try:
            with self._explained(), self._transaction("BEGIN IMMEDIATE") as connection:
                yield connection
        finally:
            self._writing.release()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        if not self._created:
            self._create()
        with self._begun(begin) as connection:
            yield connection

    @contextmanager
    def _begun(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._connect()
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.rollback()
            self._idle.append(connection)

    def _connect(self) -> sqlite3.Connection:
        # One thread at a time uses it: the list of idle ones sees to that.
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _create(self) -> None:
        with closing(self._connect()) as connection:
            _until_unlocked(lambda: connection.execute("PRAGMA journal_mode = WAL"))
        with self._begun("BEGIN IMMEDIATE") as connection:
            bring_up_to_date(connection)
        self._created = True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            _LOG.error("job records in '%s' failed: %s %s", self._path, name, error)
            # An extended name, such as SQLITE_READONLY_DIRECTORY, begins with the plain one.
            raise JobsUnavailableError(_SENTENCES.get("_".join(name.split("_")[:2]), _OTHER)) from error


def _until_unlocked(action: Callable[[], object]) -> None:
    # Two processes that open a new file at once: switching to WAL does not wait for the other by itself.
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            action()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
