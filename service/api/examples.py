"""The OpenAPI of a method's route: both request forms, headers, what comes back, and an example of each."""

import base64
import io
from typing import Final

from PIL import Image

from schemas.jobs import Job
from service.api.fragments import Fragment, Responses
from service.api.method_bodies import REFERENCE, component_name
from service.engine.kinds.method import AnyMethod

_STATUSES: Final = (400, 404, 406, 408, 409, 410, 413, 415, 422, 429, 503)
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


def request_body(method: AnyMethod) -> Fragment:
    """`openapi_extra` of the route: the same parameters as a form and as JSON."""
    form, body = (component_name(method, kind) for kind in ("Form", "Body"))
    example: Fragment = {"image": {"image": _tiny_picture()}, "images": {"dataset": "shapes"}}.get(method.consumes, {})
    return {
        "requestBody": {
            "required": method.consumes in ("image", "images"),
            "content": {
                "multipart/form-data": {"schema": {"$ref": REFERENCE.format(model=form)}},
                "application/json": {
                    "schema": {"$ref": REFERENCE.format(model=body)},
                    "example": example | _examples(method),
                },
            },
        }
    }


def result_responses(method: AnyMethod) -> Responses:
    """The route's responses: 200 in each media type it has, and the problems."""
    content: Fragment = {"application/json": {}}
    if method.makes_pictures:
        content["image/png"] = {"schema": {"type": "string", "format": "binary"}}
    waited = (
        "its result, with `Prefer: wait`; the job, where it had ended before or ended without a result; "
        "a PNG with `Accept: image/png`."
    )
    done = f"Of the job: {waited}" if method.kind == "job" else f"The result. Where a job answers: {waited}"
    headers = {name: _header(*about) for name, about in _JOB_HEADERS.items()}
    job = {"description": "The job that computes it.", "model": Job, "headers": headers}
    answers: Responses = {200: {"description": done, "content": content}, 202: job}
    if method.kind == "interactive":
        answers[304] = {"description": "The answer is the one whose `ETag` came as `If-None-Match`."}
    return answers | {status: {} for status in _STATUSES}


def request_headers() -> Fragment:
    """`openapi_extra`: what a request may say about the manner of its answer."""
    return {
        "parameters": [{"name": name, "in": "header", **_header(*about)} for name, about in _HEADERS.items()],
    }


def _header(description: str, example: str) -> Fragment:
    return {"description": description, "schema": {"type": "string"}, "example": example}


def _examples(method: AnyMethod) -> Fragment:
    fields = method.params.model_json_schema().get("properties", {})
    return {name: field["examples"][0] for name, field in fields.items() if field.get("examples")}


def _tiny_picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1), "white").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")
