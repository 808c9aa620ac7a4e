"""A repository folder as a source of models: a file and its model.toml become a Model."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

from service.engine.model import Model
from service.engine.ports.overrides import Overrides
from service.engine.ports.probe import Probe
from service.errors import LayerNotFoundError, ModelFailedError
from service.models.labels import read_labels
from service.models.load_journal import LoadJournal
from service.models.model_config import ModelConfig, read_model_config
from service.models.sources.preset_converter import read_conversion
from service.models.sources.repository import Found, find_versions
from service.models.sources.scan import RepositoryScan
from service.models.sources.source import ModelVersion
from service.preset_files import is_preset, preset_files


class Loader(Protocol):
    """Turns a model file into a probe that has run once; raises ModelFailedError."""

    def __call__(self, path: Path, overrides: Overrides) -> Probe: ...


# Fetches a preset that model.toml names, to a folder.
Fetch = Callable[[str], Path]
_Finds = tuple[Found, ...]


class ModelsElsewhere(Protocol):
    """Models whose file lies elsewhere, and their model.toml here."""

    def versions(self, found: Found, source: str, config: ModelConfig) -> list[ModelVersion]:
        """Newest first; `found` is the folder with their model.toml."""
        ...

    def look(self, since: float, until: float) -> bool:
        """See Source."""
        ...

    def close(self) -> None:
        """See Source."""
        ...


class Folder:
    """The models of one repository folder. `elsewhere` gets the sources that model.toml names, `fetch` the presets."""

    def __init__(
        self,
        root: Path,
        loader: Loader,
        journal: LoadJournal | None = None,
        elsewhere: ModelsElsewhere | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        self._scan = RepositoryScan(root)
        self._loader = loader
        self._journal = journal
        self._elsewhere = elsewhere
        self._fetch = fetch
        # By name what was found, and of the model that decodes what it encodes; and what that came to.
        self._described: dict[str, tuple[_Finds, _Finds, tuple[ModelVersion, ...]]] = {}

    def names(self) -> list[str]:
        """See Source."""
        names = self._scan.names()
        there = set(names)
        self._described = {name: described for name, described in self._described.items() if name in there}
        return names

    def versions(self, name: str) -> tuple[ModelVersion, ...]:
        """See Source."""
        finds = self._scan.versions(name)
        config = _read_config(finds[0]) if finds else None
        if config is not None and config.source is not None and self._elsewhere is not None:
            return tuple(self._elsewhere.versions(finds[0], config.source, config))
        decoders = self._scan.versions(config.decoder) if config is not None and config.decoder else ()
        described = self._described.get(name)
        if described is None or described[0] is not finds or described[1] is not decoders:
            versions = tuple(self._describe(found, config, _match(decoders, found.version)) for found in finds)
            described = self._described[name] = finds, decoders, versions
        return described[2]

    def look(self, since: float, until: float) -> bool:
        """See Source."""
        return self._elsewhere is not None and self._elsewhere.look(since, until)

    def close(self) -> None:
        """See Source."""
        if self._elsewhere is not None:
            self._elsewhere.close()

    def _describe(self, found: Found, config: ModelConfig | None, decoder: Found | None) -> ModelVersion:
        return ModelVersion(
            found.name,
            found.version,
            stamp=(found, decoder),
            at_start=True,
            open=partial(open_found, found, self._loader, self._journal, self._fetch),
            # An uncompressed file is little but weights.
            expected_bytes=sum(size for _, size in (each.stamp[0] or (0, 0) for each in (found, decoder) if each)),
            keep_versions=config.keep_versions if config else 0,
            fetch=self._fetching(found, config),
        )

    def _fetching(self, found: Found, config: ModelConfig | None) -> Callable[[], int] | None:
        """Bring a preset here; opening it then finds it."""
        fetch, preset = self._fetch, config.preset if config else None
        if fetch is None or preset is None or found.file is not None:
            return None
        return lambda: sum(file.stat().st_size for file in preset_files(fetch(preset)))


def open_found(found: Found, loader: Loader, journal: LoadJournal | None = None, fetch: Fetch | None = None) -> Model:
    """Load one version with its config. Raises ModelFailedError, or WeightsUnavailableError of what is fetched."""
    config = read_model_config(found.folder)
    file = _require_file(found, config, fetch)
    decoder = _require_decoder(found, config)
    digest = _digest(file, config, decoder)
    labels = read_labels(config.labels, found.folder)
    config = _complete(config, file)
    overrides = Overrides(config.task, config.default_layer, config.input_size, config.latent_layer, decoder)
    load = partial(loader, file, overrides)
    probe = journal.load(f"{digest} {replace(overrides, decoder=None)}", file.name, load) if journal else load()
    classes = probe.network_info.classes
    if labels is not None and classes is not None and len(labels) != classes:
        raise ModelFailedError(f"model.toml gives {len(labels)} labels, but the network has {classes} classes")
    preprocessing = config.to_preprocessing()
    shape = probe.network_info.input_shape
    if shape is not None and shape[2] == 1 and not preprocessing.fits_gray:
        raise ModelFailedError(f"preprocessing '{preprocessing.name}' is for RGB, but the network takes gray")
    return Model(
        name=found.name,
        version=found.version,
        digest=digest,
        probe=probe,
        preprocessing=preprocessing,
        labels=labels,
        input_size=config.input_size,
        fit=config.fit,
        sample_bits=config.sample_bits,
        latent_layer=_find_latent_layer(config, probe, joined=decoder is not None),
        stated=frozenset(config.model_fields_set),
    )


def open_file(file: Path, loader: Loader, journal: LoadJournal | None = None) -> Model:
    """Load a file from anywhere, with the model.toml beside it or one folder above. Raises ModelFailedError."""
    if file.is_dir() and not is_preset(file):
        raise ModelFailedError(f"'{file.name}' is a folder, and no preset of KerasHub: name a model file")
    folder = next(
        (place for place in (file.parent, file.parent.parent) if (place / "model.toml").exists()), file.parent
    )
    return open_found(Found(file.stem, "1", folder, file, None, ()), loader, journal)


def _require_file(found: Found, config: ModelConfig, fetch: Fetch | None) -> Path:
    if config.preset is None:
        if found.file is None:
            raise ModelFailedError(found.problem or "no model file")
        return found.file
    if found.file is not None:
        raise ModelFailedError(f"model.toml: preset: there is '{found.file.name}' beside it: keep one of both")
    if fetch is None:
        raise ModelFailedError("model.toml: preset: KerasHub is not trusted: set CONVSCOPE_TRUSTED_PACKAGES=keras_hub")
    return fetch(config.preset)


def _complete(config: ModelConfig, file: Path) -> ModelConfig:
    """With what a preset says of its pictures, where model.toml does not."""
    if not file.is_dir():
        return config
    try:
        said = read_conversion(file)
    except ModelFailedError:
        if "preprocessing" in config.model_fields_set:
            return config
        raise
    return config.model_copy(
        update={member: value for member, value in said.items() if member not in config.model_fields_set}
    )


def _find_decoder(found: Found) -> Found | None:
    """The model that decodes what this one encodes: its version of the same number, or else its newest."""
    config = _read_config(found)
    name = config.decoder if config else None
    return _match(find_versions(found.folder.parent, name), found.version) if name else None


def _match(versions: Sequence[Found], version: str) -> Found | None:
    return next((other for other in versions if other.version == version), next(iter(versions), None))


def _read_config(found: Found) -> ModelConfig | None:
    """None where it cannot be read, which is told when the model is opened."""
    return _read_config_once(found.folder, found.stamp[1] if len(found.stamp) > 1 else None)


@lru_cache(maxsize=1024)
def _read_config_once(folder: Path, _: tuple[int, int] | None) -> ModelConfig | None:
    """As long as the file does not change: models are looked at every second."""
    try:
        return read_model_config(folder)
    except ModelFailedError:
        return None


def _require_decoder(found: Found, config: ModelConfig) -> Path | None:
    if config.decoder is None:
        return None
    decoder = _find_decoder(found)
    if config.decoder == found.name or decoder is None:
        raise ModelFailedError(f"model.toml: decoder: there is no other model '{config.decoder}' in the repository")
    if decoder.file is None:
        raise ModelFailedError(f"model.toml: decoder: '{config.decoder}': {decoder.problem or 'no model file'}")
    return decoder.file


def _find_latent_layer(config: ModelConfig, probe: Probe, *, joined: bool) -> str | None:
    """Its path, whichever way the config refers to it."""
    latent = probe.network_info.latent
    if joined and latent is not None:
        return latent.layer
    if config.latent_layer is None:
        return None
    try:
        return probe.layer(config.latent_layer).path
    except LayerNotFoundError as error:
        raise ModelFailedError(f"model.toml: latent_layer: {error.detail}") from error


def _digest(file: Path, config: ModelConfig, decoder: Path | None) -> str:
    """The file's SHA-256; of an encoder and its decoder, that of both digests, one after the other."""
    digest = _hash(file)
    if config.sha256 is not None and config.sha256.lower() != digest:
        raise ModelFailedError(
            f"the file's SHA-256 is {digest}, but model.toml pins {config.sha256.lower()}: put the file that is meant "
            "there, or pin the other digest if that file is right"
        )
    return hashlib.sha256((digest + _hash(decoder)).encode()).hexdigest() if decoder else digest


def _hash(file: Path) -> str:
    if file.is_dir():
        listed = (f"{each.name} {_hash(each)}\n" for each in preset_files(file))
        return hashlib.sha256("".join(listed).encode()).hexdigest()
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
