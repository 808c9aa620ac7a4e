"""How a request names layers, channels and filters: one, a list or a range, in a form as in JSON."""

from typing import Annotated, Any

from pydantic import BeforeValidator, StringConstraints, WithJsonSchema


def _index_to_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value] if isinstance(value, int) else value


def _selection_to_text(value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(item, int | str) for item in value):
        value = ",".join(map(str, value))
    return _index_to_text(value).replace(" ", "") if isinstance(_index_to_text(value), str) else value


LayerReference = Annotated[
    str,
    BeforeValidator(_index_to_text),
    StringConstraints(min_length=1, max_length=500),
    WithJsonSchema({"anyOf": [{"type": "string", "maxLength": 500}, {"type": "integer", "minimum": 0}]}),
]

LayerReferences = Annotated[
    list[LayerReference],
    BeforeValidator(_split),
    WithJsonSchema({"type": "array", "items": {"type": ["string", "integer"]}, "maxItems": 500}),
]

# `3`, `0,5`, `0-63`, `all`, or a JSON list of numbers.
Selection = Annotated[
    str,
    BeforeValidator(_selection_to_text),
    StringConstraints(pattern=r"^(all|\d{1,9}(-\d{1,9})?(,\d{1,9}(-\d{1,9})?)*)$", max_length=2000),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "integer", "minimum": 0},
                {"type": "array", "items": {"type": "integer"}},
            ]
        }
    ),
]
