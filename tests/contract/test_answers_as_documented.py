"""Every method's answers are what the OpenAPI document says: a result, a job, and what a job has come to."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from docs.generate import openapi_page
from service.engine.methods import METHODS
from tests.contract.workshop import Workshop, open_workshop

JSON = "application/json"


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[Workshop]:
    with open_workshop(repository, tmp_path_factory.mktemp("data")) as opened:
        yield opened


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(openapi_page())
    return found


@pytest.mark.parametrize("name", METHODS)
def test_answers_are_as_documented_when_a_method_is_asked(workshop: Workshop, document: dict[str, Any], name: str):
    operation = document["paths"][f"/v1/models/{{model}}/{name}"]["post"]
    path = f"/v1/models/{'glyphs' if name.startswith('autoencoder-') else 'tiny'}/{name}"
    asked = operation["requestBody"]["content"][JSON]["example"]
    stem = "".join(part.capitalize() for part in name.split("-"))

    def answer(status: int, model: str, **headers: str) -> None:
        response = workshop.client.post(path, json=asked, headers=headers)
        assert response.status_code == status, response.text
        schema = operation["responses"][str(status)]["content"][JSON]["schema"]
        stated = [branch["$ref"] for branch in schema.get("anyOf", [schema])]
        reference = f"#/components/schemas/{model}"
        assert reference in stated
        errors = _validator(document, reference).iter_errors(response.json())
        assert [f"{error.instance_path}: {error.message}"[:300] for error in errors] == []

    if METHODS[name].kind == "interactive":
        answer(200, f"{stem}Result")
    answer(202, "Job", Prefer="respond-async")
    workshop.work()
    answer(200, f"{stem}JobResult", Prefer="respond-async, wait=1")
    answer(200, "Job", Prefer="respond-async")


def test_dataset_and_versions_are_as_documented_when_a_method_of_one_image_is_asked(
    workshop: Workshop, document: dict[str, Any], picture: bytes
):
    validator = _validator(document, "#/components/schemas/GradCamJobResult")
    for model, files, fields in (
        ("tiny", {"images": ("a.png", picture)}, {}),
        ("versions", {"image": picture}, {"versions": "all"}),
    ):
        path, prefer = f"/v1/models/{model}/grad-cam", {"Prefer": "wait=1"}
        assert workshop.client.post(path, files=files, data=fields).status_code == 202
        workshop.work()
        response = workshop.client.post(path, files=files, data=fields, headers=prefer)
        assert response.status_code == 200, response.text
        assert [error.message[:300] for error in validator.iter_errors(response.json())] == []


def _validator(document: dict[str, Any], reference: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": reference, "components": document["components"]})
