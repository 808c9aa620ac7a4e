"""A folder that is looked at again and again: all that changes is seen, and what has not is the same object."""

import os
import shutil
from pathlib import Path

import pytest

from service.models.snapshot import SnapshotKeeper
from service.models.sources.folder import Folder
from service.models.sources.scan import RepositoryScan
from tests.unit.fakes import FakeLoader
from tests.unit.test_catalog import put

# More than are looked at in turn.
MANY = 11


@pytest.fixture
def scan(tmp_path: Path) -> RepositoryScan:
    for version in range(1, MANY + 1):
        put(tmp_path, "a", str(version))
    scan = RepositoryScan(tmp_path)
    scan.versions("a")
    return scan


def _set_time(folder: Path, nanoseconds: int) -> None:
    os.utime(folder, ns=(nanoseconds, nanoseconds))


def test_found_is_the_same_when_nothing_has_changed(scan: RepositoryScan):
    found = scan.versions("a")
    for _ in range(MANY):
        assert scan.versions("a") is found


def test_version_is_seen_when_it_comes_or_goes(tmp_path: Path, scan: RepositoryScan):
    before = scan.versions("a")
    put(tmp_path, "a", "100")
    after = scan.versions("a")
    assert [found.version for found in after][:2] == ["100", str(MANY)]
    # Those before are not looked at again.
    assert all(old is new for old, new in zip(before[5:], after[6:], strict=True))
    shutil.rmtree(tmp_path / "a" / "100")
    assert scan.versions("a") == before


def test_file_that_replaces_another_is_seen_when_its_turn_comes(tmp_path: Path, scan: RepositoryScan):
    before = {found.version: found for found in scan.versions("a")}
    # In place, so that no folder's time tells.
    (tmp_path / "a" / "3" / "model.keras").write_bytes(b"other weights")
    for _ in range(MANY // 4 + 1):
        after = {found.version: found for found in scan.versions("a")}
    assert {version for version in after if after[version] != before[version]} == {"3"}


def test_file_that_comes_within_the_same_tick_is_seen(tmp_path: Path, scan: RepositoryScan):
    place = tmp_path / "a" / "100"
    place.mkdir()
    _set_time(place, 10**18)
    assert scan.versions("a")[0].file is None
    put(tmp_path, "a", "100")
    _set_time(place, 10**18)
    assert scan.versions("a")[0].file == place / "model.keras"


def test_config_counts_for_all_versions_when_it_changes(tmp_path: Path, scan: RepositoryScan):
    before = scan.versions("a")
    (tmp_path / "a" / "model.toml").write_text("keep_versions = 3")
    after = scan.versions("a")
    assert all(
        new.stamp[0] == old.stamp[0] and new.stamp[1] is not None for old, new in zip(before, after, strict=True)
    )
    assert {found.stamp[1] for found in after} == {after[0].stamp[1]}


def test_versions_are_described_anew_when_their_decoder_changes(tmp_path: Path):
    put(tmp_path, "encoder", card='decoder = "decoder"')
    put(tmp_path, "decoder")
    folder = Folder(tmp_path, FakeLoader())
    before = folder.versions("encoder")
    assert folder.versions("encoder") is before
    put(tmp_path, "decoder", content=b"other weights")
    assert folder.versions("encoder") != before


def test_snapshot_is_the_same_when_nothing_has_changed(tmp_path: Path):
    put(tmp_path, "a")
    put(tmp_path, "b")
    keeper = SnapshotKeeper([Folder(tmp_path, FakeLoader())])
    snapshot = keeper.latest
    assert keeper.refresh() is snapshot
    assert keeper.refresh(gently=True) is snapshot
    put(tmp_path, "b", "2")
    later = keeper.refresh()
    assert later.versions("a") is snapshot.versions("a")
    assert all(later.holds(version) for name in ("a", "b") for version in snapshot.versions(name))
    assert not snapshot.holds(later.versions("b")[0])
