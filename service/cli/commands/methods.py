"""A command for every method, made from its name, its description, what it consumes and its parameters."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from service.cli.backends import OpenBackend, Work
from service.cli.batch import Batch
from service.cli.completion import complete_model
from service.cli.datasets import PictureDataset, is_zip
from service.cli.options import make_options
from service.cli.output import OutputFolder, readable
from service.cli.pictures import Picture, find_pictures
from service.engine.kinds.method import AnyMethod
from service.engine.parameters import InvalidParametersError, validate

DEFAULT_MODEL = "shapes"
_ONE = (click.Option(["--version", "_version"], metavar="NUMBER", help="Version of the model; default: the newest."),)
_COMPARED = (
    click.Option(
        ["--versions", "_versions"],
        default="all",
        show_default=True,
        metavar="NUMBER,NUMBER…",
        help="Versions to compare, in this order; all of them oldest first.",
    ),
    click.Option(
        ["--min-correlation", "_min_correlation"],
        type=click.FloatRange(-1, 1),
        help="End with exit code 6 where neighbours correlate less: a gate.",
    ),
)
DEFAULT_FOLDER = Path("convscope-out")


def make_compare(methods: Iterable[AnyMethod], open_backend: OpenBackend) -> click.Command:
    """`compare METHOD …`: each method over several versions of a model."""
    return click.Group(
        "compare",
        commands={method.name: make_method(method, open_backend, compares=True) for method in methods},
        help="Compare versions of a model, such as snapshots of its training: side by side on one scale, with the "
        "correlation of neighbours.",
        short_help="Compare versions of a model; a gate with --min-correlation.",
    )


def make_method(method: AnyMethod, open_backend: OpenBackend, *, compares: bool = False) -> click.Command:
    """The command of one method."""

    def callback(**given: Any) -> None:
        fields = {name: given[name] for name in method.params.model_fields if given[name] is not None}
        options = {name: value for name, value in given.items() if name not in method.params.model_fields}
        try:
            params = validate(method.params, fields)
        except InvalidParametersError as error:
            raise click.UsageError(error.detail) from error
        work = Work(
            method,
            params,
            options["_model"],
            options.get("_version"),
            _picture_dataset(method, options),
            options.get("_versions"),
        )
        output = _output(method, options["_output"], is_json=options["_json"])
        pictures: list[Picture | None] = [None] if work.pictures else _pictures(options, output)
        with open_backend(options["_server"]) as backend:
            batch = Batch(work, backend, output, is_json=options["_json"])
            batch.do(pictures, min_correlation=options.get("_min_correlation"))

    arguments: list[click.Parameter] = []
    if method.consumes in ("image", "images"):
        kind = click.Path(exists=True, path_type=Path)
        arguments.append(click.Argument(["_images"], nargs=-1, type=kind, metavar="IMAGE..."))
        arguments.append(click.Option(["--dataset", "_dataset"], metavar="NAME", help="A dataset by its name."))
    if method.consumes == "image":
        arguments.append(
            click.Option(["--as-dataset", "_as_dataset"], is_flag=True, help="Take all pictures as one dataset.")
        )
    return click.Command(
        method.name,
        params=[*arguments, *make_options(method.params), *(_COMPARED if compares else _ONE), *_shared_options()],
        callback=callback,
        help=f"{method.description}\n\n{_usage(method)}",
        short_help=f"{method.title}.",
    )


def _usage(method: AnyMethod) -> str:
    if method.consumes not in ("image", "images"):
        return "Needs no picture."
    if method.consumes == "images":
        return "The dataset: pictures, folders, which are searched for pictures, or a ZIP."
    return "IMAGE is a picture, or a folder, which is searched for pictures. A ZIP is a dataset."


def _shared_options() -> list[click.Parameter]:
    """What every method's command takes; named with an underscore, as the rest belongs to the method."""
    return [
        click.Option(
            ["--model", "_model"],
            default=DEFAULT_MODEL,
            show_default=True,
            shell_complete=complete_model,
            help="Model to look into; `convscope models` lists them.",
        ),
        click.Option(
            ["-o", "--output", "_output"],
            type=click.Path(file_okay=False, path_type=Path),
            metavar="FOLDER",
            help=f"Where pictures, results.jsonl and index.html go.  [default: {DEFAULT_FOLDER}, if there are "
            "pictures and no --json]",
        ),
        click.Option(["--json", "_json"], is_flag=True, help="Print a line of JSON per result, without picture data."),
        click.Option(
            ["--server", "_server"], metavar="URL", help="Let a running service do the work; its key: CONVSCOPE_KEY."
        ),
    ]


def _output(method: AnyMethod, folder: Path | None, *, is_json: bool) -> OutputFolder | None:
    if folder is None and (is_json or not method.makes_pictures):
        return None
    return OutputFolder(folder or DEFAULT_FOLDER, method.name, method.title)


# Click hands over what it has read as a dictionary of any types, by the names of the options.
def _picture_dataset(method: AnyMethod, options: dict[str, Any]) -> PictureDataset | None:
    """The dataset that is meant; None where pictures are meant one by one, or none at all."""
    if "_images" not in options:
        return None
    paths, name = options["_images"], options["_dataset"]
    if bool(paths) == (name is not None):
        raise click.UsageError(
            "name pictures, or a dataset with '--dataset'" if not paths else "pictures or '--dataset', not both"
        )
    if name is not None:
        return PictureDataset(name=name)
    if method.consumes == "images" or options["_as_dataset"] or is_zip(paths):
        return PictureDataset(paths)
    return None


def _pictures(options: dict[str, Any], output: OutputFolder | None) -> list[Picture | None]:
    """What to work on; a method without pictures has one item, which is None."""
    if "_images" not in options:
        return [None]
    pictures = find_pictures(options["_images"], leave_out=output.folder if output else None)
    if not pictures:
        raise click.UsageError("no pictures in " + ", ".join(f"'{readable(path)}'" for path in options["_images"]))
    return list(pictures)
