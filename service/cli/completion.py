"""What the shell completes beside click's own files and choices: names of models."""

import click
from click.shell_completion import CompletionItem

from service.cli.backends import read_settings
from service.composition.models import open_catalog


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The models at hand whose names begin so. Loads none; looks at folders alone."""
    try:
        catalog = open_catalog(read_settings())
    except click.ClickException:
        # A shell that completes has no place for an error.
        return []
    names = catalog.names()
    catalog.close()
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
