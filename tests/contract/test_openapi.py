"""The OpenAPI document: valid, without loose ends, and plain enough for the generators of clients."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.api.access.keys.roles import roles_of
from service.engine.methods import METHODS
from tests.contract.keyed import make_keyed

FORM, JSON = "multipart/form-data", "application/json"


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_document_is_valid_when_read_by_a_stranger(document: dict[str, Any]) -> None:
    # Imported where it is used: every process collects this file, and it takes seconds.
    import schemathesis

    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()


def test_no_reference_dangles_when_followed(document: dict[str, Any]) -> None:
    references = [node["$ref"] for node in _nodes(document) if isinstance(node.get("$ref"), str)]
    assert references
    for reference in references:
        assert _follow(document, reference), reference


def test_every_parameter_is_described_when_read(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            for parameter in operation.get("parameters", []):
                assert parameter["description"], (path, parameter["name"])
                assert "schema" in parameter
            for kind, media in operation.get("requestBody", {}).get("content", {}).items():
                assert kind in (FORM, JSON)
                for name, schema in _follow(document, media["schema"]["$ref"])["properties"].items():
                    assert schema["description"], (path, name)
                    assert {"type", "anyOf", "enum", "$ref"} & set(schema), (path, name)
    assert document["paths"]["/v1/models/{model}/grad-cam"]["post"]["requestBody"]["required"] is True


def test_examples_work_when_sent_as_they_stand(client: TestClient, document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        if media := operations.get("post", {}).get("requestBody", {}).get("content", {}).get(JSON):
            method = METHODS[path.rpartition("/")[2]]
            model = "glyphs" if method.name.startswith("autoencoder-") else "tiny"
            place = path.replace("{model}", model).replace("{version}", "1")
            answer = client.post(place, json=media["example"])
            assert answer.status_code == (202 if method.kind == "job" else 200), path


def test_every_union_is_of_plain_types_when_a_generator_makes_classes_of_it(document: dict[str, Any]) -> None:
    """What OpenAPI can say beside them, such as that one of several members is required, has no form in a language."""
    unions = [
        node[kind] for node in _nodes(document) for kind in ("anyOf", "oneOf") if isinstance(node.get(kind), list)
    ]
    assert unions
    for branch in (branch for union in unions for branch in union):
        assert "$ref" in branch or isinstance(branch["type"], str), branch
    assert not [node for node in _nodes(document) if {"allOf", "not", "if", "dependentRequired"} & set(node)]


@pytest.mark.parametrize("name", METHODS)
def test_bodies_are_shared_when_a_method_has_two_routes(document: dict[str, Any], name: str) -> None:
    stem = "".join(part.capitalize() for part in name.split("-"))
    for route in ("", "/versions/{version}"):
        content = document["paths"][f"/v1/models/{{model}}{route}/{name}"]["post"]["requestBody"]["content"]
        assert {kind: media["schema"] for kind, media in content.items()} == {
            FORM: {"$ref": f"#/components/schemas/{stem}Form"},
            JSON: {"$ref": f"#/components/schemas/{stem}Body"},
        }
    form, body = (document["components"]["schemas"][stem + kind] for kind in ("Form", "Body"))
    assert list(form["properties"]) == list(body["properties"])
    ways = {"image": ["image", "images", "dataset"], "images": ["images", "dataset"]}.get(METHODS[name].consumes, [])
    for schema in (form, body):
        assert [way for way in ("image", "images", "dataset") if way in schema["properties"]] == ways
        assert all(f"`{way}`" in schema["description"] for way in ways)
        assert not schema.get("required")


@pytest.mark.parametrize("name", METHODS)
def test_form_has_a_plain_type_for_each_field_when_json_has_several(document: dict[str, Any], name: str) -> None:
    reference = document["paths"][f"/v1/models/{{model}}/{name}"]["post"]["requestBody"]["content"][FORM]["schema"]
    for field, schema in _follow(document, reference["$ref"])["properties"].items():
        assert isinstance(schema["type"], str), field
        assert schema["type"] != "null", field
        assert schema.get("default", "") is not None, field


@pytest.mark.parametrize("name", METHODS)
def test_answers_are_the_methods_own_when_it_has_a_route(document: dict[str, Any], name: str) -> None:
    stem = "".join(part.capitalize() for part in name.split("-"))
    own = [] if METHODS[name].kind == "job" else [f"{stem}Result"]
    for route in ("", "/versions/{version}"):
        answers = document["paths"][f"/v1/models/{{model}}{route}/{name}"]["post"]["responses"]
        union = answers["200"]["content"][JSON]["schema"]["anyOf"]
        assert [branch["$ref"].rpartition("/")[2] for branch in union] == [*own, f"{stem}JobResult", "Job"]


def test_keys_are_stated_as_they_are_asked_for(document: dict[str, Any], tmp_path: Path) -> None:
    keyed = make_keyed(tmp_path).client.get("/openapi.json").json()
    assert document["security"] == [{}, {"bearer": []}, {"header": []}]
    assert keyed["security"] == document["security"][1:]
    assert keyed | {"security": []} == document | {"security": []}
    schemes = document["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {"bearer": "http", "header": "apiKey"}
    free = []
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            if operation.get("security") == []:
                free.append(path)
                assert "x-role" not in operation
            else:
                assert "security" not in operation
                role = roles_of(METHODS)[f"{verb.upper()} {path}"]
                assert operation["x-role"] == role
                assert operation["description"].endswith(f"Needs the role `{role}` where keys are asked for.")
                assert {"401", "403"} <= set(operation["responses"])
    assert free == ["/livez", "/readyz"]


def _follow(document: dict[str, Any], reference: str) -> Any:
    assert reference.startswith("#/"), reference
    place: Any = document
    for part in reference[2:].split("/"):
        assert part in place, reference
        place = place[part]
    return place


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)
