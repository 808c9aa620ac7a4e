"""What OpenAPI says of a method's answers: one of the models of its values, for one picture and for jobs."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import Field

from schemas.methods import MethodParams
from schemas.values.base import Values
from service.api import openapi
from service.api.routes.methods import make_router
from service.engine.drawing.visuals import ScoreList
from service.engine.kinds.method import ImageMethod


class DarkValues(Values):
    """The darkest place."""

    row: int


class BrightnessValues(Values):
    """Of one picture."""

    brightness: float = Field(description="Mean over the picture, 0…1.")
    darkest: DarkValues


def _compute(*_: object) -> ScoreList:
    raise AssertionError("only described here")


def _method(name: str, *, takes_long: bool = False) -> ImageMethod[Any]:
    return ImageMethod(
        name=name,
        title="Brightness",
        description="How bright a picture is.",
        params=MethodParams,
        values=(BrightnessValues, DarkValues),
        compute=_compute,
        refuse=lambda _: None,
        takes_long=takes_long,
    )


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    methods = [_method("mean-brightness"), _method("slow-brightness", takes_long=True)]
    app = FastAPI()
    app.include_router(make_router(methods))
    openapi.install(app, methods)
    found: dict[str, Any] = app.openapi()["components"]["schemas"]
    return found


def test_values_are_those_of_one_picture_when_the_answer_is_no_job(schemas: dict[str, Any]):
    values = schemas["MeanBrightnessResult"]["properties"]["values"]
    assert values["anyOf"] == [{"$ref": f"#/components/schemas/{name}"} for name in ("BrightnessValues", "DarkValues")]
    assert values["description"]
    assert "values" in schemas["MeanBrightnessResult"]["required"]
    assert "SlowBrightnessResult" not in schemas


@pytest.mark.parametrize("name", ["MeanBrightnessJobResult", "SlowBrightnessJobResult"])
def test_values_may_be_of_a_dataset_or_of_versions_when_a_job_answers(schemas: dict[str, Any], name: str):
    models = [one["$ref"].rsplit("/", 1)[1] for one in schemas[name]["properties"]["values"]["anyOf"]]
    assert models == ["BrightnessValues", "DarkValues", "BrightnessOverDataset", "BrightnessVersions"]
    items = schemas["BrightnessOverDataset"]["properties"]["items"]["items"]["anyOf"]
    assert [one["$ref"].rsplit("/", 1)[1] for one in items] == ["BrightnessOfPicture", "DarkOfPicture"]
    (one_version,) = schemas["BrightnessVersions"]["properties"]["versions"]["items"].values()
    assert len(schemas[one_version.rsplit("/", 1)[1]]["properties"]["values"]["anyOf"]) == 3


def test_value_models_are_components_as_they_describe_themselves(schemas: dict[str, Any]):
    assert schemas["BrightnessValues"]["description"] == "Of one picture."
    assert schemas["BrightnessValues"]["properties"]["brightness"]["description"] == "Mean over the picture, 0…1."
    assert schemas["BrightnessValues"]["properties"]["darkest"] == {"$ref": "#/components/schemas/DarkValues"}
    assert [name for name in schemas if "__" in name] == []
