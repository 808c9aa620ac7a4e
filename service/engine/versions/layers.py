"""The layers of several versions of a model: by kind and shape the same, by name perhaps not.

Where layers were not named, each training gives them names of its own; they are found by their place.
"""

from dataclasses import replace

from service.engine.correlation import Arrays
from service.engine.model import Model
from service.engine.running.request import Request
from service.errors import VersionsDifferError


def require_same_layers(first: Model, other: Model) -> None:
    """Raise VersionsDifferError where kinds or shapes differ, in order."""
    ours, theirs = first.network_info.layers, other.network_info.layers
    for one, another in zip(ours, theirs, strict=False):
        if (one.type, one.output_shape) != (another.type, another.output_shape):
            raise VersionsDifferError(
                f"versions {first.version} and {other.version} have different layers: '{one.path}' {one.output_shape} "
                f"and '{another.path}' {another.output_shape}"
            )
    if len(ours) != len(theirs):
        raise VersionsDifferError(
            f"versions {first.version} and {other.version} have {len(ours)} and {len(theirs)} layers"
        )


def address(request: Request, last: Model, model: Model) -> Request:
    """The request with its layers named as this version names them: by their place, as the last version has it."""
    places = {layer.path: place for place, layer in enumerate(last.network_info.layers)}

    def find(reference: str) -> str:
        return model.network_info.layers[places[last.probe.layer(reference).path]].path

    named: dict[str, object] = {}
    if reference := getattr(request.params, "layer", None):
        named["layer"] = find(reference)
    if references := getattr(request.params, "layers", None):
        named["layers"] = [find(reference) for reference in references]
    return replace(request, params=request.params.model_copy(update=named)) if named else request


def prefix_of(model: Model) -> str:
    """What the names of a version's pictures begin with."""
    return f"v{model.version}--"


def name_alike(arrays: Arrays, model: Model, last: Model) -> Arrays:
    """A version's arrays with layers named as the last version names them."""
    ours = {
        layer.path: other.path for layer, other in zip(model.network_info.layers, last.network_info.layers, strict=True)
    }
    return {ours.get(name, name): array for name, array in arrays.items()}
