"""What a problem points at is a parameter of the route that was asked, as its OpenAPI has it."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.method_bodies import parameters_of
from service.api.problems import find_parameter
from service.engine.methods import METHODS
from service.errors import ConvscopeError

# For each parameter something that no model has; what the route does not have is not sent.
BAD = {
    "layer": "nowhere",
    "layers": "nowhere",
    "class_index": "99999",
    "channel": "99999",
    "channels": "99999",
    "filter": "99999",
    "filters": "99999",
    "units": "99999",
    "page": "99999",
    "size": "3",
    "between": "7,9",
    "maps": "99999",
    "steps": "99999",
    "values": "nothing",
    "colormap": "nothing",
    "seed": "-1",
    "versions": "98,99",
    "dataset": "nothing",
}


def _subclasses(kind: type[ConvscopeError]) -> set[type[ConvscopeError]]:
    return {kind}.union(*(_subclasses(child) for child in kind.__subclasses__()))


def _fields(document: dict[str, Any], name: str) -> list[set[str]]:
    """What the method's bodies may have, the form's first."""
    content = document["paths"][f"/v1/models/{{model}}/{name}"]["post"]["requestBody"]["content"]
    schemas = document["components"]["schemas"]
    bodies = (content[kind]["schema"]["$ref"] for kind in ("multipart/form-data", "application/json"))
    return [set(schemas[body.rpartition("/")[2]]["properties"]) for body in bodies]


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


@pytest.mark.parametrize("name", METHODS)
def test_every_error_points_at_a_parameter_of_the_route(document: dict[str, Any], name: str):
    schemas = _fields(document, name)
    parameters = parameters_of(METHODS[name])
    for field in {error.field for error in _subclasses(ConvscopeError)} - {None}:
        for given in (frozenset(), *(frozenset((each,)) for each in parameters)):
            request: Any = SimpleNamespace(state=SimpleNamespace(parameters=parameters, given=given))
            found = find_parameter(request, field)
            assert found is None or any(found in schema for schema in schemas), (field, given)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("model", ["tiny", "features"])
def test_what_is_wrong_is_found_in_the_schema_of_the_route(
    client: TestClient, document: dict[str, Any], picture: bytes, name: str, model: str
):
    schema = _fields(document, name)[0]
    pictures = [("image" if METHODS[name].consumes == "image" else "images", ("a.png", picture))]
    files = pictures if METHODS[name].consumes in ("image", "images") else None
    for parameter in schema & BAD.keys():
        sent = None if parameter == "dataset" else files
        answer = client.post(f"/v1/models/{model}/{name}", data={parameter: BAD[parameter]}, files=sent)
        if answer.status_code < 400:
            continue
        for error in answer.json().get("errors", []):
            assert error["pointer"].removeprefix("#/").split("/")[0] in schema, (parameter, answer.json())


@pytest.mark.parametrize("parameter", ["channel", "channels"])
def test_error_points_at_what_the_client_wrote_when_there_are_two_names(
    client: TestClient, picture: bytes, parameter: str
):
    answer = client.post(
        "/v1/models/tiny/activations", data={"layer": "conv1", parameter: "999"}, files={"image": picture}
    )
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"#/{parameter}"]
