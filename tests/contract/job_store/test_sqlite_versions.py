"""Files of job records as each version of the code has written them, in `forms/`, under the code of today.

A new version of the file, of its tables or of the JSON in them, brings a file of that number there, and a migration.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from service.jobs.store.errors import JobsUnavailableError
from service.jobs.store.port import Picture, Rules
from service.jobs.store.sqlite import SqliteJobStore
from service.jobs.store.sqlite_versions import VERSION
from tests.contract.job_store.jobs import a_chunk_result, a_record, an_answer, claim

FORMS = Path(__file__).with_name("forms")


def _write(path: Path, script: str) -> Path:
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    return path


def _schema(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as db:
        rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {("user_version", str(db.execute("PRAGMA user_version").fetchone()[0])), *rows}


@pytest.mark.parametrize("stamp", ["", "PRAGMA user_version = 0;"], ids=["stamped", "unstamped"])
@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_jobs_of_a_file_of_any_version_go_on(tmp_path: Path, version: int, stamp: str) -> None:
    script = (FORMS / f"{version}.sql").read_text(encoding="utf-8")
    path = _write(tmp_path / "jobs.db", script + stamp)
    store = SqliteJobStore(path, Rules())
    found = {job.record.id: job.state for job in store.list(limit=10)}
    assert found == {name: name for name in ("succeeded", "failed", "cancelled", "running", "queued")}
    done = store.get("succeeded")
    assert [image.name for chunk in done.chunks for image in chunk.images] == [
        f"filter-{number}" for number in range(3)
    ]
    # What the reducer made of the others is all that is kept of them.
    assert (done.answer, store.answers("succeeded")) == (an_answer("filter-2"), [an_answer("filter-2")])
    assert [store.picture("succeeded", image.name) for chunk in done.chunks for image in chunk.images] == [
        Picture(image, done.expires) for chunk in done.chunks for image in chunk.images
    ]
    assert store.get("failed").error is not None
    # The lease of the chunk that was running has ended long since.
    store.sweep()
    for job in ("running", "queued", "running"):
        held = claim(store)
        assert held.record.id == job
        store.finish(held, a_chunk_result())
    assert store.get("running").state == store.get("queued").state == "succeeded"
    # Sent twice, deleted twice.
    assert not store.submit(a_record(), duplicate_key="only running").created
    assert (store.delete("running"), store.delete("running")) == (False, True)
    store.close()


def test_job_is_computed_anew_when_half_of_it_has_an_earlier_form(tmp_path: Path) -> None:
    half = """
        UPDATE chunks SET state = 'succeeded', lease = NULL, progress = 1, part = '{"of": "another form"}'
        WHERE job = 'running' AND number = 0;
        UPDATE jobs SET record = json_set(record, '$.combines', json('true')) WHERE id = 'running';
        INSERT INTO chunks (job, number, queue, state) VALUES ('running', 2, 'cpu', 'waiting');
    """
    script = (FORMS / "2.sql").read_text(encoding="utf-8") + half
    store = SqliteJobStore(_write(tmp_path / "jobs.db", script), Rules())
    store.sweep()
    chunks = store.get("running").chunks
    assert [chunk.state for chunk in chunks] == ["queued", "queued", "waiting"]
    assert store.answers("running") == []
    done = []
    for _ in range(4):
        held = claim(store)
        store.finish(held, a_chunk_result())
        done.append((held.record.id, held.chunk))
    assert [number for job, number in done if job == "running"] == [0, 1, 2]
    assert store.get("running").state == "succeeded"
    store.close()


def test_every_file_ends_up_in_the_form_of_a_new_one(tmp_path: Path) -> None:
    paths = [_write(tmp_path / file.stem, file.read_text(encoding="utf-8")) for file in sorted(FORMS.glob("*.sql"))]
    assert [path.name for path in paths] == [str(version) for version in range(1, VERSION + 1)]
    for path in (*paths, tmp_path / "new"):
        store = SqliteJobStore(path, Rules())
        store.sweep()
        store.close()
    new = _schema(tmp_path / "new")
    assert [_schema(path) for path in paths] == [new] * VERSION


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("PRAGMA user_version = 99", r"newer.*99.*Start that one, or choose another CONVSCOPE_DATA"),
        ("CREATE TABLE songs (title TEXT)", "another program's. Move it away"),
        ("PRAGMA user_version = -1", "another program's. Move it away"),
    ],
)
def test_a_file_of_a_form_that_is_not_known_is_refused_and_left_as_it_is(
    tmp_path: Path, script: str, sentence: str
) -> None:
    path = _write(tmp_path / "jobs.db", script)
    before = _schema(path)
    store = SqliteJobStore(path, Rules())
    for _ in range(2):
        with pytest.raises(JobsUnavailableError, match=sentence):
            store.sweep()
    store.close()
    assert _schema(path) == before
