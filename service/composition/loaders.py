"""What turns a model file into a probe, in a cell or in this process; Keras is imported with the first, for seconds."""

from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from service.composition.limits import cell_limits, model_file_limits
from service.demo.digests import require_built_in
from service.engine.ports.overrides import Overrides
from service.engine.ports.probe import Probe
from service.keras.cell.cache import NetworkCache
from service.keras.cell.process import Cells
from service.keras.cell.reading import Reader
from service.keras.compute.tuning import Tuning
from service.keras.files.admission.limits import ModelFileLimits
from service.keras.log_filter import filtered_log
from service.models.load_journal import LoadJournal
from service.models.memory import freeze_modules
from service.settings import Settings
from service.trusted_packages import describe_package


def open_journal(settings: Settings, *, always: bool = False) -> LoadJournal:
    context = f"{versions_of(settings)}, {model_file_limits(settings)}, {cell_limits(settings)}"
    return LoadJournal(settings.data_folder / "loads", context, always=always)


def open_reader(settings: Settings, threads: int) -> Reader:
    cache = NetworkCache(settings.networks_folder, settings.limits.network_cache_bytes)
    return Reader(Cells(cell_limits(settings)), cache, versions=versions_of(settings), threads=threads)


def versions_of(settings: Settings) -> str:
    """Of all that decides what becomes of a file."""
    ours = (f"{name} {version(name)}" for name in ("convscope", "keras", "tensorflow"))
    return ", ".join((*ours, *map(describe_package, settings.trusted_packages)))


class CellLoader:
    """The catalog's Loader for files that nobody trusts: they are read in a process of their own."""

    def __init__(self, reader: Reader, tuning: Tuning, limits: ModelFileLimits, threads: int) -> None:
        self.reader = reader
        self._tuning = tuning
        self._limits = limits
        self._threads = threads

    def __call__(self, path: Path, overrides: Overrides) -> Probe:
        parcel = self.reader.read(path, overrides, self._limits)
        with closing(parcel.stream):
            with filtered_log():
                from service.keras.cell.building import build_probe
                from service.keras.files.loading import configure_devices

            configure_devices(self._threads)
            freeze_modules()
            return build_probe(parcel, overrides, path.name, tuning=self._tuning, limits=self._limits)


class BuiltInLoader:
    """The catalog's Loader for files that came with the program, and no others: they need no such process."""

    def __init__(self, direct: "KerasLoader") -> None:
        self._direct = direct

    def __call__(self, path: Path, overrides: Overrides) -> Probe:
        for file in filter(None, (path, overrides.decoder)):
            require_built_in(file)
        return self._direct(path, overrides)


class KerasLoader:
    """The catalog's Loader within this process; importing Keras waits until one is loaded, as it takes seconds."""

    def __init__(self, tuning: Tuning, limits: ModelFileLimits, threads: int) -> None:
        self._tuning = tuning
        self._limits = limits
        self._threads = threads

    def __call__(self, path: Path, overrides: Overrides) -> Probe:
        with filtered_log():
            from service.keras.files.loading import configure_devices, load_probe

        configure_devices(self._threads)
        freeze_modules()
        return load_probe(path, overrides, tuning=self._tuning, limits=self._limits)


class ApplicationLoader:
    """The catalog's ApplicationLoader over Keras, imported as late."""

    def __init__(self, tuning: Tuning, threads: int) -> None:
        self._tuning = tuning
        self._threads = threads

    def __call__(self, function: str, *, weights: Path | None, side: int | None) -> Probe:
        with filtered_log():
            from service.keras.files.applications import load_application
            from service.keras.files.loading import configure_devices

        configure_devices(self._threads)
        freeze_modules()
        return load_application(function, weights=weights, side=side, tuning=self._tuning)
