"""What stays in memory within a bound, who goes, who waits, and which version is served while models come and go."""

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from service.engine.model import Model
from service.engine.ports.overrides import Overrides
from service.errors import ModelFailedError, ServerBusyError
from service.models.catalog import Catalog
from service.models.listing import summarise, summarise_version
from service.models.residency import MEGABYTE, Residency, Resident
from service.models.sources.folder import Folder
from tests.unit.fakes import ClosedFormProbe, closed_form_model
from tests.unit.test_catalog import put

LIMIT_SECONDS = 20.0


class SizedLoader:
    """A network takes as many megabytes as its file says; `broken` fails; a `gate` holds back what is slow."""

    def __init__(self, gate: Event | None = None) -> None:
        self.gate = gate
        self.loaded: list[str] = []

    def __call__(self, path: Path, overrides: Overrides) -> ClosedFormProbe:
        self.loaded.append(f"{path.parent.parent.name}/{path.parent.name}")
        text = path.read_text()
        if self.gate is not None and "slow" in text:
            assert self.gate.wait(LIMIT_SECONDS)
        if text.startswith("broken"):
            raise ModelFailedError("the file is broken")
        probe = ClosedFormProbe([[1, 0], [0, 1], [0, 0]])
        probe.held_bytes = int(text.split()[0]) * MEGABYTE
        return probe


@contextmanager
def _catalog(folder: Path, megabytes: int, loader: SizedLoader | None = None, patience: float = 0) -> Iterator[Catalog]:
    catalog = Catalog(
        [Folder(folder, loader or SizedLoader())], Residency(megabytes * MEGABYTE, patience_seconds=patience)
    )
    yield catalog
    catalog.close()


