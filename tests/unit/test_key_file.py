"""The key file: what its lines say, how strictly they are read, how they are made, revoked and read again."""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.api.access.keys.changing import add_key, revoke_keys
from service.api.access.keys.key_file import KeyFileError, hash_key, parse_keys, read_keys
from service.api.access.keys.watched import WatchedKeys
from tests.server import ROOT

SECRET = "convscope_" + "ab" * 32
HASH = hashlib.sha256(SECRET.encode()).hexdigest()
OTHER = "0" * 63 + "1"


def test_lines_are_read_when_they_have_all_that_they_may():
    keys = parse_keys(
        f"# who\r\n\nalice use {HASH} 2027-06-30 queued_jobs=5 stored_bytes=7 # her laptop: ä\r\n"
        f"  b.c@d_e-f\tadmin   {OTHER}  requests_per_minute=60".encode()
    )
    alice, other = list(keys)
    assert (alice.owner, alice.role, alice.id) == ("alice", "use", HASH[:16])
    assert alice.overrides == {"queued_jobs": 5, "stored_bytes": 7}
    assert alice.expires == datetime(2027, 6, 30, tzinfo=UTC)
    assert (other.owner, other.caller.sees, other.expires) == ("b.c@d_e-f", None, None)
    assert keys.find(SECRET) is alice
    assert keys.find(SECRET[:-1] + "c") is None
    assert HASH not in repr(alice)


def test_nothing_but_a_key_of_full_length_is_found_when_its_hash_stands_there():
    for weak in ("secret", "convscope_", SECRET[:-1], SECRET.upper(), SECRET + "\n"):
        assert parse_keys(f"alice use {hash_key(weak)}".encode()).find(weak) is None


@pytest.mark.parametrize(
    ("expires", "end"),
    [("2027-06-30", "2027-06-30T00:00:00+00:00"), ("2027-06-30T12:00Z", "2027-06-30T12:00:00+00:00"),
     ("2027-06-30T12:00:30+02:00", "2027-06-30T10:00:30+00:00")],
)  # fmt: skip
def test_key_is_over_from_its_end_on(expires: str, end: str):
    (key,) = parse_keys(f"alice use {HASH} {expires}".encode())
    moment = datetime.fromisoformat(end).timestamp()
    assert not key.is_over(moment - 1)
    assert key.is_over(moment)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("alice use", "a line is"),
        ("-alice use HASH", "first comes a name"),
        ("al/ice use HASH", "first comes a name"),
        ("a" * 65 + " use HASH", "first comes a name"),
        ("alice writer HASH", "second comes the role"),
        ("alice Use HASH", "second comes the role"),
        ("alice use " + HASH.upper(), "third comes the key's SHA-256"),
        ("alice use " + SECRET, "never the key itself"),
        (f"alice {SECRET} use", "second comes the role"),
        ("alice use HASH tomorrow", "expires is a date"),
        ("alice use HASH 20270630", "expires is a date"),
        ("alice use HASH 2027-02-30", "expires is a date"),
        ("alice use HASH 2027-06-30T12:00", "with its zone"),
        ("alice use HASH queued_jobs=5 2027-06-30", "a limit is"),
        ("alice use HASH queued_jobs=0", "a limit is"),
        ("alice use HASH queued_jobs=-1", "a limit is"),
        ("alice use HASH queued=1", "a limit is"),
        ("alice use HASH queued_jobs=1 queued_jobs=2", "each once"),
        ("alïce use HASH", "not ASCII"),
        (f"bob use {OTHER}", "the same key as in line 2"),
    ],
)
def test_line_is_refused_with_its_number_when_it_is_not_in_order(line: str, words: str):
    text = f"# keys\nbob read {OTHER}\n\n{line.replace('HASH', HASH)}\n"
    with pytest.raises(KeyFileError, match=r"^line 4: ") as raised:
        parse_keys(text.encode())
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


def test_file_is_refused_when_it_cannot_be_read(tmp_path: Path):
    large, pipe = tmp_path / "large", tmp_path / "pipe"
    large.write_bytes(b"#" * 2**21)
    os.mkfifo(pipe)
    for path, words in ((tmp_path / "none", "No such file"), (large, "more than"), (pipe, "no file"), (tmp_path, "no")):
        with pytest.raises(KeyFileError, match=words):
            read_keys(path)


