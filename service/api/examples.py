"""The OpenAPI of a method's route: both request forms, headers, what comes back, and an example of each."""

import base64
import io
from typing import Any, Final

from PIL import Image

from schemas.jobs import Job
from service.engine.method import AnyMethod

_IMAGE: Final = {
    "type": "string",
    "description": "The picture: a file in a form; base64 or a data URL in JSON.",
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
    takes_image = method.consumes == "image"
    form, flat = _with_image(schema, {"format": "binary"}), _with_image(schema, {"contentEncoding": "base64"})
    return {
        "requestBody": {
            "required": takes_image,
            "content": {
                "multipart/form-data": {"schema": form if takes_image else schema},
                "application/json": {
                    "schema": flat if takes_image else schema,
                    "example": ({"image": _tiny_picture()} if takes_image else {}) | _example(schema),
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
        done = "The result, with `Prefer: wait`; the job, where it has ended before; a PNG with `Accept: image/png`."
    else:
        done = "The result; a PNG with `Accept: image/png`."
    headers = {name: _header(*about) for name, about in _JOB_HEADERS.items()}
    job = {"description": "The job that computes it.", "model": Job, "headers": headers}
    answers: dict[int | str, dict[str, Any]] = {200: {"description": done, "content": content}, 202: job}
    if method.kind == "interactive":
        answers[304] = {"description": "The answer is the one whose `ETag` came as `If-None-Match`."}
    return answers | {status: {} for status in _STATUSES}


def request_headers() -> dict[str, Any]:
    """`openapi_extra`: what a request may say about the manner of its answer."""
    return {
        "parameters": [{"name": name, "in": "header", **_header(*about)} for name, about in _HEADERS.items()],
    }


def _header(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


def _with_image(schema: dict[str, Any], form: dict[str, Any]) -> dict[str, Any]:
    return schema | {
        "properties": {"image": _IMAGE | form} | schema.get("properties", {}),
        "required": ["image", *schema.get("required", [])],
    }


def _example(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    return {name: field["examples"][0] for name, field in properties.items() if field.get("examples")}


def _tiny_picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), "white").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
