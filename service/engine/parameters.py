"""Flat parameters as they came, text or numbers, to a method's own model; what is wrong, as sentences."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import ValidationError

from schemas.methods import MethodParams
from schemas.problems import ProblemError
from service.errors import ConvscopeError

P = TypeVar("P", bound=MethodParams)


class InvalidParametersError(ConvscopeError):
    """Parameters that do not validate, each with its pointer."""

    code = "invalid_parameters"

    def __init__(self, errors: Sequence[ProblemError]) -> None:
        super().__init__("; ".join(_sentence(error) for error in errors[:3]))
        self.errors = list(errors)


def validate(params: type[P], given: dict[str, Any]) -> P:
    """Validate flat parameters. Raises InvalidParametersError pointing at each."""
    try:
        return params.model_validate(given)
    except ValidationError as error:
        known = ["image", "images", "set", "versions", *params.model_fields]
        problems = [_explain(item, known, given) for item in error.errors(include_url=False, include_input=False)]
        raise InvalidParametersError(problems) from error


def pointer(*parts: object) -> str:
    """A JSON Pointer in its URI fragment form, RFC 6901."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "#/" + "/".join(escaped)


def _explain(item: Any, known: list[str], given: dict[str, Any]) -> ProblemError:
    name = str(item["loc"][0]) if item["loc"] else ""
    detail = str(item["msg"]).removeprefix("Value error, ")
    if isinstance(given.get(name), list) and item["loc"] == (name,):
        detail += " (a list, or a field given more than once)"
    if item["type"] == "extra_forbidden":
        near = get_close_matches(name, known, n=1)
        detail = f"unknown parameter; nearest: '{near[0]}'" if near else f"unknown parameter; known: {', '.join(known)}"
    return ProblemError(pointer=pointer(*item["loc"]) if item["loc"] else "#", detail=detail)


def _sentence(error: ProblemError) -> str:
    name = error.pointer.removeprefix("#").removeprefix("/").replace("~1", "/").replace("~0", "~")
    return f"'{name}': {error.detail}" if name else error.detail
