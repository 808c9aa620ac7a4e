"""How layers are called: Keras 2's lists of `[layer, call, tensor, arguments]` in the form that Keras 3 writes.

Keras 3 reads the lists too, but takes a tensor among the arguments (MultiHeadAttention's `value`) for a list of three.
Knows no layers and imports no Keras.
"""

from collections.abc import Iterator, Sequence

from service.keras.files.entries import Entry, Reference, is_reference, layers_of, name_of

# What Keras 2 writes for a number where a layer's name is expected, as in `1 - x`.
CONSTANT = "_CONSTANT_VALUE"


def tensors_among_arguments(entry: Entry) -> list[str]:
    """Calls of this model's layers that Keras 3 would misread."""
    changed = []
    for layer in layers_of(entry):
        nodes = layer.get("inbound_nodes")
        if not isinstance(nodes, list):
            continue
        for index, node in enumerate(nodes):
            calls = references_of(node)
            if any(call[0] == CONSTANT or any(_tensors(call[3:])) for call in calls):
                positions = [tensor_or_number(call) for call in calls]
                arguments = calls[0][3] if len(calls[0]) > 3 else {}
                nodes[index] = called([positions[0] if len(positions) == 1 else positions], as_argument(arguments))
                changed.append(name_of(layer))
    return list(dict.fromkeys(changed))


def references_of(node: object) -> list[Reference]:
    """The tensors that one call is given first, each with the call's arguments; none where it is no call of Keras 2."""
    calls = [node] if is_reference(node) else node
    return calls if isinstance(calls, list) and all(map(is_reference, calls)) else []


def called(positions: Sequence[object], arguments: object) -> Entry:
    """A call as Keras 3 writes it."""
    return {"args": positions, "kwargs": arguments}


def tensor_or_number(call: Reference) -> object:
    """What a reference stands for."""
    if call[0] == CONSTANT:
        return as_argument(call[2])
    # Keras makes a placeholder of shape and dtype, and puts the tensor in its place.
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": call[:3]}}


def as_argument(value: object) -> object:
    """The same value with its references as tensors."""
    if is_reference(value):
        return tensor_or_number(value)
    if isinstance(value, list):
        return [as_argument(item) for item in value]
    return {key: as_argument(item) for key, item in value.items()} if isinstance(value, dict) else value


def _tensors(tree: object) -> Iterator[Reference]:
    """The references among a call's arguments."""
    if is_reference(tree):
        yield tree
    elif isinstance(tree, list | dict):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(item)
