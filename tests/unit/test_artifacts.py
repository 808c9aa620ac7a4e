"""Pictures and inputs of jobs: written whole, read back, never from outside, and collected when nobody needs them."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import fsspec
import pytest

from schemas.jobs import StoredImage
from schemas.results import ResultImage
from service.errors import StorageFullError
from service.jobs.artifacts import ArtifactMissingError, Artifacts, Kept, StorageLimits, StorageUnavailableError

INPUT = "a1" * 32
JOB = "0" * 32
ROOT = Path(__file__).parents[2]


def _image(name: str, data: bytes) -> ResultImage:
    return ResultImage(name=name, layer="conv1", width=2, height=1, data=data)


@pytest.fixture(params=["folder", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "made" / "on demand")
        return
    yield f"memory://{uuid4().hex}"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def artifacts(url: str) -> Artifacts:
    return Artifacts(url)


def test_input_is_read_back_by_its_hash_when_written(artifacts: Artifacts, url: str):
    sha256 = artifacts.write_input(b"picture")
    assert sha256 == hashlib.sha256(b"picture").hexdigest()
    assert artifacts.write_input(b"picture") == sha256
    assert Artifacts(url).read_input(sha256) == b"picture"


def test_pictures_are_read_back_when_several_attempts_wrote_them(artifacts: Artifacts, url: str):
    first = artifacts.write_pictures(JOB, 3, 1, [_image("filter-0", b"one"), _image("filter-1", b"two")])
    second = artifacts.write_pictures(JOB, 3, 2, [_image("filter-0", b"three")])
    assert first[0] == StoredImage(
        name="filter-0",
        layer="conv1",
        width=2,
        height=1,
        file=f"results/{JOB}/3-1/filter-0.png",
        sha256=hashlib.sha256(b"one").hexdigest(),
        size=3,
    )
    other = Artifacts(url)
    assert [other.read(image.file) for image in (*first, *second)] == [b"one", b"two", b"three"]


def test_missing_is_told_when_there_is_no_such_file(artifacts: Artifacts):
    artifacts.write_pictures(JOB, 0, 1, [_image("a", b"1")])
    for read, place in ((artifacts.read, f"results/{JOB}/0-1/b.png"), (artifacts.read_input, "0" * 64)):
        with pytest.raises(ArtifactMissingError):
            read(place)


@pytest.mark.parametrize(
    "place",
    ["results/../secret", "../secret", "results/a/../../secret", "/etc/passwd", "results//etc/passwd", "", "results/.",
     "results/a\x00b", "inputs/../secret"],
)  # fmt: skip
def test_nothing_is_read_when_the_record_points_outside(tmp_path: Path, place: str):
    (tmp_path / "secret").write_text("secret")
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    artifacts.write_pictures(JOB, 0, 1, [_image("a", b"1")])
    with pytest.raises(ArtifactMissingError):
        artifacts.read(place)


@pytest.mark.parametrize(
    "name",
    ["../secret", "..", "", "/etc/passwd", "a/b", "0" * 63, "0" * 65, "G" * 64, "0" * 63 + "\n", "0" * 64 + "\0"],
)
def test_no_input_is_touched_when_its_name_is_no_hash(tmp_path: Path, name: str):
    (tmp_path / "secret").write_text("secret")
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    artifacts.write_input(b"picture")
    for touch in (
        artifacts.open_dataset,
        artifacts.read_input,
        lambda name: artifacts.keep_input(io.BytesIO(b"dataset"), name),
    ):
        with pytest.raises(ArtifactMissingError):
            touch(name)
    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.parametrize(("job", "name"), [("../..", "a"), ("a/b/..", "a"), ("", "a"), (JOB, ".a")])
def test_no_picture_is_written_when_its_place_is_none_of_ours(tmp_path: Path, job: str, name: str):
    artifacts = Artifacts(str(tmp_path / "artifacts"))
    with pytest.raises(ArtifactMissingError):
        artifacts.write_pictures(job, 0, 1, [_image(name, b"1")])
    assert list(tmp_path.rglob("*.png")) == []


def test_pictures_are_gone_when_their_job_is_removed(artifacts: Artifacts):
    (kept,) = artifacts.write_pictures("1" * 32, 0, 1, [_image("a", b"kept")])
    (gone,) = artifacts.write_pictures(JOB, 0, 1, [_image("a", b"gone")])
    artifacts.remove_jobs([JOB, "2" * 32, "..", ""])
    assert artifacts.read(kept.file) == b"kept"
    with pytest.raises(ArtifactMissingError):
        artifacts.read(gone.file)


def test_only_orphans_are_collected_when_they_are_old(artifacts: Artifacts):
    used, unused = artifacts.write_input(b"used"), artifacts.write_input(b"unused")
    (orphan,) = artifacts.write_pictures(JOB, 0, 1, [_image("a", b"orphan")])
    (known,) = artifacts.write_pictures("1" * 32, 0, 1, [_image("a", b"known")])

    def collect(older_than_seconds: float) -> int:
        return artifacts.collect(lambda jobs: set(jobs) - {JOB}, lambda: {used}, older_than_seconds=older_than_seconds)

    assert collect(3600) == 0
    assert artifacts.read(orphan.file) == b"orphan"
    assert collect(0) == 2
    assert (artifacts.read_input(used), artifacts.read(known.file)) == (b"used", b"known")
    for read, place in ((artifacts.read_input, unused), (artifacts.read, orphan.file)):
        with pytest.raises(ArtifactMissingError):
            read(place)
    assert collect(0) == 0


def test_nothing_is_collected_when_nothing_was_ever_written(artifacts: Artifacts):
    assert artifacts.collect(lambda _: set(), set, older_than_seconds=0) == 0


def test_input_stays_when_it_was_written_again_lately(tmp_path: Path):
    artifacts = Artifacts(str(tmp_path))
    sha256 = artifacts.write_input(b"picture")
    os.utime(tmp_path / "inputs" / sha256, (1, 1))
    artifacts.write_input(b"picture")
    assert artifacts.collect(lambda _: set(), set, older_than_seconds=3600) == 0
    assert artifacts.read_input(sha256) == b"picture"


def test_input_is_forgotten_when_its_job_was_refused(tmp_path: Path):
    artifacts = Artifacts(str(tmp_path))
    artifacts.forget_input(artifacts.keep_input(b"picture", INPUT))
    assert list((tmp_path / "inputs").iterdir()) == []


def test_input_stays_when_somebody_else_sent_it_before_or_since(tmp_path: Path):
    artifacts, others = Artifacts(str(tmp_path)), Artifacts(str(tmp_path))
    for _ in range(200):
        refused = artifacts.keep_input(b"picture", INPUT)
        accepted = others.keep_input(b"picture", INPUT)
        artifacts.forget_input(refused)
        assert others.read_input(INPUT) == b"picture"
        others.forget_input(accepted)
        assert others.read_input(INPUT) == b"picture"
        (tmp_path / "inputs" / INPUT).unlink()


def test_input_has_one_maker_when_many_send_it_at_once(tmp_path: Path):
    def send(_: int) -> Kept:
        return Artifacts(str(tmp_path)).keep_input(io.BytesIO(b"dataset" * 1000), INPUT)

    with ThreadPoolExecutor(16) as threads:
        kept = list(threads.map(send, range(64)))
    assert sum(one.written is not None for one in kept) == 1
    for one in kept:
        Artifacts(str(tmp_path)).forget_input(one)
    assert [path.name for path in (tmp_path / "inputs").iterdir()] == [INPUT]


def test_input_is_refused_when_all_together_would_take_too_much(url: str):
    artifacts = Artifacts(url, StorageLimits(inputs=100, results=100))
    artifacts.write_input(b"a" * 60)
    with pytest.raises(StorageFullError, match=r"delete jobs.*CONVSCOPE_LIMITS__INPUT_BYTES"):
        artifacts.write_input(b"b" * 60)
    artifacts.write_input(b"c" * 40)
    # What is there already takes nothing more.
    if not url.startswith("memory:"):
        artifacts.write_input(b"a" * 60)


def test_pictures_are_refused_when_all_together_would_take_too_much(url: str):
    artifacts = Artifacts(url, StorageLimits(inputs=100, results=100))
    artifacts.require_room()
    artifacts.write_pictures(JOB, 0, 1, [_image("a", b"1" * 70)])
    with pytest.raises(StorageFullError, match=r"delete jobs.*CONVSCOPE_LIMITS__RESULT_BYTES"):
        artifacts.write_pictures(JOB, 1, 2, [_image("a", b"1" * 20), _image("b", b"2" * 20)])
    # What others have written counts, and what has gone does not.
    other = Artifacts(url, StorageLimits(inputs=100, results=50))
    with pytest.raises(StorageFullError):
        other.require_room()
    artifacts.remove_jobs([JOB])
    Artifacts(url, StorageLimits(inputs=100, results=50)).require_room()


def test_storage_is_unavailable_when_its_folder_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    artifacts = Artifacts(str(tmp_path / "file" / "artifacts"))
    with pytest.raises(StorageUnavailableError) as raised:
        artifacts.write_input(b"picture")
    assert str(tmp_path) not in raised.value.detail


def test_storage_is_unavailable_when_no_backend_knows_its_url():
    with pytest.raises(StorageUnavailableError):
        Artifacts("nonsense://bucket").write_input(b"picture")


_WRITE_TOO_MUCH = """
import resource, sys
from service.jobs.artifacts import Artifacts, StorageFullError
from schemas.results import ResultImage
artifacts = Artifacts(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
images = [ResultImage(name=n, layer=None, width=1, height=1, data=bytes(s)) for n, s in (("a", 10), ("b", 200_000))]
for write in (lambda: artifacts.write_input(bytes(200_000)), lambda: artifacts.write_pictures("job", 0, 1, images)):
    try:
        write()
    except StorageFullError as error:
        assert sys.argv[1] not in error.detail
        print("full")
"""


def test_storage_is_full_and_nothing_is_left_when_a_file_does_not_fit(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", _WRITE_TOO_MUCH, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["full", "full"]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


_WRITE_SLOWLY = """
import os, sys, time
from service.jobs.artifacts import Artifacts
from schemas.results import ResultImage
sync, count = os.fsync, 0
def slow(descriptor):
    global count
    sync(descriptor)
    if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".tmp"):
        count += 1
        if count == 2:
            print("midway", flush=True)
            time.sleep(600)
os.fsync = slow
images = [ResultImage(name=name, layer=None, width=1, height=1, data=b"data") for name in "abc"]
Artifacts(sys.argv[1]).write_pictures("job", 0, 1, images)
"""


def test_nothing_is_served_when_the_writer_is_killed_midway(tmp_path: Path):
    command = [sys.executable, "-c", _WRITE_SLOWLY, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"midway\n"
        writer.send_signal(signal.SIGKILL)
    artifacts = Artifacts(str(tmp_path))
    for name in "abc":
        with pytest.raises(ArtifactMissingError):
            artifacts.read(f"results/job/0-1/{name}.png")
    for draft in tmp_path.rglob("*.tmp"):
        with pytest.raises(ArtifactMissingError):
            artifacts.read(str(draft.relative_to(tmp_path)))
    past = time.time() - 7200
    for path in tmp_path.rglob("*"):
        os.utime(path, (past, past))
    assert artifacts.collect(lambda _: set(), set, older_than_seconds=3600) == 1
    assert not (tmp_path / "results" / "job").exists()
