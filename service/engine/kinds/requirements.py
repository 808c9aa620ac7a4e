"""Why a network cannot be asked: what methods require of it, as functions that answer with a reason or None."""

from service.engine.ports.network_info import NetworkInfo


def refuse_without_image(network_info: NetworkInfo) -> str | None:
    """For methods that send a picture through the network."""
    if network_info.input_shape is not None:
        return None
    if len(network_info.inputs) > 1:
        shapes = list_shapes(network_info.inputs)
        return f"{len(network_info.inputs)} inputs go into this network ({shapes}), not one picture alone"
    found = f"{list_shapes(network_info.inputs)}, not " if network_info.inputs else "not "
    return f"no picture goes into this network: its input is {found}(height, width, 1 or 3 channels)"


def list_shapes(shapes: tuple[tuple[int | None, ...], ...]) -> str:
    """Shapes for a sentence; an open size is `any`."""
    return ", ".join(f"({', '.join(str(size or 'any') for size in shape)})" for shape in shapes)


def refuse_without_kernel(network_info: NetworkInfo) -> str | None:
    """For methods that look at what filters make of a picture."""
    if reason := refuse_without_image(network_info):
        return reason
    if not any(layer.kernel_shape is not None for layer in network_info.layers):
        return "no layer of this network has a kernel"
    return None


def refuse_without_classes(network_info: NetworkInfo) -> str | None:
    """For methods that ask about a class."""
    if reason := refuse_without_image(network_info):
        return reason
    if network_info.classes is not None:
        return None
    if len(network_info.outputs) > 1:
        shapes = list_shapes(network_info.outputs)
        return f"this network has {len(network_info.outputs)} outputs ({shapes}), not one vector of scores"
    return f"this network has no class scores (its task is '{network_info.task}')"


def refuse_without_spatial_layer(network_info: NetworkInfo) -> str | None:
    """For methods that lay a map over the picture."""
    if reason := refuse_without_classes(network_info):
        return reason
    if not any(layer.is_map for layer in network_info.layers):
        return "no layer of this network has spatial axes that are the picture's"
    return None


def refuse_without_latent(network_info: NetworkInfo) -> str | None:
    """For methods about autoencoders."""
    if reason := refuse_without_image(network_info):
        return reason
    if network_info.latent is None:
        return f"this network is no autoencoder: {network_info.no_latent or 'it has no latent'}"
    return None
