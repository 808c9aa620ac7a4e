"""A method that states the models of its values: what OpenAPI says of its answers."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from schemas.methods import MethodKind, MethodParams
from service.api import openapi
from service.api.routes.methods import make_router
from service.engine.drawing.visuals import ScoreList
from service.engine.kinds.method import AnyMethod, Method


class OneValues(BaseModel):
    """Of one picture."""

    brightness: float = Field(description="Mean over the picture, 0…1.")


class ManyValues(BaseModel):
    """Of a dataset."""

    pictures: int = Field(description="Pictures of the dataset.")
    darkest: OneValues


class Stating(Method[Any]):
    @property
    def value_models(self) -> tuple[type[BaseModel], ...]:
        return (OneValues, ManyValues)


def _compute(*_: object) -> ScoreList:
    raise AssertionError("only described here")


def _method(of: type[AnyMethod], name: str, kind: MethodKind = "interactive") -> AnyMethod:
    return of(
        name=name,
        title="Brightness",
        description="How bright a picture is.",
        kind=kind,
        consumes="image",
        params=MethodParams,
        compute=_compute,
        refuse=lambda _: None,
    )


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    methods = [
        _method(Stating, "mean-brightness"),
        _method(Stating, "dark-pictures", kind="job"),
        _method(Method, "silent"),
    ]
    app = FastAPI()
    app.include_router(make_router(methods))
    openapi.install(app, methods)
    found: dict[str, Any] = app.openapi()["components"]["schemas"]
    return found


@pytest.mark.parametrize("name", ["MeanBrightnessResult", "MeanBrightnessJobResult", "DarkPicturesJobResult"])
def test_values_are_one_of_the_stated_models_when_there_are_several(schemas: dict[str, Any], name: str):
    values = schemas[name]["properties"]["values"]
    assert values["anyOf"] == [{"$ref": f"#/components/schemas/{model}"} for model in ("OneValues", "ManyValues")]
    assert values["description"]
    assert "values" in schemas[name]["required"]


def test_value_models_are_components_as_they_describe_themselves(schemas: dict[str, Any]):
    assert schemas["OneValues"]["description"] == "Of one picture."
    assert schemas["OneValues"]["properties"]["brightness"]["description"] == "Mean over the picture, 0…1."
    assert schemas["ManyValues"]["properties"]["darkest"] == {"$ref": "#/components/schemas/OneValues"}
    assert [name for name in schemas if "__" in name] == []


def test_values_are_a_free_object_when_no_models_are_stated(schemas: dict[str, Any]):
    values = schemas["SilentResult"]["properties"]["values"]
    assert (values["type"], values["additionalProperties"]) == ("object", True)
    assert set(schemas["SilentResult"]["properties"]) == set(schemas["MeanBrightnessResult"]["properties"])
