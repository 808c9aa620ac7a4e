"""The tour itself: a service in a process of its own, every question, and the records by name."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from tests.server import Server
from tests.tour.by_terminal import Terminal
from tests.tour.foreign import link_models, photo
from tests.tour.inputs import Inputs, write_inputs
from tests.tour.over_http import Http
from tests.tour.questions import Method, Model, Question, list_questions
from tests.tour.reading import Record
from tests.tour.variations import Layers

BUILT_IN = ("shapes", "glyphs")
_LOAD_SECONDS = 120.0

Named = Iterator[tuple[str, Record]]


@dataclass(frozen=True)
class Tour:
    """A service and a terminal over the same models, and what is sent to them."""

    http: Http
    terminal: Terminal
    url: str
    folder: Path
    files: dict[str, Path]
    photo: Path | None

    def models(self) -> tuple[str, ...]:
        return (*BUILT_IN, *self.files)

    def methods(self) -> list[Method]:
        methods: list[Method] = self.http.look("/v1/methods")[0]["methods"]
        return methods

    def inputs(self, model: Model) -> Inputs:
        own = self.photo if not model.built_in else None
        return write_inputs(self.folder / "inputs", channels=model.channels, photo=own)


@contextmanager
def start(folder: Path, test_data: Path | None = None) -> Iterator[Tour]:
    """The service over the built-in models, and over those of the test data where it is given."""
    models = folder / "models"
    models.mkdir()
    files = link_models(test_data, models) if test_data else {}
    environment = {"CONVSCOPE_MODELS": str(models), "CONVSCOPE_DATA": str(folder / "data")}
    with Server(folder / "log", **environment) as server, httpx2.Client(base_url=server.url, timeout=120) as client:
        server.wait_until_ready()
        _wait_until_loaded(client, (*BUILT_IN, *files))
        terminal = Terminal(environment | {"CONVSCOPE_DATA": str(folder / "terminal")})
        yield Tour(Http(client), terminal, server.url, folder, files, photo(test_data) if test_data else None)


def take(tour: Tour) -> Named:
    """Every question with its answer."""
    yield "http /v1/methods", tour.http.look("/v1/methods")[1]
    yield "http /v1/sets", tour.http.look("/v1/sets")[1]
    yield "terminal models", tour.terminal.look("models")
    yield "terminal sets", tour.terminal.look("sets")
    for name in tour.models():
        yield from _visit(tour, name)


def _visit(tour: Tour, name: str) -> Named:
    """All about one model; one that was refused is described and no more."""
    yield from describe(tour, name)
    model = find_model(tour, name)
    if model is None:
        return
    questions, inputs = list(list_questions(model, tour.methods())), tour.inputs(model)
    yield from _prefix("http", tour.http.ask(questions, inputs))
    yield from _prefix("terminal", tour.terminal.ask(_for_terminal(model, questions), inputs))
    if model.built_in:
        firsts = [question for question in questions if question.first]
        there = replace(tour.terminal, server=tour.url)
        yield from _prefix("terminal --server", there.ask(firsts, inputs))
        job = next(question for question in questions if question.prefers_job)
        yield from _prefix("http", tour.http.forget(job, inputs))


def describe(tour: Tour, name: str) -> Named:
    """What the service and the terminal say of a model."""
    route = f"/v1/models/{name}"
    view, answer = tour.http.look(route)
    yield f"http {route}", answer
    yield f"http {route}/layers", tour.http.look(f"{route}/layers")[1]
    yield f"terminal layers {name}", tour.terminal.look("layers", name)
    if name in tour.files:
        yield f"terminal doctor {name}", tour.terminal.look("doctor", str(tour.files[name]))
    if "versions" not in view:
        return
    oldest = f"{route}/versions/{view['versions'][-1]}"
    yield f"http {oldest}/load", tour.http.look(f"{oldest}/load", "POST")[1]
    yield f"http {oldest}", tour.http.look(oldest)[1]
    yield f"http {oldest}/layers", tour.http.look(f"{oldest}/layers")[1]


def _for_terminal(model: Model, questions: Sequence[Question]) -> Iterator[Question]:
    """Of models that take seconds to load, as they do for each command, the first question of each method alone."""
    for question in questions:
        if not question.prefers_job and (model.built_in or question.first):
            yield question


def find_model(tour: Tour, name: str) -> Model | None:
    """What the questions about a model depend on; None of one that was refused."""
    view = tour.http.look(f"/v1/models/{name}")[0]
    if not view.get("ready"):
        return None
    return _read_model(view, tour.http.look(f"/v1/models/{name}/layers")[0]["layers"])


def _read_model(view: dict[str, Any], layers: list[dict[str, Any]]) -> Model:
    with_kernel = [layer for layer in layers if layer["kernel_shape"]][:2]
    return Model(
        view["name"],
        tuple(view["versions"]),
        view["input"]["channels"] if view["input"] else 3,
        Layers(tuple(layer["path"] for layer in with_kernel), tuple(layer["index"] for layer in with_kernel)),
        frozenset(method["name"] for method in view["methods"] if method["available"]),
        view["name"] in BUILT_IN,
    )


def _wait_until_loaded(client: httpx2.Client, names: Sequence[str]) -> None:
    """Until no model is on its way: what is said of it then stays so."""
    end = time.monotonic() + _LOAD_SECONDS
    while any(state not in ("ready", "failed") for state in _states(client, names)):
        if time.monotonic() > end:
            raise TimeoutError("the models have not loaded")
        time.sleep(0.1)


def _states(client: httpx2.Client, names: Sequence[str]) -> Iterator[str]:
    for model in client.get("/v1/models").json()["details"]:
        if model["name"] in names:
            yield model["state"]


def _prefix(way: str, answers: Named) -> Named:
    for name, answer in answers:
        yield f"{way} {name}", answer
