"""What a network's owner says of it, beyond what the network itself shows. Knows no files but the decoder's."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from service.engine.ports.network_info import Task


@dataclass(frozen=True)
class Overrides:
    """Each overrules what the graph suggests; None where nothing is said.

    `latent_layer` holds an autoencoder's latent. `decoder` is the file of the network that decodes the latent,
    where the network itself is an encoder alone.
    """

    task: Task | None = None
    default_layer: str | None = None
    input_size: tuple[int, int] | None = None
    latent_layer: str | None = None
    decoder: Path | None = None


NO_OVERRIDES: Final = Overrides()
