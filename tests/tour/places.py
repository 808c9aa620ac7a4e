"""What the tour goes through: a service in a process of its own, the terminal in this one, and their models."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from tests.server import Server
from tests.tour.by_terminal import Terminal, open_terminal
from tests.tour.foreign import link_models, photo
from tests.tour.inputs import Inputs, write_inputs
from tests.tour.over_http import Http
from tests.tour.questions import Method, Model
from tests.tour.variations import Layers

BUILT_IN = ("shapes", "glyphs")
_LOAD_SECONDS = 120.0


@dataclass(frozen=True)
class Tour:
    """A service and a terminal over the same models, and what is sent to them."""

    http: Http
    terminal: Terminal
    url: str
    files: dict[str, Path]
    glyphs: Inputs
    scenes: Inputs
    photos: Inputs

    def models(self) -> tuple[str, ...]:
        return (*BUILT_IN, *self.files)

    def methods(self) -> list[Method]:
        methods: list[Method] = self.http.look("/v1/methods")[0]["methods"]
        return methods

    def inputs(self, model: Model) -> Inputs:
        if model.channels == 1:
            return self.glyphs
        return self.scenes if model.built_in else self.photos


@contextmanager
def start(folder: Path, test_data: Path | None = None) -> Iterator[Tour]:
    """The service over the built-in models, and over those of the test data where it is given."""
    models = folder / "models"
    models.mkdir()
    files = link_models(test_data, models) if test_data else {}
    glyphs, scenes = write_inputs(folder, channels=1), write_inputs(folder, channels=3)
    photos = replace(scenes, image=photo(test_data)) if test_data else scenes
    environment = {"CONVSCOPE_MODELS": str(models), "CONVSCOPE_DATA": str(folder / "data")}
    with Server(folder / "log", **environment) as server, httpx2.Client(base_url=server.url, timeout=120) as client:
        server.wait_until_ready()
        _wait_until_loaded(client, (*BUILT_IN, *files))
        with open_terminal(environment | {"CONVSCOPE_DATA": str(folder / "terminal")}) as terminal:
            yield Tour(Http(client), terminal, server.url, files, glyphs, scenes, photos)


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
