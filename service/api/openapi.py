"""The OpenAPI document: FastAPI's, with every error described as the problem it really is."""

from collections.abc import Iterable, Iterator
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.problems import Problem
from service.api.fragments import Fragment, Responses
from service.api.method_bodies import REFERENCE, body_schemas
from service.api.problem_types import PROBLEMS
from service.api.problems import MEDIA_TYPE
from service.engine.kinds.method import AnyMethod

_ERRORS_FROM: Final = 400


def install(app: FastAPI, methods: Iterable[AnyMethod]) -> None:
    """Make `app.openapi()` answer our document, built once; `methods` are those that have routes."""
    methods = list(methods)

    def openapi() -> Fragment:
        app.openapi_schema = app.openapi_schema or _document(app, methods)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, methods: Iterable[AnyMethod]) -> Fragment:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document["components"]
    problem = Problem.model_json_schema(ref_template=REFERENCE)
    components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    for method in methods:
        components["schemas"] |= body_schemas(method)
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    statuses = sorted({kind.status for kind in PROBLEMS.values()})
    components["responses"] = {f"Problem{status}": _problem(status) for status in statuses}
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"] = dict(_refer(operation["responses"]))
    return document


def _refer(responses: Responses) -> Iterator[tuple[int | str, Fragment]]:
    for status, response in responses.items():
        if int(status) < _ERRORS_FROM:
            for media in response.get("content", {}).values():
                # Of OpenAPI 3.2, which FastAPI writes for event streams whatever version it announces.
                media.pop("itemSchema", None)
            yield status, response
        elif "HTTPValidationError" not in str(response):
            # FastAPI announces that one of its own accord, for path parameters that any text satisfies.
            yield status, {"$ref": f"#/components/responses/Problem{status}"}


def _problem(status: int) -> Fragment:
    codes = {code: kind for code, kind in PROBLEMS.items() if kind.status == status}
    examples = {
        code: {
            "value": {
                "type": f"/problems/{code}",
                "title": kind.title,
                "status": status,
                "detail": kind.explanation,
                "instance": "/v1/models/shapes/grad-cam",
                "code": code,
            }
        }
        for code, kind in codes.items()
    }
    return {
        "description": "A problem: " + ", ".join(f"`{code}`" for code in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": REFERENCE.format(model="Problem")}, "examples": examples}},
    }
