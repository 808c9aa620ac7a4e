"""A repository at a URL as a source of models: it is listed in the background, and what a model needs is fetched."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from hashlib import sha256
from itertools import groupby
from typing import Final

from service.engine.model import Model
from service.errors import ModelFailedError
from service.models.model_config import ModelConfig, parse_model_config
from service.models.remote.cache import FileCache, Wanted
from service.models.remote.files import RemoteFile, RemoteListing, download, list_files
from service.models.remote.locations import name_host
from service.models.remote.watch import Subject
from service.models.sources.folder import open_found
from service.models.sources.remote_models import RemoteModels, refuse
from service.models.sources.repository import MODEL_NAME, SUFFIXES, Found, choose_file, find_versions
from service.models.sources.source import ModelVersion

_CONFIG: Final = "model.toml"
_MAX_CONFIG_BYTES: Final = 2**20
_VERSION: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Listed:
    """One version as the listing has it: the paths of its folder and its file, or the problem that there is none."""

    version: str
    place: str
    file: str | None
    problem: str | None


class RemoteRepository:
    """The models of a repository at an fsspec URL, in the layout of a folder."""

    def __init__(self, url: str, models: RemoteModels) -> None:
        self._url = url
        self._models = models
        self._cache = models.cache
        self._subject = Subject(f"repository {url}", name_host(url), RemoteListing, self._list)
        # As long as the same listing is the latest.
        self._arranged: tuple[RemoteListing | None, dict[str, list[Listed]]] = (None, {})

    def names(self) -> list[str]:
        """See Source."""
        listing = self._models.watch.latest(self._subject).value
        if listing is not None and listing is not self._arranged[0]:
            self._arranged = listing, arrange(listing)
        return list(self._arranged[1])

    def versions(self, name: str) -> list[ModelVersion]:
        """See Source."""
        return [self._describe(name, listed) for listed in self._arranged[1].get(name, ())]

    def look(self, since: float, until: float) -> bool:
        """See Source."""
        return self._models.look(since, until)

    def close(self) -> None:
        """See Source."""
        self._models.close()

    def _list(self) -> RemoteListing:
        """On the watch's thread. What a version's config says is to be known when it is listed."""
        listing = list_files(self._url)
        for path, file in listing.files.items():
            if path.count("/") == 1 and path.endswith(f"/{_CONFIG}") and (file.size or 0) <= _MAX_CONFIG_BYTES:
                self._cache.fetch(self._want(path, file))
        return listing

    def _describe(self, name: str, listed: Listed) -> ModelVersion:
        listing, models = self._arranged
        assert listing is not None, "it has been listed"
        found = Found(name, listed.version, self._cache.folder, None, listed.problem, ())
        config = self._read_config(listing, name)
        if listed.file is None:
            return refuse(found, listed.version, ModelFailedError(listed.problem or "no model file"))
        if config.source is not None:
            error = "model.toml: source is followed from a folder of this machine alone: put the file itself there"
            return refuse(found, listed.version, ModelFailedError(error))
        needed = dict(self._find_needed(listing, models, name, listed))
        file = listing.files[listed.file]
        return ModelVersion(
            name,
            listed.version,
            stamp=(
                sha256(self._url.encode()).hexdigest(),
                *sorted((path, each.token) for path, each in needed.items()),
            ),
            at_start=True,
            open=partial(self._open, name, listed, needed, config.sha256),
            expected_bytes=file.size or 0,
            keep_versions=config.keep_versions,
            fetch=partial(self._measure, listed, needed, config.sha256),
        )

    def _find_needed(
        self, listing: RemoteListing, models: dict[str, list[Listed]], name: str, listed: Listed
    ) -> Iterator[tuple[str, RemoteFile]]:
        """The files of a version, and nothing else: its model, config and labels, and its decoder's model."""
        assert listed.file is not None, "it has one"
        config = self._read_config(listing, name)
        paths = [listed.file, f"{name}/{_CONFIG}"]
        if isinstance(config.labels, str):
            paths.append(f"{name}/{config.labels}")
        decoders = models.get(config.decoder or "", [])
        decoder = next((each for each in decoders if each.version == listed.version), next(iter(decoders), None))
        if decoder is not None and decoder.file is not None:
            paths.append(decoder.file)
        yield from ((path, listing.files[path]) for path in paths if path in listing.files)

    def _fetch(self, listed: Listed, needed: dict[str, RemoteFile], pinned: str | None) -> dict[str, str]:
        return {
            path: self._cache.fetch(self._want(path, file), pinned if path == listed.file else None)
            for path, file in needed.items()
        }

    def _measure(self, listed: Listed, needed: dict[str, RemoteFile], pinned: str | None) -> int:
        return sum(self._cache.measure(digest) for digest in self._fetch(listed, needed, pinned).values())

    def _open(self, name: str, listed: Listed, needed: dict[str, RemoteFile], pinned: str | None) -> Model:
        # All is here by now, unless it had to make room meanwhile.
        with self._cache.opened(self._fetch(listed, needed, pinned)) as root:
            found = next(each for each in find_versions(root, name) if each.version == listed.version)
            return open_found(found, self._models.loader, self._models.journal)

    def _want(self, path: str, file: RemoteFile) -> Wanted:
        return Wanted(f"{self._url} {path} {file.token}", file.size, partial(download, self._url, path))

    def _read_config(self, listing: RemoteListing, name: str) -> ModelConfig:
        """An empty one where it cannot be read, which is told when the model is opened."""
        path = f"{name}/{_CONFIG}"
        file = listing.files.get(path)
        digest = self._cache.find(self._want(path, file)) if file else None
        return _parse_config(self._cache, digest) if digest else ModelConfig()


def arrange(listing: RemoteListing) -> dict[str, list[Listed]]:
    """The versions of each model, newest first, by the rules of a folder."""
    models: dict[str, list[Listed]] = {}
    paths = sorted(path.split("/") for path in listing.files)
    for name, group in groupby((path for path in paths if len(path) > 1), key=lambda path: path[0]):
        if MODEL_NAME.fullmatch(name):
            models[name] = list(_find_versions(name, [path[1:] for path in group]))
    return models


def _find_versions(name: str, paths: list[list[str]]) -> Iterator[Listed]:
    folders = {path[0] for path in paths if len(path) > 1 and _VERSION.fullmatch(path[0])}
    found = [_look(name, version, [path[1:] for path in paths if path[0] == version]) for version in folders]
    loose = [path[0] for path in paths if len(path) == 1]
    if "1" not in folders and (not found or any(file.lower().endswith(SUFFIXES) for file in loose)):
        found.append(replace(_look(name, "1", paths, place=name), version="1"))
    yield from sorted(found, key=lambda listed: int(listed.version), reverse=True)


def _look(name: str, version: str, paths: list[list[str]], place: str | None = None) -> Listed:
    place = place or f"{name}/{version}"
    has_saved_model = any(path[-1] == "saved_model.pb" and len(path) <= 2 for path in paths)
    chosen, problem = choose_file([path[0] for path in paths if len(path) == 1], has_saved_model=has_saved_model)
    return Listed(version, place, f"{place}/{chosen}" if chosen else None, problem)


@lru_cache(maxsize=1024)
def _parse_config(cache: FileCache, digest: str) -> ModelConfig:
    try:
        return parse_model_config(cache.read(digest) or b"")
    except ModelFailedError:
        return ModelConfig()
