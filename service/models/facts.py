"""What is kept of a model whose network has left memory: all that is known of it, and nothing to compute with."""

from dataclasses import dataclass, replace
from typing import cast

from schemas.models import InputContract
from service.engine.model import Model
from service.engine.ports.network_info import NetworkInfo
from service.engine.ports.probe import Probe


@dataclass(frozen=True)
class KnownNetwork:
    """The facts of a network, in place of its probe."""

    network_info: NetworkInfo


def keep_facts(model: Model) -> Model:
    """The model without its network: it can be described, and not be asked."""
    # Whoever has it describes it, and asks nothing.
    return replace(model, probe=cast("Probe", KnownNetwork(model.network_info)), pin=None)


def input_contract(model: Model) -> InputContract | None:
    """What a picture becomes before the network sees it; None where no picture goes in."""
    shape = model.network_info.input_shape
    if shape is None:
        return None
    height, width, channels = shape
    open_height, open_width = model.input_size or (None, None)
    return InputContract(
        height=height or open_height,
        width=width or open_width,
        channels=channels,
        preprocessing=model.preprocessing.name,
        fit=model.fit,
    )
