"""The schemas of a method's request bodies, a form and JSON, under names of their own. Knows no routes or answers.

In a form everything is text, so that its fields have plain types; JSON has null, and lists beside text.
"""

from typing import Final, Literal

from schemas.webhooks import WEBHOOK_EVENTS
from service.api.fragments import Fragment
from service.egress.destinations import MAX_URL
from service.engine.kinds.method import AnyMethod

REFERENCE: Final = "#/components/schemas/{model}"
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
    "description": (
        "Versions of the model to be compared, in a job: `1,2,5`, or `all`, oldest first. Not where the path names one."
    ),
    "examples": ["1,2"],
}
_WEBHOOK: Final = {
    "type": "string",
    "format": "uri",
    "maxLength": MAX_URL,
    "description": "Where a job answers: a URL, by https, to which the job is sent when it has ended.",
    "examples": ["https://hooks.example.com/convscope"],
}
_EVENTS_ABOUT: Final = "What it is told: `completed` (by default), `output` (each picture), `progress`."
_WEBHOOK_EVENTS: Final[Fragment] = {
    "type": "string",
    "description": f"{_EVENTS_ABOUT} Several with commas, or as repeated fields.",
    "examples": ["completed,output"],
}
_WEBHOOK_EVENT_LIST: Final[Fragment] = {
    "anyOf": [
        {"type": "array", "items": {"enum": list(WEBHOOK_EVENTS)}, "minItems": 1, "maxItems": 10},
        {"type": "string"},
    ],
    "description": _EVENTS_ABOUT,
    "examples": [["completed", "output"]],
}
Kind = Literal["Form", "Body"]
_FILES: Final[dict[Kind, Fragment]] = {"Form": {"format": "binary"}, "Body": {"contentEncoding": "base64"}}


def component_name(method: AnyMethod, kind: str) -> str:
    """The name of a method's schema, such as `GradCamForm`."""
    return "".join(map(str.capitalize, method.name.split("-"))) + kind


def body_schemas(method: AnyMethod) -> dict[str, Fragment]:
    """The components of the method's bodies, and what they refer to, by name."""
    schema = method.params.model_json_schema(ref_template=REFERENCE)
    parts: dict[str, Fragment] = schema.pop("$defs", {})
    parameters: dict[str, Fragment] = schema.pop("properties", {})
    as_text = {name: _as_text(field) for name, field in parameters.items()}
    return parts | {
        component_name(method, "Form"): schema | _describe(method, "Form", as_text),
        component_name(method, "Body"): schema | _describe(method, "Body", parameters),
    }


def parameters_of(method: AnyMethod) -> frozenset[str]:
    """All that a request of the method may be made of."""
    return frozenset(body_schemas(method)[component_name(method, "Form")]["properties"])


def _describe(method: AnyMethod, kind: Kind, parameters: dict[str, Fragment]) -> Fragment:
    """The parameters, versions, and the ways in which a method is given pictures, of which OpenAPI requires none."""
    ways = _ways(method, _FILES[kind])
    description = f"Parameters of `{method.name}`."
    if ways:
        listed = ", ".join(f"`{way}`" for way in ways)
        description = f"Parameters of `{method.name}`, and what it is to look at: one of {listed} is needed."
    return {
        "title": component_name(method, kind),
        "description": description,
        "properties": ways
        | parameters
        | {
            "versions": _VERSIONS,
            "webhook": _WEBHOOK,
            "webhook_events": _WEBHOOK_EVENTS if kind == "Form" else _WEBHOOK_EVENT_LIST,
        },
    }


def _ways(method: AnyMethod, file: Fragment) -> dict[str, Fragment]:
    if method.consumes not in ("image", "images"):
        return {}
    several = _DATASET | {"type": "array", "items": {"type": "string"} | file, "minItems": 1}
    image: dict[str, Fragment] = {"image": _IMAGE | file} if method.consumes == "image" else {}
    return image | {"images": several, "dataset": _DATASET_NAME}


def _as_text(field: Fragment) -> Fragment:
    """The field of a form: no null, which is a field left out, and of several types the text that says them all."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind.get("type") != "null"]
    if not kinds:
        return field
    plain: Fragment = next((kind for kind in kinds if kind.get("type") == "string"), kinds[0])
    about = {name: value for name, value in field.items() if name != "anyOf" and (name, value) != ("default", None)}
    return about | plain