def _until(seen: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not seen():
        assert time.monotonic() < end
        time.sleep(0.01)


def _states(catalog: Catalog) -> dict[str, str]:
    return {name: summarise(catalog, name).state for name in catalog.names()}


def test_those_asked_for_longest_ago_go_when_another_needs_the_room(tmp_path: Path):
    for name in ("a", "b", "c"):
        put(tmp_path, name, content=b"4")
    with _catalog(tmp_path, 10) as catalog:
        for name in ("a", "b", "a", "c"):
            assert catalog.model(name).name == name
        assert _states(catalog) == {"a": "ready", "b": "available", "c": "ready"}
        assert catalog.residency.held_bytes == 8 * MEGABYTE
        # What is known of it stays.
        summary = summarise(catalog, "b")
        assert (summary.task, summary.since) == ("classification", None)
        facts = catalog.find_facts("b")
        assert facts is not None
        assert facts.network_info.classes == 2


def test_what_it_took_is_remembered_when_it_comes_again(tmp_path: Path):
    put(tmp_path, "a", content=b"4")
    put(tmp_path, "b", content=b"7")
    with _catalog(tmp_path, 10) as catalog:
        catalog.model("a")
        held = catalog.model("b")
        with pytest.raises(ServerBusyError, match="in use"):
            catalog.model("a")
        assert _states(catalog) == {"a": "failed", "b": "ready"}
        del held
        assert catalog.model("a").name == "a"


def test_model_that_is_too_large_is_refused_with_the_figure(tmp_path: Path):
    put(tmp_path, "whale", content=b"11")
    put(tmp_path, "fish", content=b"1")
    with _catalog(tmp_path, 10) as catalog:
        catalog.model("fish")
        with pytest.raises(ModelFailedError, match=r"takes 11 MB.* 10 MB together \(CONVSCOPE_LIMITS__MODEL_BYTES\)"):
            catalog.model("whale")
        assert _states(catalog) == {"fish": "ready", "whale": "failed"}
        assert catalog.residency.held_bytes == MEGABYTE


def test_load_waits_while_what_could_go_is_in_use(tmp_path: Path):
    put(tmp_path, "a", content=b"6")
    put(tmp_path, "b", content=b"6")
    with _catalog(tmp_path, 10, patience=LIMIT_SECONDS) as catalog, ThreadPoolExecutor(1) as threads:
        in_use = catalog.model("a")
        waiting = threads.submit(lambda: catalog.model("b").name)
        _until(lambda: summarise(catalog, "b").state == "loading")
        time.sleep(0.1)
        assert not waiting.done()
        del in_use
        assert waiting.result(LIMIT_SECONDS) == "b"
        assert summarise(catalog, "a").state == "available"


def test_load_makes_room_for_what_it_needs_only_while_it_goes_on(tmp_path: Path):
    residency, residents = Residency(10, patience_seconds=0), []
    for name in ("a", "b", "c"):
        put(tmp_path, name)
        (version,) = Folder(tmp_path, SizedLoader()).versions(name)
        residents.append(Resident(version, Future()))
    models = []
    for resident, passing in zip(residents, (0, 2, 6), strict=True):
        residency.add(resident)
        residency.admit(resident, 4, passing)
        assert residency.held_bytes == 4 * len(residency.list()) + passing
        models.append(closed_form_model([[1, 0], [0, 1], [0, 0]]))
        models[-1].probe.held_bytes = 4  # type: ignore[misc]
        residency.settle(resident, models[-1])
    # For the last all others had to go.
    assert [(each.version.name, each.cost) for each in residency.list()] == [("c", 4)]


def test_load_goes_on_without_that_room_when_others_are_in_use(tmp_path: Path):
    put(tmp_path, "a", content=b"4")
    put(tmp_path, "b", content=b"4" + b" " * 3 * MEGABYTE)
    with _catalog(tmp_path, 10) as catalog:
        in_use = catalog.model("a")
        assert catalog.model("b").name == "b"
        assert _states(catalog) == {"a": "ready", "b": "ready"}
        del in_use


def test_what_went_has_left_memory_before_another_is_loaded(tmp_path: Path):
    """Networks are full of cycles: who only forgets them has twice the memory for a while."""
    alive: list[weakref.ref[object]] = []

    class Knotted(SizedLoader):
        def __call__(self, path: Path, overrides: Overrides) -> ClosedFormProbe:
            assert all(each() is None for each in alive)
            probe = super().__call__(path, overrides)
            probe.knot = probe  # type: ignore[attr-defined]
            alive.append(weakref.ref(probe))
            return probe

    for name in ("a", "b"):
        put(tmp_path, name, content=b"6" + b" " * 6 * MEGABYTE)
    gc.disable()
    try:
        with _catalog(tmp_path, 10, Knotted()) as catalog:
            for name in ("a", "b", "a"):
                assert catalog.model(name).name == name
    finally:
        gc.enable()


def test_model_counts_until_its_last_request_has_ended_when_it_is_unloaded(tmp_path: Path):
    put(tmp_path, "a", content=b"4")
    with _catalog(tmp_path, 10) as catalog:
        model: Model | None = catalog.model("a")
        catalog.unload("a")
        assert catalog.find_resident("a") is None
        (leaving,) = catalog.residency.list()
        assert (leaving.state, catalog.residency.held_bytes) == ("unloading", 4 * MEGABYTE)
        assert model is not None
        assert model.probe.network_info.classes == 2
        del model
        gc.collect()
        assert catalog.residency.list() == []
        assert catalog.model("a").name == "a"


def test_bound_holds_when_what_is_loaded_grows(tmp_path: Path):
    """Graphs are compiled as a model is asked."""
    put(tmp_path, "a", content=b"4")
    put(tmp_path, "b", content=b"4")
    with _catalog(tmp_path, 10) as catalog:
        catalog.model("a")
        grown = catalog.model("b")
        grown.probe.held_bytes = 8 * MEGABYTE  # type: ignore[misc]
        catalog.model("b")
        assert _states(catalog) == {"a": "available", "b": "ready"}


def test_version_before_is_served_until_the_new_one_is_ready_and_warm(tmp_path: Path):
    put(tmp_path, "a", content=b"1")
    gate, warmed = Event(), []
    with _catalog(tmp_path, 10, SizedLoader(gate)) as catalog:
        catalog.start(0.01, lambda model: warmed.append(model.version), load_noticed=True)
        _until(lambda: summarise(catalog, "a").state == "ready")
        put(tmp_path, "a", "2", content=b"1 slow")
        _until(lambda: catalog.list_versions("a") == ["2", "1"])
        _until(lambda: any(each.state == "loading" for each in catalog.residency.list()))
        begun = catalog.model("a")
        assert begun.version == "1"
        gate.set()
        _until(lambda: catalog.model("a").version == "2")
        assert warmed == ["1", "2"]
        # Requests that began on the old version end on it, and it leaves with the last of them.
        assert begun.probe.network_info.classes == 2
        _until(
            lambda: [(each.version.version, each.state) for each in catalog.residency.list()][-1] == ("1", "unloading")
        )
        del begun
        _until(lambda: [each.version.version for each in catalog.residency.list()] == ["2"])


def test_new_version_is_served_when_it_is_told_that_it_is_loaded(tmp_path: Path):
    put(tmp_path, "a", content=b"1")
    gate, found = Event(), []
    with _catalog(tmp_path, 10, SizedLoader(gate)) as catalog:
        catalog.start(3600)
        assert catalog.model("a").version == "1"
        put(tmp_path, "a", "2", content=b"1 slow")
        catalog.refresh()
        lease = catalog.request("a", "2")
        lease.load.add_done_callback(lambda _: found.append(catalog.find("a").version))
        assert catalog.find("a").version == "1"
        gate.set()
        assert lease.model().version == "2"
        _until(lambda: found == ["2"])


def test_version_before_stays_and_says_so_when_the_new_one_fails(tmp_path: Path):
    put(tmp_path, "a", content=b"1")
    with _catalog(tmp_path, 10) as catalog:
        catalog.start(0.01, load_noticed=True)
        _until(lambda: summarise(catalog, "a").state == "ready")
        put(tmp_path, "a", "2", content=b"broken")
        _until(lambda: summarise(catalog, "a").reason is not None)
        summary = summarise(catalog, "a")
        assert (summary.state, summary.reason) == (
            "ready", "version 2 failed, version 1 is served: the file is broken"
        )  # fmt: skip
        assert catalog.model("a").version == "1"
        assert summarise_version(catalog, "a", "2").state == "failed"


def test_version_before_comes_back_when_it_had_to_go_and_the_new_one_has_failed(tmp_path: Path):
    put(tmp_path, "a", content=b"6")
    put(tmp_path, "b", content=b"6")
    with _catalog(tmp_path, 10) as catalog:
        catalog.start(0.01)
        assert catalog.model("a").version == "1"
        put(tmp_path, "a", "2", content=b"broken")
        _until(lambda: catalog.list_versions("a") == ["2", "1"])
        with pytest.raises(ModelFailedError, match="broken"):
            catalog.model("a", "2")
        assert catalog.model("b").name == "b"
        assert [each.version.name for each in catalog.residency.list() if each.state == "ready"] == ["b"]
        assert catalog.model("a").version == "1"
        assert "version 2 failed, version 1 is served" in (summarise(catalog, "a").reason or "")


def test_a_hundred_roll_outs_leave_one_network(tmp_path: Path):
    loader = SizedLoader()
    put(tmp_path, "a", "1", content=b"1")
    # As in the service: what other tests have imported is not looked through a hundred times.
    gc.freeze()
    with _catalog(tmp_path, 1000, loader) as catalog:
        catalog.start(0.002, load_noticed=True)
        for version in range(2, 102):
            # At once, so that nobody sees half of it.
            put(tmp_path, ".next", str(version), content=b"1").parent.rename(tmp_path / "a" / str(version))
            _until(lambda: catalog.model("a").version == str(version))  # noqa: B023 - asked at once
        _until(lambda: len(catalog.residency.list()) == 1)
    gc.unfreeze()
    assert len(loader.loaded) <= 101


def test_old_versions_stay_when_the_config_says_so(tmp_path: Path):
    put(tmp_path, "a", "1", content=b"1", card="keep_versions = 1")
    with _catalog(tmp_path, 10) as catalog:
        catalog.start(0.01, load_noticed=True)
        for version in ("2", "3"):
            _until(lambda: summarise(catalog, "a").state == "ready")
            put(tmp_path, "a", version, content=b"1")
            _until(lambda: catalog.model("a").version == version)  # noqa: B023 - asked at once
        _until(lambda: {each.version.version for each in catalog.residency.list()} == {"2", "3"})


def test_nothing_is_loaded_unasked_when_that_is_not_wanted(tmp_path: Path):
    put(tmp_path, "a", content=b"1")
    with _catalog(tmp_path, 10) as catalog:
        catalog.start(0.01)
        time.sleep(0.1)
        assert catalog.residency.list() == []
        assert catalog.model("a").name == "a"
