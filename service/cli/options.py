"""A method's parameters as options. Values are passed on as text: the pydantic model alone says what is wrong."""

import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, Union, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from schemas.methods import MethodParams

_METAVARS: Final[Mapping[object, str]] = {int: "INTEGER", float: "NUMBER", str: "TEXT"}
_LISTS = (list, tuple, set, frozenset)


class _Choice(click.Choice[str]):
    """Choices to show and to complete; refusing others is left to the pydantic model, with the API's sentence."""

    def convert(self, value: object, _: click.Parameter | None, __: click.Context | None) -> str:
        return str(value)


def make_options(params: type[MethodParams]) -> list[click.Option]:
    """An option for every field, in the model's order. One that is not given stays out of the parameters."""
    return [_option(name, field, params) for name, field in params.model_fields.items()]


def _option(name: str, field: FieldInfo, params: type[MethodParams]) -> click.Option:
    flag = "--" + (field.alias or name).replace("_", "-")
    text = " ".join(filter(None, [field.description, _facts(name, field, params)]))
    kinds = list(_alternatives(field.annotation))
    if kinds == [bool]:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=text)
    return click.Option([flag, name], type=_type(kinds), metavar=_metavar(kinds), help=text)


def _alternatives(annotation: object) -> Iterator[object]:
    """The types that a value may have, None left out: `Annotated[int, …] | None` gives int."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _alternatives(part)
    elif annotation is not type(None):
        yield annotation


def _type(kinds: list[object]) -> click.ParamType[str]:
    if all(get_origin(kind) is Literal for kind in kinds):
        return _Choice([str(value) for kind in kinds for value in get_args(kind)])
    return click.STRING


def _metavar(kinds: list[object]) -> str | None:
    """None where click writes the choices."""
    if all(get_origin(kind) is Literal for kind in kinds):
        return None
    if any((get_origin(kind) or kind) in _LISTS for kind in kinds):
        return "TEXT,TEXT…"
    return "|".join(_METAVARS.get(kind, "TEXT") for kind in kinds)


def _facts(name: str, field: FieldInfo, params: type[MethodParams]) -> str:
    """Default and bounds, as click writes its own."""
    facts = [] if field.default in (None, [], ()) else [f"default: {field.default}"]
    schema = params.model_json_schema()["properties"][name]
    bounded = (part for part in [schema, *schema.get("anyOf", [])] if "minimum" in part and "maximum" in part)
    facts.extend(f"{part['minimum']:g} to {part['maximum']:g}" for part in bounded)
    return f"[{'; '.join(facts)}]" if facts else ""
