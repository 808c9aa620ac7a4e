"""The OpenAPI of a method's route: both request forms, headers, what comes back, and an example of each."""

import base64
import io
from typing import Any, Final

from PIL import Image

from schemas.jobs import Job
from service.engine.kinds.method import AnyMethod

_IMAGE: Final = {
    "type": "string",
    "description": "The picture: a file in a form; base64 or a data URL in JSON.",
}
_DATASET: Final = {
    "description": "A dataset, for a job over all of them: a ZIP, or several files. Folders in it are labels.",
}
_DATASET_NAME: Final = {
    "type": "string",
    "description": "A dataset that the service has by name.",
    "examples": ["shapes"],
}
_VERSIONS: Final = {
    "type": "string",
    "description": "Versions of the model to be compared, in a job: `1,2,5`, or `all`, oldest first.",
    "examples": ["1,2"],
}
_STATUSES: Final = (400, 404, 406, 408, 409, 410, 413, 415, 422, 503)
_HEADERS: Final = {
    "Prefer": (
        "`respond-async`: answer with a job. `wait=30`: where a job answers, wait so many seconds for its result.",
        "respond-async, wait=10",
    ),
    "Idempotency-Key": (
        "Where a job answers: sent again with the same key, the same request answers with the same job.",
        "6f1c0c1e-8a0f-4a53-9d0e-3c3f0f2b7d11",
    ),
    "Cache-Control": ("`no-cache` has it computed anew.", "no-cache"),
    "If-None-Match": (
        "Where no job answers: the `ETag` of an earlier answer; 304 where it is still the answer.",
        '"4b0d3c5a1e6f7a8b9c0d1e2f3a4b5c6d.9e8d7c6b5a4f3e2d1c0b9a8f7e6d5c4b"',
    ),
}
_JOB_HEADERS: Final = {
    "Location": ("The job.", "/v1/jobs/0197f3c2a1b24c0e9d5f6a7b8c9d0e1f"),
    "Retry-After": ("Seconds until asking again is worth while.", "1"),
    "Preference-Applied": ("What was done of `Prefer`.", "respond-async, wait=10"),
}


def request_body(method: AnyMethod) -> dict[str, Any]:
    """`openapi_extra` of the route: the same parameters as a form and as JSON."""
    schema = method.params.model_json_schema()
    example: dict[str, Any] = {"image": {"image": _tiny_picture()}, "images": {"dataset": "shapes"}}.get(
        method.consumes, {}
    )
    return {
        "requestBody": {
            "required": method.consumes in ("image", "images"),
            "content": {
                "multipart/form-data": {"schema": _with_pictures(schema, method, {"format": "binary"})},
                "application/json": {
                    "schema": _with_pictures(schema, method, {"contentEncoding": "base64"}),
                    "example": example | _example(schema),
                },
            },
        }
    }


def result_responses(method: AnyMethod) -> dict[int | str, dict[str, Any]]:
    """The route's responses: 200 in each media type it has, and the problems."""
    content: dict[str, Any] = {"application/json": {}}
    if method.makes_pictures:
        content["image/png"] = {"schema": {"type": "string", "format": "binary"}}
    if method.kind == "job":
        done = (
            "The result, with `Prefer: wait`; the job, where it had ended before or ended without a result; "
            "a PNG with `Accept: image/png`."
        )
    else:
        done = "The result; a PNG with `Accept: image/png`."
    headers = {name: _header(*about) for name, about in _JOB_HEADERS.items()}
    job = {"description": "The job that computes it.", "model": Job, "headers": headers}
    answers: dict[int | str, dict[str, Any]] = {200: {"description": done, "content": content}, 202: job}
    if method.kind == "interactive":
        answers[304] = {"description": "The answer is the one whose `ETag` came as `If-None-Match`."}
    return answers | {status: {} for status in _STATUSES}


def parameters_of(method: AnyMethod) -> frozenset[str]:
    """All that a request of the method may be made of, but for files."""
    body = request_body(method)["requestBody"]["content"]["multipart/form-data"]["schema"]
    return frozenset(body["properties"])


def request_headers() -> dict[str, Any]:
    """`openapi_extra`: what a request may say about the manner of its answer."""
    return {
        "parameters": [{"name": name, "in": "header", **_header(*about)} for name, about in _HEADERS.items()],
    }


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


def _with_pictures(schema: dict[str, Any], method: AnyMethod, form: dict[str, Any]) -> dict[str, Any]:
    """The parameters, versions, and one of the ways in which a method is given pictures."""
    schema = schema | {"properties": schema.get("properties", {}) | {"versions": _VERSIONS}}
    if method.consumes not in ("image", "images"):
        return schema
    several = _DATASET | {"type": "array", "items": {"type": "string"} | form, "minItems": 1}
    ways: dict[str, Any] = {"images": several, "dataset": _DATASET_NAME}
    if method.consumes == "image":
        ways = {"image": _IMAGE | form} | ways
    return schema | {
        "properties": ways | schema.get("properties", {}),
        "anyOf": [{"required": [way]} for way in ways],
    }


def _example(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: field["examples"][0] for name, field in properties.items() if field.get("examples")}


def _tiny_picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), "white").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