def test_key_is_found_when_it_was_made_and_not_when_it_was_revoked(tmp_path: Path):
    path = tmp_path / "keys"
    old, first = add_key(path, "alice", "use", limits={"queued_jobs": 3})
    assert path.stat().st_mode & 0o777 == 0o600
    inode = path.stat().st_ino
    new, second = add_key(path, "alice", "admin", expires="2027-06-30")
    keys = read_keys(path)
    assert (keys.find(old), keys.find(new)) == (first, second)
    assert old not in path.read_text()
    assert len({old, new}) == 2
    assert revoke_keys(path, first.id) == [first]
    keys = read_keys(path)
    assert (keys.find(old), keys.find(new)) == (None, second)
    assert revoke_keys(path, "alice") == [second]
    assert revoke_keys(path, "alice") == []
    assert len(read_keys(path)) == 0
    # As containers see it that have the file mounted.
    assert path.stat().st_ino == inode
    assert path.read_text().count("# revoked") == 2


def test_line_is_added_when_the_last_one_has_no_end(tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text(f"bob read {OTHER}")
    add_key(path, "alice", "use")
    assert [key.owner for key in read_keys(path)] == ["bob", "alice"]


@pytest.mark.parametrize(("name", "expires"), [("a b", None), ("#a", None), ("ä", None), ("", None), ("a", "1 2")])
def test_nothing_is_written_when_a_key_cannot_be_made(tmp_path: Path, name: str, expires: str | None):
    with pytest.raises(KeyFileError):
        add_key(tmp_path / "keys", name, "use", expires=expires)
    assert not (tmp_path / "keys").exists()


def test_broken_file_is_left_when_a_key_is_to_be_made(tmp_path: Path):
    path = tmp_path / "keys"
    path.write_text("alice use\n")
    with pytest.raises(KeyFileError, match="line 1"):
        add_key(path, "bob", "use")
    assert path.read_text() == "alice use\n"


def test_all_keys_are_there_when_several_programs_make_some_at_once(tmp_path: Path):
    code = (
        "import sys; from pathlib import Path; from service.api.access.keys.changing import add_key, revoke_keys\n"
        "for i in range(30):\n"
        "    name = f'{sys.argv[2]}-{i}'; add_key(Path(sys.argv[1]), name, 'use')\n"
        "    if i % 2: revoke_keys(Path(sys.argv[1]), name)"
    )
    path = tmp_path / "keys"
    command = [sys.executable, "-c", code, str(path)]
    programs = [subprocess.Popen([*command, name], cwd=ROOT) for name in ("a", "b", "c")]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    assert {key.owner for key in read_keys(path)} == {f"{name}-{i}" for name in "abc" for i in range(0, 30, 2)}


def test_keys_are_read_again_when_the_file_changes(tmp_path: Path):
    path = tmp_path / "keys"
    secret, key = add_key(path, "alice", "use")
    watched = WatchedKeys(path)
    assert watched.current.find(secret) == key
    revoke_keys(path, key.id)
    watched.look()
    assert watched.current.find(secret) is None
    # As an editor and Kubernetes do it: another file in its place, of the same size and time.
    before = path.stat()
    other = tmp_path / "other"
    other.write_text(f"bob use {hash_key(secret)}".ljust(before.st_size))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(path)
    watched.look()
    assert watched.current.find(secret) is not None


def test_keys_before_stay_and_it_is_told_when_the_new_file_is_broken(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "keys"
    secret, key = add_key(path, "alice", "use")
    watched = WatchedKeys(path)
    for breaking in (lambda: path.write_text("alice use\n"), path.unlink):
        breaking()
        caplog.clear()
        age = watched.age_seconds
        for _ in range(5):
            watched.look()
            assert watched.current.find(secret) == key
        assert watched.age_seconds >= age
        told = [record for record in caplog.records if record.levelname == "ERROR"]
        assert len(told) == 1
        assert "STAY IN FORCE" in told[0].message
        path.write_text(f"bob use {key.sha256}\n")
        watched.look()
        assert [known.owner for known in watched.current] == ["bob"]
        add_key(path, "alice", "read")
        path.write_text(f"alice use {key.sha256}\n")
        watched.look()


def test_nobody_is_let_in_when_the_file_has_no_line(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = tmp_path / "keys"
    secret, _ = add_key(path, "alice", "use")
    watched = WatchedKeys(path)
    path.write_text("")
    watched.look()
    assert watched.current.find(secret) is None
    path.chmod(0o666)
    WatchedKeys(path)
    assert {record.message.partition(" ")[0] for record in caplog.records} >= {"no", "everybody"}
