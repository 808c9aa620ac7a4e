"""What only a file can do to job records: be shared, locked, damaged, too new, or impossible to write."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from service.jobs.store import sqlite_file
from service.jobs.store.bounds import Bounds, OwnerLimits
from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import Rules
from service.jobs.store.sqlite import SqliteJobStore
from tests.contract.job_store.jobs import a_record, claim, submit
from tests.server import ROOT

# Claims and finishes until nothing waits, in a process of its own; prints what it did.
WORK = """
import sys
from pathlib import Path
from service.jobs.store.sqlite import SqliteJobStore
from service.jobs.store.port import Rules, Worker
from tests.contract.job_store.jobs import a_chunk_result

store = SqliteJobStore(Path(sys.argv[1]), Rules())
while held := store.claim("cpu", Worker("worker", sys.argv[2])):
    assert store.finish(held, a_chunk_result()) == "continue"
    print(held.record.id, held.chunk, flush=True)
store.close()
assert "redis" not in sys.modules
"""


def test_each_chunk_is_done_once_when_two_processes_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SqliteJobStore(path, Rules())
    for _ in range(5):
        submit(store, a_record(chunks=20))
    command = [sys.executable, "-c", WORK, str(path)]
    workers = [
        subprocess.Popen([*command, name], cwd=ROOT, stdout=subprocess.PIPE, text=True) for name in ("one", "two")
    ]
    done = [line for worker in workers for line in worker.communicate(timeout=120)[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert len(done) == len(set(done)) == 100
    assert {job.state for job in store.list(limit=10)} == {"succeeded"}
    store.close()


def test_one_owners_jobs_are_found_and_counted_by_indexes(tmp_path: Path) -> None:
    store = SqliteJobStore(tmp_path / "jobs.db", Rules())
    asked: list[str] = []
    with store._file.reading() as db:
        db.set_trace_callback(asked.append)
    store.list(limit=10, owner="a")
    store.admits(a_record(owner="a", image="i"), None, Bounds(owner=OwnerLimits(1, 1, 1000)))
    with store._file.reading() as db:
        queries = [text for text in asked if text.startswith("SELECT")]
        plans = [row["detail"] for text in queries for row in db.execute(f"EXPLAIN QUERY PLAN {text}")]
    assert len(queries) == 4
    assert [plan for plan in plans if "jobs" in plan] == [
        "SEARCH jobs USING INDEX jobs_by_owner (owner=? AND rowid<?)",
        "SEARCH jobs USING COVERING INDEX jobs_in_work_of (owner=? AND state=?)",
        "SEARCH jobs USING COVERING INDEX jobs_bytes_of (owner=? AND input>?)",
        "SEARCH jobs USING COVERING INDEX jobs_bytes_of (owner=?)",
        "SEARCH jobs USING COVERING INDEX jobs_bytes_of (owner=? AND input=?)",
    ]
    store.close()


def test_a_killed_process_leaves_whole_records(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    store = SqliteJobStore(path, Rules())
    submit(store, a_record(chunks=500))
    with subprocess.Popen([sys.executable, "-c", WORK, str(path), "p"], cwd=ROOT, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        printed = [worker.stdout.readline() for _ in range(20)]
        worker.kill()
    (job,) = store.list(limit=1)
    done = [chunk.state for chunk in store.get(job.record.id).chunks].count("succeeded")
    assert done >= len(printed)
    store.abandon("p")
    assert claim(store).record == job.record
    store.close()


def test_a_locked_file_says_to_try_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.05)
    store = SqliteJobStore(tmp_path / "jobs.db", Rules())
    store.sweep()  # opens the file
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobsUnavailableError, match=r"locked.*Try again"):
            submit(store, a_record())
        assert store.list(limit=1) == []
    assert submit(store, a_record()).created
    store.close()


def test_a_full_disk_refuses_a_job_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    store = SqliteJobStore(tmp_path / "jobs.db", Rules())
    submit(store, a_record())
    # The connection's own limit, as a disk that is full would answer.
    with store._file.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    record = a_record(chunks=2000)
    with pytest.raises(JobsUnavailableError, match=r"full.*Free"):
        submit(store, record)
    assert store.known([record.id]) == set()
    assert store.sweep().queued == {"cpu": 1}
    store.close()


def test_a_file_that_is_no_database_is_named_damaged(tmp_path: Path) -> None:
    (tmp_path / "jobs.db").write_bytes(b"no database" * 1000)
    with pytest.raises(JobsUnavailableError, match="damaged"):
        SqliteJobStore(tmp_path / "jobs.db", Rules()).sweep()


def test_a_folder_that_is_not_there_is_asked_for_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(JobsUnavailableError, match="CONVSCOPE_DATA exists") as caught:
        SqliteJobStore(tmp_path / "nowhere" / "jobs.db", Rules()).sweep()
    assert str(tmp_path) not in caught.value.detail


def test_two_processes_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORK, str(tmp_path / "jobs.db"), "p"]
    workers = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [worker.wait(120) for worker in workers] == [0] * 4
