"""The OpenAPI document: FastAPI's, with every error described as the problem it really is."""

from collections.abc import Iterable, Iterator
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.problems import Problem
from service.api.access.callers import Role
from service.api.access.keys.roles import is_free, roles_of
from service.api.fragments import Fragment, Responses
from service.api.method_bodies import REFERENCE, body_schemas
from service.api.problem_types import PROBLEMS
from service.api.problems import MEDIA_TYPE
from service.engine.kinds.method import AnyMethod

_ERRORS_FROM: Final = 400
_SCHEMES: Final[Fragment] = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key: `convscope_` and 64 hexadecimal digits."},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, another way."},
}


def install(app: FastAPI, methods: Iterable[AnyMethod], *, asks_for_keys: bool = False) -> None:
    """Make `app.openapi()` answer our document, built once; `methods` are those that have routes."""
    methods = list(methods)

    def openapi() -> Fragment:
        app.openapi_schema = app.openapi_schema or _document(app, methods) | _security(asks_for_keys=asks_for_keys)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI, methods: Iterable[AnyMethod]) -> Fragment:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        webhooks=app.webhooks.routes,
    )
    components = document["components"]
    problem = Problem.model_json_schema(ref_template=REFERENCE)
    components["schemas"] |= problem.pop("$defs") | {"Problem": problem}
    for method in methods:
        components["schemas"] |= body_schemas(method)
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    statuses = sorted({kind.status for kind in PROBLEMS.values()})
    components["responses"] = {f"Problem{status}": _problem(status) for status in statuses}
    components["securitySchemes"] = _SCHEMES
    roles = roles_of(method.name for method in methods)
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            _state_role(
                operation, None if is_free(verb.upper(), path) else roles.get(f"{verb.upper()} {path}", "admin")
            )
            operation["responses"] = dict(_refer(operation["responses"]))
    for sent in document.get("webhooks", {}).values():
        for operation in sent.values():
            # The receiver's, whose keys are none of ours.
            operation["security"] = []
            operation["responses"] = dict(_refer(operation["responses"]))
    return document


def _security(*, asks_for_keys: bool) -> Fragment:
    # The empty one says that none is needed. Stated once for all operations.
    return {"security": [*([] if asks_for_keys else [{}]), *({name: []} for name in _SCHEMES)]}


def _state_role(operation: Fragment, role: Role | None) -> None:
    if role is None:
        operation["security"] = []
        return
    needs = f"Needs the role `{role}` where keys are asked for."
    operation["x-role"] = role
    operation["description"] = "\n\n".join(filter(None, [operation.get("description"), needs]))
    operation["responses"] |= {"401": {}, "403": {}}


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
