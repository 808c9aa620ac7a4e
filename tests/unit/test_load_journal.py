"""What is known of model files from one start to the next, with real files and processes that really end."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import ModelFailedError
from service.models.load_journal import LoadJournal

DYING = """
import os, sys
from pathlib import Path
from service.models.load_journal import LoadJournal
LoadJournal(Path(sys.argv[1]), "1").load(sys.argv[2], "bad.keras", lambda: os._exit(9))
"""


def _refuse(reason: str = "too large", cause: Exception | None = None) -> Callable[[], None]:
    def begin() -> None:
        raise ModelFailedError(reason) from cause

    return begin


def _never() -> None:
    raise AssertionError("the load was begun")


def _die(folder: Path, subject: str) -> int:
    return subprocess.run([sys.executable, "-c", DYING, str(folder), subject], check=False, timeout=60).returncode


def test_refused_file_is_not_tried_again_at_the_next_start(tmp_path: Path):
    with pytest.raises(ModelFailedError, match=r"^too large$"):
        LoadJournal(tmp_path, "1").load("a", "a.keras", _refuse())
    with pytest.raises(ModelFailedError, match=r"^too large \(found at an earlier start; 'convscope doctor a\.keras'"):
        LoadJournal(tmp_path, "1").load("a", "a.keras", _never)
    # Another file, or another version or limit, is another load.
    assert LoadJournal(tmp_path, "1").load("b", "b.keras", lambda: 1) == 1
    assert LoadJournal(tmp_path, "2").load("a", "a.keras", lambda: 2) == 2


def test_doctor_always_tries_and_what_loads_is_served_again(tmp_path: Path):
    with pytest.raises(ModelFailedError):
        LoadJournal(tmp_path, "1").load("a", "a.keras", _refuse())
    for _ in range(2):
        _die(tmp_path, "a")
    assert LoadJournal(tmp_path, "1", always=True).load("a", "a.keras", lambda: 1) == 1
    assert LoadJournal(tmp_path, "1").load("a", "a.keras", lambda: 2) == 2


@pytest.mark.parametrize("cause", [OSError(28, "No space left on device"), MemoryError()])
def test_file_is_tried_again_when_memory_or_disk_were_short(tmp_path: Path, cause: Exception):
    journal = LoadJournal(tmp_path, "1")
    with pytest.raises(ModelFailedError):
        journal.load("a", "a.keras", _refuse("it did not work", cause))
    assert journal.load("a", "a.keras", lambda: 1) == 1


def test_file_is_refused_when_the_process_ended_in_it_twice(tmp_path: Path):
    assert _die(tmp_path, "a") == 9
    assert _die(tmp_path, "a") == 9
    with pytest.raises(ModelFailedError, match="ended while it loaded this file, 2 times in a row"):
        LoadJournal(tmp_path, "1").load("a", "a.keras", _never)
    assert LoadJournal(tmp_path, "1").load("b", "b.keras", lambda: 1) == 1


def test_ends_are_forgotten_when_the_file_loads_in_between(tmp_path: Path):
    journal = LoadJournal(tmp_path, "1")
    for _ in range(3):
        assert _die(tmp_path, "a") == 9
        assert journal.load("a", "a.keras", lambda: 1) == 1
    assert not list(tmp_path.glob("*.loading"))


def test_load_in_progress_is_no_end(tmp_path: Path):
    journal = LoadJournal(tmp_path, "1")

    def nested(depth: int) -> int:
        return journal.load("a", "a.keras", lambda: nested(depth - 1)) if depth else 1

    assert nested(4) == 1


@pytest.mark.parametrize("content", ["", "[", "[]", '{"a": 1}', '{"a": {"reason": 3, "at": "now"}}', "[" * 100_000])
def test_journal_is_begun_anew_when_its_file_is_damaged(tmp_path: Path, content: str):
    (tmp_path / "refused.json").write_text(content)
    journal = LoadJournal(tmp_path, "1")
    with pytest.raises(ModelFailedError):
        journal.load("a", "a.keras", _refuse())
    with pytest.raises(ModelFailedError, match="earlier start"):
        journal.load("a", "a.keras", _never)


def test_every_load_is_begun_when_nothing_can_be_noted(tmp_path: Path):
    (tmp_path / "file").touch()
    journal = LoadJournal(tmp_path / "file" / "loads", "1")
    assert journal.load("a", "a.keras", lambda: 1) == 1
    with pytest.raises(ModelFailedError, match=r"^too large$"):
        journal.load("a", "a.keras", _refuse())


def test_journal_stays_small_when_many_files_are_refused(tmp_path: Path):
    journal = LoadJournal(tmp_path, "1")
    for number in range(300):
        with pytest.raises(ModelFailedError):
            journal.load(str(number), "a.keras", _refuse())
    assert len(json.loads((tmp_path / "refused.json").read_text())) == 256
