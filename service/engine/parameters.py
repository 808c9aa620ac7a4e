"""Flat parameters as they came, text or numbers, to a method's own model; what is wrong, as sentences."""

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.methods import MethodParams
from schemas.problems import ProblemError
from service.engine.nearest import find_nearest, shorten
from service.errors import ConvscopeError

P = TypeVar("P", bound=MethodParams)

# What is explained of all that is wrong: a person reads no more, and each unknown name is looked up among the known.
_MAX_EXPLAINED: Final = 20
_MAX_UNKNOWN: Final = 5


class InvalidParametersError(ConvscopeError):
    """Parameters that do not validate, each with its pointer."""

    code = "invalid_parameters"

    def __init__(self, errors: Sequence[ProblemError]) -> None:
        super().__init__("; ".join(_sentence(error) for error in errors[:3]))
        self.errors = list(errors)


def validate(params: type[P], given: Mapping[str, object]) -> P:
    """Validate flat parameters. Raises InvalidParametersError pointing at each."""
    unknown = [name for name in given if name not in params.model_fields]
    problems: list[ProblemError] = []
    try:
        valid = params.model_validate({name: given[name] for name in given if name in params.model_fields})
    except ValidationError as error:
        items = error.errors(include_url=False, include_input=False)
        problems = [_explain(item, given) for item in items[:_MAX_EXPLAINED]]
    else:
        if not unknown:
            return valid
    known = ["image", "images", "dataset", "versions", "webhook", "webhook_events", *params.model_fields]
    problems += [_explain_unknown(name, known) for name in unknown[:_MAX_UNKNOWN]]
    if len(unknown) > _MAX_UNKNOWN:
        problems.append(ProblemError(pointer="#", detail=f"{len(unknown) - _MAX_UNKNOWN} more parameters are unknown"))
    raise InvalidParametersError(problems)


def pointer(*parts: object) -> str:
    """A JSON Pointer in its URI fragment form, RFC 6901."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in parts)
    return "#/" + "/".join(escaped)


def _explain(item: ErrorDetails, given: Mapping[str, object]) -> ProblemError:
    name = str(item["loc"][0]) if item["loc"] else ""
    detail = str(item["msg"]).removeprefix("Value error, ")
    if isinstance(given.get(name), list) and item["loc"] == (name,):
        detail += " (a list, or a field given more than once)"
    return ProblemError(pointer=pointer(*item["loc"]) if item["loc"] else "#", detail=detail)


def _explain_unknown(name: str, known: list[str]) -> ProblemError:
    near = find_nearest(name, known)
    advice = f"nearest: '{near[0]}'" if near else f"known: {', '.join(known)}"
    return ProblemError(pointer=pointer(shorten(name)), detail=f"unknown parameter; {advice}")


def _sentence(error: ProblemError) -> str:
    name = error.pointer.removeprefix("#").removeprefix("/").replace("~1", "/").replace("~0", "~")
    return f"'{name}': {error.detail}" if name else error.detail
