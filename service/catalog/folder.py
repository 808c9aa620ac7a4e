"""A repository folder as a source of models: a file and its model.toml become a Model."""

import hashlib
from functools import partial
from pathlib import Path
from typing import Protocol

from schemas.models import Task
from service.catalog.card import Card, read_card
from service.catalog.labels import read_labels
from service.catalog.repository import Found, find_models, find_versions
from service.catalog.source import Offer
from service.engine.model import Model
from service.engine.probe import Probe
from service.errors import LayerNotFoundError, ModelFailedError


class Loader(Protocol):
    """Turns a model file into a probe that has run once; raises ModelFailedError."""

    def __call__(
        self, path: Path, *, task: Task | None, default_layer: str | None, input_size: tuple[int, int] | None
    ) -> Probe: ...


class Folder:
    """The models of one repository folder."""

    def __init__(self, root: Path, loader: Loader) -> None:
        self._root = root
        self._loader = loader

    def names(self) -> list[str]:
        """See Source."""
        return list(find_models(self._root))

    def offers(self, name: str) -> list[Offer]:
        """See Source."""
        return [
            Offer(found.name, found.version, stamp=found, at_start=True, open=partial(open_found, found, self._loader))
            for found in find_versions(self._root, name)
        ]

    def close(self) -> None:
        """See Source; nothing is fetched here."""


def open_found(found: Found, loader: Loader) -> Model:
    """Load one version with its card. Raises ModelFailedError."""
    if found.file is None:
        raise ModelFailedError(found.problem or "no model file")
    card = read_card(found.folder)
    digest = _digest(found.file, card)
    labels = read_labels(card.labels, found.folder)
    probe = loader(found.file, task=card.task, default_layer=card.default_layer, input_size=card.input_size)
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
        latent_layer=_find_latent_layer(card, probe),
        stated=frozenset(card.model_fields_set),
    )


def open_file(file: Path, loader: Loader) -> Model:
    """Load a file from anywhere, with the model.toml beside it or one folder above. Raises ModelFailedError."""
    folder = next(
        (place for place in (file.parent, file.parent.parent) if (place / "model.toml").exists()), file.parent
    )
    return open_found(Found(file.stem, "1", folder, file, None, ()), loader)


def _find_latent_layer(card: Card, probe: Probe) -> str | None:
    """Its path, whichever way the card refers to it."""
    if card.latent_layer is None:
        return None
    try:
        return probe.layer(card.latent_layer).path
    except LayerNotFoundError as error:
        raise ModelFailedError(f"model.toml: latent_layer: {error.detail}") from error


def _digest(file: Path, card: Card) -> str:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if card.sha256 is not None and card.sha256.lower() != digest:
        raise ModelFailedError(f"the file's SHA-256 is {digest}, not the one in model.toml")
    return digest
