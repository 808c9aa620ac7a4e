"""`convscope doctor FILE`: what the service makes of a model file, before anybody serves it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from schemas.models import Finding, Layer, LayerList, ModelDetail
from schemas.sentences import visible, visible_json
from service.cli.backends import read_settings
from service.cli.exits import Exit, fail
from service.cli.speech import speak_lines
from service.cli.tables import draw_table
from service.composition.models import open_model_file, open_model_source
from service.engine.methods import METHODS
from service.errors import ConvscopeError
from service.models.doctor import describe_alone, list_layers
from service.models.remote.locations import is_url
from service.models.remote.registry import is_registry_uri


class _ModelFile(click.Path):
    """A file of this machine, or where one lies elsewhere."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if is_url(str(value)) or is_registry_uri(str(value)) else super().convert(value, param, ctx)


_FILE = _ModelFile(exists=True, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--json", "is_json", is_flag=True, help="Print the API's JSON.")
def doctor(*, file: Path | str, is_json: bool) -> None:
    """Load a model file, or the folder of a preset, and say what is known of it.

    FILE is a path, a URL such as s3://bucket/model.keras, or a model of MLflow such as models:/cats@champion. A
    model.toml beside a path, or one folder above, counts as it does in a repository.
    """
    settings = read_settings()
    try:
        model = (
            open_model_source(file, settings) if isinstance(file, str) else open_model_file(file.absolute(), settings)
        )
    except ConvscopeError as error:
        fail(error, Exit.MODEL)
    detail = describe_alone(model, list(METHODS.values()))
    report = "\n".join(_report(detail, list_layers(model)))
    speak_lines(visible_json(detail.model_dump_json()) if is_json else report)


def _report(detail: ModelDetail, layers: LayerList) -> Iterator[str]:
    totals = layers.totals
    yield f"{detail.name}: loads and runs, {totals.parameters:,} parameters in {len(layers.layers)} layers"
    yield from _section("Repairs", detail.repairs or ["none were needed"])
    yield from _section("Findings", [_findings_table(detail.findings)])
    methods = [f"{method.name}: {'works' if method.available else method.reason}" for method in detail.methods]
    yield from _section("Methods", methods)
    yield from _section("Layers", list(_tree(layers.layers)))


def _section(title: str, lines: list[str]) -> Iterator[str]:
    yield f"\n{title}"
    yield from lines


def _findings_table(findings: list[Finding]) -> str:
    rows = [[finding.subject, finding.value or "none", finding.sure, finding.because] for finding in findings]
    return draw_table(["what", "value", "sure", "because"], rows)


def _tree(layers: list[Layer]) -> Iterator[str]:
    """Nested models by indentation, each named where its first layer stands."""
    open_models: list[str] = []
    for layer in layers:
        *models, name = layer.path.split("/")
        for depth, model in enumerate(models):
            if open_models[depth : depth + 1] != [model]:
                open_models = [*open_models[:depth], model]
                yield visible(f"{'  ' * depth}{model}/")
        open_models = models
        shape = " x ".join("?" if side is None else str(side) for side in layer.output_shape[1:])
        yield visible(f"{'  ' * len(models)}{layer.index} {name} ({layer.type}) {shape}")
