"""Models whose file lies elsewhere, at a URL or in MLflow: `source` in their model.toml, or in the settings."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

from pydantic import BaseModel

from service.engine.model import Model
from service.errors import ConvscopeError, ModelFailedError
from service.models.load_journal import LoadJournal
from service.models.model_config import ModelConfig
from service.models.remote.cache import FileCache, Wanted
from service.models.remote.files import RemoteFile, download, find_file
from service.models.remote.locations import is_url, name_host
from service.models.remote.registry import (
    RegisteredVersion,
    RegistryUri,
    download_file,
    find_model_file,
    is_registry_uri,
    parse_registry_uri,
    resolve,
)
from service.models.remote.watch import Subject, Watch
from service.models.sources.folder import Loader, open_found
from service.models.sources.repository import SUFFIXES, Found
from service.models.sources.source import ModelVersion

# Versions that a URI meant before stay known: jobs were sent for them, and somebody may want to compare.
_KEPT: Final = 5
# The version of what is not known yet, or no more.
_NO_VERSION: Final = "0"


class _Registered(BaseModel):
    """The version that a URI means now, and those that it meant before."""

    versions: tuple[RegisteredVersion, ...]


@dataclass(frozen=True)
class RemoteModels:
    """How such models are watched, fetched and loaded."""

    watch: Watch
    cache: FileCache
    loader: Loader
    journal: LoadJournal | None = None
    # What the loader is in the middle of when all is over.
    give_up: Callable[[], None] = lambda: None

    def versions(self, found: Found, source: str, config: ModelConfig) -> list[ModelVersion]:
        """The versions of a model whose config is found in a folder here, and its file at `source`."""
        if found.file is not None:
            error = "model.toml names a source, and model files lie beside it: take them away, or the member source"
            return [refuse(found, "1", ModelFailedError(error))]
        if is_registry_uri(source):
            return self._registered(found, source, config)
        if not is_url(source) or PurePosixPath(source).suffix.lower() not in SUFFIXES:
            known = "the URL of a .keras, .h5 or .hdf5 file, or a model of MLflow (models:/NAME@ALIAS)"
            return [refuse(found, "1", ModelFailedError(f"model.toml: source is not {known}"))]
        return self._file(found, source, config)

    def look(self, since: float, until: float) -> bool:
        """See Source."""
        return self.watch.look(since, until)

    def close(self) -> None:
        """See Source."""
        self.watch.close()
        self.cache.close()
        self.give_up()

    def _file(self, found: Found, url: str, config: ModelConfig) -> list[ModelVersion]:
        seen = self.watch.latest(Subject(f"file {url}", name_host(url), RemoteFile, partial(find_file, url)))
        if seen.value is None or isinstance(seen.failure, ModelFailedError):
            return [refuse(found, "1", seen.failure)] if seen.failure else []
        wanted = Wanted(f"{url} {seen.value.token}", seen.value.size, partial(download, url, ""))
        name = f"model{PurePosixPath(url).suffix.lower()}"
        stamp = (sha256(url.encode()).hexdigest(), seen.value.token)
        return [self._describe(found, "1", stamp, (wanted, name), config)]

    def _registered(self, found: Found, source: str, config: ModelConfig) -> list[ModelVersion]:
        try:
            uri = parse_registry_uri(source)
        except ValueError as error:
            return [refuse(found, _NO_VERSION, ModelFailedError(f"model.toml: source: {error}"))]
        look = partial(_ask, uri)
        seen = self.watch.latest(Subject(f"model {source}", "MLflow", _Registered, look, _remember))
        known = seen.value.versions if seen.value else ()
        versions = [
            self._describe(
                found,
                each.version,
                (each.uri, each.token),
                (Wanted(f"{each.uri} {each.token}", None, partial(_fetch_registered, each.uri)), "model.keras"),
                config,
            )
            for each in known
        ]
        if seen.failure and (not known or isinstance(seen.failure, ModelFailedError)):
            return [refuse(found, uri.version or _NO_VERSION, seen.failure), *versions]
        return versions

    def _describe(
        self, found: Found, version: str, stamp: tuple[str, ...], file: tuple[Wanted, str], config: ModelConfig
    ) -> ModelVersion:
        wanted, name = file
        fetch = partial(self.cache.fetch, wanted, config.sha256)
        return ModelVersion(
            found.name,
            version,
            stamp=(*stamp, found.stamp),
            at_start=True,
            open=partial(self._open, replace(found, version=version, problem=None), name, fetch),
            keep_versions=config.keep_versions,
            fetch=lambda: self.cache.measure(fetch()),
        )

    def _open(self, found: Found, name: str, fetch: Callable[[], str]) -> Model:
        # It is here by now, unless it had to make room meanwhile.
        with self.cache.opened({name: fetch()}) as folder:
            return open_found(replace(found, file=folder / name), self.loader, self.journal)


def _ask(uri: RegistryUri) -> _Registered:
    return _Registered(versions=(resolve(uri),))


def _remember(before: _Registered | None, latest: _Registered) -> _Registered:
    """What it meant before follows what it means now."""
    (now,) = latest.versions
    earlier = (each for each in (before.versions if before else ()) if each.version != now.version)
    return _Registered(versions=(now, *earlier)[:_KEPT])


def _fetch_registered(uri: str, target: Path, go_on: Callable[[], bool]) -> None:
    file = find_model_file(uri, target.parent)
    if not go_on():
        raise TimeoutError
    download_file(file, target)


def refuse(found: Found, version: str, error: ConvscopeError) -> ModelVersion:
    """A version that can only say why there is none."""

    def fail() -> NoReturn:
        raise type(error)(error.detail)

    return ModelVersion(found.name, version, (error.code, error.detail, found.stamp), at_start=True, open=fail)
