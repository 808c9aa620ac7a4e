"""A model as the runner needs it: a probe with its preprocessing, labels and name."""

from dataclasses import dataclass, field

from schemas.models import Fit
from service.engine.images.preprocessing import Preprocessing
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import Probe


@dataclass(frozen=True)
class Model:
    """One loaded version. `digest` is the SHA-256 of its file, `input_size` (h, w) only where the network leaves it.

    `fit` says how pictures of another aspect are brought to the input's size, `sample_bits` how many bits pictures of
    sixteen use, None where each picture decides. `latent_layer` is the path of the layer that holds an autoencoder's
    latent, where its owner named one. `stated` names the members of model.toml that its owner gave.
    """

    name: str
    version: str
    digest: str
    probe: Probe
    preprocessing: Preprocessing
    labels: tuple[str, ...] | None = None
    input_size: tuple[int, int] | None = None
    fit: Fit = "stretch"
    sample_bits: int | None = None
    latent_layer: str | None = None
    stated: frozenset[str] = frozenset()
    # Keeps the network in memory as long as somebody holds this value, or one that was made of it.
    pin: object | None = field(default=None, compare=False, repr=False)

    @property
    def network_info(self) -> NetworkInfo:
        return self.probe.network_info

    def label(self, index: int) -> str:
        return self.labels[index] if self.labels else str(index)
