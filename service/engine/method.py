"""A method is a value: a name, its parameters and a function over a Probe."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from schemas.methods import Consumes, MethodDescription, MethodKind, MethodParams
from service.engine.probe import Anatomy
from service.engine.visuals import Visual

# PEP 695 generics need Python 3.12; 3.11 is supported.
P = TypeVar("P", bound=MethodParams)


@dataclass(frozen=True)
class Method(Generic[P]):
    """`compute(probe, image, params)` computes one item; `refuse` says why a network cannot be asked, or None.

    `image` is (h, w, c) float32 in the network's units, or None for a method that consumes none.
    """

    name: str
    title: str
    description: str
    kind: MethodKind
    consumes: Consumes
    params: type[P]
    compute: Callable[..., Visual]
    refuse: Callable[[Anatomy], str | None]
    makes_pictures: bool = True

    def describe(self) -> MethodDescription:
        return MethodDescription(
            name=self.name,
            title=self.title,
            kind=self.kind,
            consumes=self.consumes,
            parameters=self.params.model_json_schema(),
        )


AnyMethod = Method[Any]


def refuse_without_image(anatomy: Anatomy) -> str | None:
    """For methods that send a picture through the network."""
    if anatomy.input_shape is None:
        return "no picture goes into this network: its input is not (height, width, 1 or 3 channels)"
    return None


def refuse_without_classes(anatomy: Anatomy) -> str | None:
    """For methods that ask about a class."""
    if reason := refuse_without_image(anatomy):
        return reason
    if anatomy.classes is None:
        return f"this network has no class scores (its task is '{anatomy.task}')"
    return None


def refuse_without_spatial_layer(anatomy: Anatomy) -> str | None:
    """For methods that lay a map over the picture."""
    if reason := refuse_without_classes(anatomy):
        return reason
    if not any(layer.is_spatial for layer in anatomy.layers):
        return "no layer of this network has spatial axes"
    return None
