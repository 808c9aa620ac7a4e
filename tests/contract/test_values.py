"""What results hold in numbers: each method declares it, member by member, for people and for generators."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from schemas.values.base import Values
from service.engine.kinds.method import AnyMethod
from service.engine.methods import METHODS


def _undescribed(model: type[BaseModel]) -> Iterator[str]:
    schema = model.model_json_schema(mode="serialization")
    for name, one in {model.__name__: schema, **schema.get("$defs", {})}.items():
        for member, about in one.get("properties", {}).items():
            if not about.get("description") and not any("description" in kind for kind in about.get("anyOf", ())):
                yield f"{name}.{member}"


@pytest.mark.parametrize("method", METHODS.values(), ids=list(METHODS))
def test_every_member_is_described_in_every_answer(method: AnyMethod):
    assert sorted({member for model in method.value_models for member in _undescribed(model)}) == []
    assert all(issubclass(model, Values) and model.__doc__ for model in method.value_models)


def test_members_are_told_with_the_methods():
    told: dict[str, Any] = METHODS["grad-cam"].describe().values
    (heatmap, dataset) = (told["$defs"][one["$ref"].rsplit("/", 1)[1]] for one in told["anyOf"])
    assert heatmap["properties"]["max"]["description"] == "The greatest number of the map."
    assert {"accuracy", "mean_maps", "items"} < set(dataset["properties"])
