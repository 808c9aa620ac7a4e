"""What a problem points at is a parameter of the route that was asked, as its OpenAPI has it."""

from types import SimpleNamespace
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.examples import parameters_of
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


@pytest.fixture(scope="module")
def paths(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()["paths"]
    return found


@pytest.mark.parametrize("name", METHODS)
def test_every_error_points_at_a_parameter_of_the_route(paths: dict[str, Any], name: str):
    content = paths[f"/v1/models/{{model}}/{name}"]["post"]["requestBody"]["content"]
    schemas = [set(content[kind]["schema"]["properties"]) for kind in ("multipart/form-data", "application/json")]
    parameters = parameters_of(METHODS[name])
    for field in {error.field for error in _subclasses(ConvscopeError)} - {None}:
        for given in (frozenset(), *(frozenset((each,)) for each in parameters)):
            request: Any = SimpleNamespace(state=SimpleNamespace(parameters=parameters, given=given))
            found = find_parameter(request, field)
            assert found is None or any(found in schema for schema in schemas), (field, given)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("model", ["tiny", "features"])
def test_what_is_wrong_is_found_in_the_schema_of_the_route(
    client: TestClient, paths: dict[str, Any], picture: bytes, name: str, model: str
):
    content = paths[f"/v1/models/{{model}}/{name}"]["post"]["requestBody"]["content"]
    schema = set(content["multipart/form-data"]["schema"]["properties"])
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
