"""A repository folder as a source of models: a file and its model.toml become a Model."""

import hashlib
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

from service.engine.model import Model
from service.engine.ports.overrides import Stated
from service.engine.ports.probe import Probe
from service.errors import LayerNotFoundError, ModelFailedError
from service.models.labels import read_labels
from service.models.load_journal import LoadJournal
from service.models.model_config import Card, read_card
from service.models.sources.repository import Found, find_models, find_versions
from service.models.sources.source import Offer


class Loader(Protocol):
    """Turns a model file into a probe that has run once; raises ModelFailedError."""

    def __call__(self, path: Path, stated: Stated) -> Probe: ...


class Folder:
    """The models of one repository folder."""

    def __init__(self, root: Path, loader: Loader, journal: LoadJournal | None = None) -> None:
        self._root = root
        self._loader = loader
        self._journal = journal

    def names(self) -> list[str]:
        """See Source."""
        return list(find_models(self._root))

    def offers(self, name: str) -> list[Offer]:
        """See Source."""
        return [
            Offer(
                found.name,
                found.version,
                stamp=(found, _find_decoder(found)),
                at_start=True,
                open=partial(open_found, found, self._loader, self._journal),
            )
            for found in find_versions(self._root, name)
        ]

    def close(self) -> None:
        """See Source; nothing is fetched here."""


def open_found(found: Found, loader: Loader, journal: LoadJournal | None = None) -> Model:
    """Load one version with its card. Raises ModelFailedError."""
    if found.file is None:
        raise ModelFailedError(found.problem or "no model file")
    card = read_card(found.folder)
    decoder = _require_decoder(found, card)
    digest = _digest(found.file, card, decoder)
    labels = read_labels(card.labels, found.folder)
    stated = Stated(card.task, card.default_layer, card.input_size, card.latent_layer, decoder)
    load = partial(loader, found.file, stated)
    probe = journal.load(f"{digest} {replace(stated, decoder=None)}", found.file.name, load) if journal else load()
    classes = probe.anatomy.classes
    if labels is not None and classes is not None and len(labels) != classes:
        raise ModelFailedError(f"model.toml gives {len(labels)} labels, but the network has {classes} classes")
    preprocessing = card.to_preprocessing()
    shape = probe.anatomy.input_shape
    if shape is not None and shape[2] == 1 and not preprocessing.fits_gray:
        raise ModelFailedError(f"preprocessing '{preprocessing.name}' is for RGB, but the network takes gray")
    return Model(
        name=found.name,
        version=found.version,
        digest=digest,
        probe=probe,
        preprocessing=preprocessing,
        labels=labels,
        input_size=card.input_size,
        fit=card.fit,
        sample_bits=card.sample_bits,
        latent_layer=_find_latent_layer(card, probe, joined=decoder is not None),
        stated=frozenset(card.model_fields_set),
    )


def open_file(file: Path, loader: Loader, journal: LoadJournal | None = None) -> Model:
    """Load a file from anywhere, with the model.toml beside it or one folder above. Raises ModelFailedError."""
    folder = next(
        (place for place in (file.parent, file.parent.parent) if (place / "model.toml").exists()), file.parent
    )
    return open_found(Found(file.stem, "1", folder, file, None, ()), loader, journal)


def _find_decoder(found: Found) -> Found | None:
    """The model that paints what this one encodes: its version of the same number, or else its newest."""
    name = _decoder_name(found)
    versions = find_versions(found.folder.parent, name) if name else []
    return next((other for other in versions if other.version == found.version), next(iter(versions), None))


@lru_cache(maxsize=1024)
def _decoder_name(found: Found) -> str | None:
    """Read once as long as the file does not change: models are looked at with every request."""
    try:
        return read_card(found.folder).decoder
    except ModelFailedError:
        # Told when the model is opened.
        return None


def _require_decoder(found: Found, card: Card) -> Path | None:
    if card.decoder is None:
        return None
    decoder = _find_decoder(found)
    if card.decoder == found.name or decoder is None:
        raise ModelFailedError(f"model.toml: decoder: there is no other model '{card.decoder}' in the repository")
    if decoder.file is None:
        raise ModelFailedError(f"model.toml: decoder: '{card.decoder}': {decoder.problem or 'no model file'}")
    return decoder.file


def _find_latent_layer(card: Card, probe: Probe, *, joined: bool) -> str | None:
    """Its path, whichever way the card refers to it."""
    code = probe.anatomy.code
    if joined and code is not None:
        return code.layer
    if card.latent_layer is None:
        return None
    try:
        return probe.layer(card.latent_layer).path
    except LayerNotFoundError as error:
        raise ModelFailedError(f"model.toml: latent_layer: {error.detail}") from error


def _digest(file: Path, card: Card, decoder: Path | None) -> str:
    """The file's SHA-256; of an encoder and its decoder, that of both digests, one after the other."""
    digest = _hash(file)
    if card.sha256 is not None and card.sha256.lower() != digest:
        raise ModelFailedError(f"the file's SHA-256 is {digest}, not the one in model.toml")
    return hashlib.sha256((digest + _hash(decoder)).encode()).hexdigest() if decoder else digest


def _hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
