"""Arithmetic on tensors in Keras 2, which its files hold as names of TensorFlow's functions, as operations of Keras 3.

What is not in the table, or has arguments that are not, stays what it was and is refused as code. Imports no Keras.
"""

from service.keras.files.entries import Entry, Reference, config_of, is_reference, layers_of, name_of
from service.keras.files.repair.calls import CONSTANT, as_argument, called, references_of, tensor_or_number
from service.keras.files.repair.function_table import FUNCTIONS


def functions_of_tensorflow(entry: Entry) -> list[str]:
    """Make operations of those of this model's layers that are functions of the table."""
    changed = []
    for layer in layers_of(entry):
        nodes = layer.get("inbound_nodes")
        if layer.get("class_name") not in ("TFOpLambda", "SlicingOpLambda") or not isinstance(nodes, list):
            continue
        calls = references_of(nodes[0]) if len(nodes) == 1 else []
        mended = _slice(calls) if layer["class_name"] == "SlicingOpLambda" else _operate(layer, calls)
        if calls and mended is not None:
            operation, settings, node = mended
            changed.append(name := name_of(layer))
            module, _, class_name = operation.rpartition(".")
            layer |= {
                "module": f"keras.src.ops.{module}",
                "class_name": class_name,
                "config": {"name": name, **settings},
                "registered_name": None,
                "inbound_nodes": [node],
            }
    return changed


_Mended = tuple[str, Entry, Entry] | None


def _operate(layer: Entry, calls: list[Reference]) -> _Mended:
    """The operation, its settings and its call; None for a function or arguments that are not known."""
    function = FUNCTIONS.get(str(config_of(layer).get("function")))
    if function is None or not calls or (len(calls) > 1 and not function.takes_list):
        return None
    arguments = dict(calls[0][3]) if len(calls[0]) > 3 else {}
    arguments.pop("name", None)
    tensors = [tensor_or_number(call) for call in calls]
    positions: list[object] = [tensors if function.takes_list else _operand(tensors[0])]
    positions += [_operand(as_argument(arguments.pop(name))) for name in function.operands if name in arguments]
    settings = {function.settings[key]: value for key, value in arguments.items() if key in function.settings}
    rest = {key: value for key, value in arguments.items() if key not in function.settings}
    if len(positions) != 1 + len(function.operands) or any(map(_holds_tensor, settings.values())):
        return None
    if any(key not in function.neutral or function.neutral[key] != value for key, value in rest.items()):
        return None
    converted = function.convert({**function.defaults, **settings})
    return None if converted is None else (function.operation, converted, called(positions, {}))


def _operand(value: object) -> object:
    """A list of numbers as an array, which operations add and multiply."""
    if not isinstance(value, list):
        return value
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}}


def _holds_tensor(value: object) -> bool:
    return is_reference(value) or (isinstance(value, list) and any(map(_holds_tensor, value)))


def _slice(calls: list[Reference]) -> _Mended:
    """`x[1:3]`; with `...`, the reversal of the last axis alone (`x[..., ::-1]`: RGB to BGR)."""
    if len(calls) != 1 or len(calls[0]) < 4 or calls[0][0] == CONSTANT or set(calls[0][3]) != {"slice_spec"}:
        return None
    spec, tensor = calls[0][3]["slice_spec"], tensor_or_number(calls[0])
    if not isinstance(spec, list):
        return None
    if spec == [{"class_name": "__ellipsis__"}, {"start": None, "stop": None, "step": -1}]:
        return "numpy.Flip", {"axis": -1}, called([tensor], {})
    if not all(isinstance(part, int) or _is_slice(part) for part in spec):
        return None
    key = [{"class_name": "__slice__", "config": part} if isinstance(part, dict) else part for part in spec]
    return "numpy.GetItem", {}, called([tensor, key], {})


def _is_slice(part: object) -> bool:
    if not isinstance(part, dict) or part.keys() != {"start", "stop", "step"}:
        return False
    return all(value is None or isinstance(value, int) for value in part.values())
