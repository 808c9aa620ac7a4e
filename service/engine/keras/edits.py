"""What older Keras wrote otherwise: the edits that make a model's configuration readable to Keras 3, in one table.

Each edit takes one layer's or model's entry of the JSON configuration, changes it in place where it has to, and returns
the names of the layers it changed. Knows no files and imports no Keras.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from service.engine.keras import layer_edits, model_edits
from service.engine.keras.entries import Entry, walk
from service.engine.keras.keras1 import modernise


class Edit(NamedTuple):
    """`sentence` is shown to users; `{layers}` in it stands for the layers that `mend` changed."""

    sentence: str
    mend: Callable[[Entry], list[str]]


def mend(config: Entry) -> tuple[str, ...]:
    """Apply every edit that an old `config` needs, in place, and return a sentence for each."""
    return _apply(EDITS, config)


def mend_archive(config: Entry) -> tuple[str, ...]:
    """The same for the configuration of a `.keras` archive."""
    return _apply(ARCHIVE_EDITS, config)


def _apply(edits: Iterable[Edit], config: Entry) -> tuple[str, ...]:
    changed = ((edit, [name for entry in walk(config) for name in edit.mend(entry)]) for edit in edits)
    return tuple(edit.sentence.format(layers=_enumerate(names)) for edit, names in changed if names)


# What Keras 3 writes and is not to read: a network's optimizer, losses and metrics, which may be anybody's code.
ARCHIVE_EDITS = (
    Edit("training settings of models within the model were left out: {layers}", model_edits.training_settings),
)
# In this order: the first makes every layer reachable, and names change last.
EDITS = (
    Edit("the Sequential's list of layers was given the form that Keras 3 reads", model_edits.sequential_as_list),
    Edit("Keras 1's names of layers and arguments were translated: {layers}", modernise),
    Edit("module names of Keras 2.13 to 2.15 were dropped: {layers}", model_edits.module_names),
    Edit("layers were given the name that Keras 3 has for them: {layers}", layer_edits.old_class),
    Edit("arguments that Keras 3 no longer takes were dropped: {layers}", layer_edits.obsolete_arguments),
    Edit("numbers written as NumPy arrays were read as numbers: {layers}", layer_edits.numpy_scalars),
    Edit("the dtype of initializers was dropped: {layers}", layer_edits.typed_initializers),
    Edit("layers over several axes were marked, so that Keras 3 sees all of them: {layers}", layer_edits.several_axes),
    Edit("mixed-precision policies were replaced by their names: {layers}", layer_edits.precision_policy),
    Edit("the input shape stands in an InputLayer instead of a layer: {layers}", model_edits.input_shape_on_layer),
    Edit(
        "the single input or output of a nested model was taken out of its list: {layers}",
        model_edits.ends_of_nested_models,
    ),
    Edit("calls of nested models were counted from 0 instead of 1: {layers}", model_edits.calls_of_nested_models),
    Edit("'/' in layer names was replaced by '_': {layers}", model_edits.slashes_in_names),
)


def _enumerate(names: Iterable[str], shown: int = 3) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - shown} more" if len(distinct) > shown else ""
    return ", ".join(f"'{name}'" for name in distinct[:shown]) + more
