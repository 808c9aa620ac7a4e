"""The OpenAPI of a method's route: both request forms, what comes back, and an example of each."""

import base64
import io
from typing import Any, Final

from PIL import Image

from service.engine.method import AnyMethod

_IMAGE: Final = {
    "type": "string",
    "description": "The picture: a file in a form; base64 or a data URL in JSON.",
}
_STATUSES: Final = (400, 404, 406, 408, 413, 415, 422, 503)


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
    result = {"description": "The result; a PNG with `Accept: image/png`.", "content": content}
    return {200: result, **{status: {} for status in _STATUSES}}


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
