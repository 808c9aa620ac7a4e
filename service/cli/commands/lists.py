"""`convscope models`, `convscope layers MODEL` and `convscope datasets`: what there is, as text or JSON."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from schemas.base import Schema
from schemas.models import InputContract, LayerList, ModelList
from schemas.sentences import visible_json
from service.cli.backends import OpenBackend
from service.cli.completion import complete_model
from service.cli.exits import PROBLEMS, Exit, fail, judge
from service.cli.speech import speak_lines
from service.cli.tables import draw_table

S = TypeVar("S", bound=Schema)
_SERVER = click.option("--server", metavar="URL", help="Ask a running service; its key: CONVSCOPE_KEY.")
_JSON = click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")


def make_models(open_backend: OpenBackend) -> click.Command:
    """The command `models`."""

    @click.command()
    @click.option(
        "--load", is_flag=True, help="Load every model of a folder first, which tells their tasks and inputs."
    )
    @_JSON
    @_SERVER
    def models(*, load: bool, is_json: bool, server: str | None) -> None:
        """List the models."""
        with open_backend(server) as backend:
            found = _ask(lambda: backend.models(load=load))
        speak_lines(visible_json(found.model_dump_json()) if is_json else _models_table(found))
        if load and any(model.state == "failed" for model in found.details):
            click.get_current_context().exit(Exit.SOME_FAILED)

    return models


def make_layers(open_backend: OpenBackend) -> click.Command:
    """The command `layers`."""

    @click.command()
    @click.argument("model", shell_complete=complete_model)
    @click.option("--version", metavar="NUMBER", help="Version of the model; default: the newest.")
    @_JSON
    @_SERVER
    def layers(*, model: str, version: str | None, is_json: bool, server: str | None) -> None:
        """List a model's layers, as Keras's summary does."""
        with open_backend(server) as backend:
            found = _ask(lambda: backend.layers(model, version))
        speak_lines(visible_json(found.model_dump_json()) if is_json else _layers_table(found))

    return layers


def make_datasets(open_backend: OpenBackend) -> click.Command:
    """The command `datasets`."""

    @click.command()
    @_JSON
    @_SERVER
    def datasets(*, is_json: bool, server: str | None) -> None:
        """List the datasets that have names, for '--dataset'."""
        with open_backend(server) as backend:
            found = _ask(backend.datasets)
        speak_lines(visible_json(found.model_dump_json()) if is_json else "\n".join(found.datasets))

    return datasets


def _ask(question: Callable[[], S]) -> S:
    try:
        return question()
    except PROBLEMS as problem:
        fail(problem, judge(problem) or Exit.MODEL)


def _models_table(found: ModelList) -> str:
    rows = [
        [model.name, ", ".join(model.versions), model.state, model.task or "", _input(model.input)]
        for model in found.details
    ]
    table = draw_table(["name", "versions", "state", "task", "input"], rows)
    reasons = [f"{model.name}: {model.reason}" for model in found.details if model.reason]
    return "\n".join([table, *(["", *reasons] if reasons else [])])


def _layers_table(found: LayerList) -> str:
    rows = [
        [
            str(layer.index),
            layer.path,
            layer.type,
            _shape(layer.output_shape[1:]),
            _shape(layer.kernel_shape or []),
            f"{layer.parameters:,}",
        ]
        for layer in found.layers
    ]
    totals = found.totals
    table = draw_table(["#", "path", "type", "output", "kernel", "parameters"], rows, right={0, 5})
    return (
        f"{table}\n\nparameters: {totals.parameters:,} "
        f"(trainable {totals.trainable:,}, non-trainable {totals.non_trainable:,})"
    )


def _input(contract: InputContract | None) -> str:
    if contract is None:
        return ""
    fit = "" if contract.fit == "stretch" else f" {contract.fit}"
    return f"{_shape([contract.height, contract.width, contract.channels])} {contract.preprocessing}{fit}"


def _shape(sides: Sequence[int | None]) -> str:
    """`12 x 12 x 96`, an open side as `?`."""
    return " x ".join("?" if side is None else str(side) for side in sides)
