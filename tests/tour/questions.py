"""What the tour asks about one model: each method with its defaults, then with each parameter once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from tests.tour.variations import OF_DATASETS, Layers, Params, vary

Method = Mapping[str, Any]
# `name`: of a dataset that the service has, called like the model.
Sends = Literal["nothing", "image", "images", "name"]
# Gradient ascent for all filters of a real network takes minutes.
_QUICK: Final[Mapping[str, Params]] = {"filter-patterns": {"filters": "0-1", "steps": 4}}


@dataclass(frozen=True)
class Model:
    """What questions about a model depend on."""

    name: str
    versions: tuple[str, ...]
    channels: int
    layers: Layers
    available: frozenset[str]
    built_in: bool


@dataclass(frozen=True)
class Question:
    """One request. The `first` about a method has its defaults; the others differ from it in one thing."""

    name: str
    model: str
    method: str
    sends: Sends
    params: Params = field(default_factory=dict)
    version: str | None = None
    first: bool = False
    prefers_job: bool = False

    @property
    def compares(self) -> bool:
        return "versions" in self.params


def list_questions(model: Model, methods: Sequence[Method], *, brief: bool = False) -> Iterator[Question]:
    """All questions; `brief` are one choice of each enumeration, and neither long jobs nor large datasets."""
    for method in methods:
        quick = _QUICK.get(method["name"], {})
        first = Question(
            f"{model.name}/{method['name']}",
            model.name,
            method["name"],
            _sends(method),
            dict(quick) if brief or not model.built_in else {},
            first=True,
        )
        yield first
        if method["name"] in model.available:
            asked = replace(first, params=dict(quick), first=False)
            yield from _options(model, method, asked, every_choice=model.built_in and not brief)
            ways = _ways(model, method, asked)
            yield from (way for way in ways if not brief or way.sends != "name")


def _options(model: Model, method: Method, asked: Question, *, every_choice: bool) -> Iterator[Question]:
    """Each parameter at other values than its default."""
    for name, schema in method["parameters"]["properties"].items():
        for params in vary(name, schema, model.layers, every_choice=every_choice):
            words = ",".join(f"{key}={value}" for key, value in params.items())
            sends: Sends = "images" if name in OF_DATASETS else asked.sends
            yield replace(asked, name=f"{asked.name}/{words}", sends=sends, params=asked.params | params)


def _ways(model: Model, method: Method, asked: Question) -> Iterator[Question]:
    """The same over a dataset, over a named dataset, as a job, of an older version, and over several versions."""

    def other(way: str, **changes: Any) -> Question:
        return replace(asked, name=f"{asked.name}/{way}", **changes)

    if method["consumes"] == "image":
        yield other("over images", sends="images")
    if method["consumes"] != "none" and model.built_in:
        yield other("over a named dataset", sends="name")
    if method["kind"] == "interactive" and model.built_in:
        yield other("as a job", prefers_job=True)
    if len(model.versions) > 1:
        oldest, newest = model.versions[-1], model.versions[0]
        yield other("of the oldest version", version=oldest)
        yield other("over versions", params=asked.params | {"versions": f"{oldest},{newest}"})


def _sends(method: Method) -> Sends:
    return "nothing" if method["consumes"] == "none" else method["consumes"]
