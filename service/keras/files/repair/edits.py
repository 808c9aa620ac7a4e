"""What older Keras wrote otherwise: the edits that make a model's configuration readable to Keras 3, in one table.

Each edit takes one layer's or model's entry of the JSON configuration, changes it in place where it has to, and returns
the names of the layers it changed. Knows no files and imports no Keras.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from service.errors import ModelFailedError
from service.keras.files.entries import Entry, name_of, walk
from service.keras.files.repair import activation_edits, layer_edits, model_edits
from service.keras.files.repair.calls import tensors_among_arguments
from service.keras.files.repair.functions import functions_of_tensorflow
from service.keras.files.repair.keras1 import modernise

Version = tuple[int, ...]
# From which on RandomCrop cuts and resizes at inference as `layer_edits.random_crop` does.
_RANDOM_CROP_SINCE: Version = (2, 7)


class Edit(NamedTuple):
    """`sentence` is shown to users; `{layers}` in it stands for the layers that `mend` changed."""

    sentence: str
    mend: Callable[[Entry], list[str]]


def mend(config: Entry, version: Version) -> tuple[str, ...]:
    """Apply every edit that an old `config` needs, in place, and return a sentence for each.

    `version` is that of the Keras that wrote it. Raises ModelFailedError for what it computed otherwise than any edit.
    """
    if version < _RANDOM_CROP_SINCE:
        for entry in walk(config):
            if entry.get("class_name") == "RandomCrop":
                raise ModelFailedError(
                    f"layer '{name_of(entry)}' is a RandomCrop as it was before Keras 2.7, which Keras 3 has not. "
                    "Put a Resizing or CenterCrop layer in its place and save the model again"
                )
    return _apply(EDITS, config)


def mend_archive(config: Entry) -> tuple[str, ...]:
    """The same for the configuration of a `.keras` archive of Keras 3."""
    return _apply(ARCHIVE_EDITS, config)


def mend_old_archive(config: Entry, version: Version) -> tuple[str, ...]:
    """The same for the configuration of a `.keras` archive of Keras 2."""
    model_edits.note_classes(config)
    repairs = mend_archive(config) + mend(config, version)
    return repairs + _apply(OLD_ARCHIVE_EDITS, config)


def _apply(edits: Iterable[Edit], config: Entry) -> tuple[str, ...]:
    changed = ((edit, [name for entry in walk(config) for name in edit.mend(entry)]) for edit in edits)
    return tuple(edit.sentence.format(layers=_enumerate(names)) for edit, names in changed if names)


# What Keras 3 writes and is not to read: a network's optimizer, losses and metrics, which may be anybody's code.
ARCHIVE_EDITS = (
    Edit("training settings of models within the model were left out: {layers}", model_edits.training_settings),
)
# In this order: the first makes every layer reachable, names change when nothing looks for them any more, calls last.
EDITS = (
    Edit("the Sequential's list of layers was given the form that Keras 3 reads", model_edits.sequential_as_list),
    Edit("Keras 1's names of layers and arguments were translated: {layers}", modernise),
    Edit("module names of Keras 2.13 to 2.15 were dropped: {layers}", model_edits.module_names),
    Edit("layers were given the name that Keras 3 has for them: {layers}", layer_edits.old_class),
    Edit(
        "layers of keras.applications were given the module that Keras 3 has them in: {layers}", layer_edits.application
    ),
    Edit("layers that change a picture's size in training alone were left out: {layers}", layer_edits.random_sizes),
    Edit(
        "RandomCrop cuts and resizes at inference as in Keras 2: Resizing stands in its place: {layers}",
        layer_edits.random_crop,
    ),
    Edit("arguments that Keras 3 no longer takes were dropped: {layers}", layer_edits.obsolete_arguments),
    Edit("numbers written as NumPy arrays were read as numbers: {layers}", layer_edits.numpy_scalars),
    Edit("the dtype of initializers was dropped: {layers}", layer_edits.typed_initializers),
    Edit(
        "initializers of TensorFlow were replaced by those of Keras: {layers}", layer_edits.initializers_of_tensorflow
    ),
    Edit("layers over several axes were marked, so that Keras 3 sees all of them: {layers}", layer_edits.several_axes),
    Edit("texts that Keras 3 would take for functions were marked: {layers}", layer_edits.names_of_functions),
    Edit(
        "layers within others were given the module that Keras 3 looks for them in: {layers}", layer_edits.held_layers
    ),
    Edit("mixed-precision policies were replaced by their names: {layers}", layer_edits.precision_policy),
    Edit("the input shape stands in an InputLayer instead of a layer: {layers}", model_edits.input_shape_on_layer),
    Edit(
        "the single input or output of a nested model was taken out of its list: {layers}",
        model_edits.ends_of_nested_models,
    ),
    Edit("calls of nested models were counted from 0 instead of 1: {layers}", model_edits.calls_of_nested_models),
    Edit("'/' in layer names was replaced by '_': {layers}", model_edits.slashes_in_names),
    Edit("TimeDistributed was taken from around hard_sigmoid: {layers}", activation_edits.hard_sigmoid_over_time),
    Edit(
        "hard_sigmoid rises by 1/5 as in Keras 2, not by 1/6 as in Keras 3: a Rescaling by 1.2 was put before {layers}",
        activation_edits.hard_sigmoid_layers,
    ),
    Edit("functions of TensorFlow were replaced by the same operations of Keras 3: {layers}", functions_of_tensorflow),
    Edit("tensors among the arguments of calls were marked as such: {layers}", tensors_among_arguments),
)
# And these after them.
OLD_ARCHIVE_EDITS = (
    Edit("the model was given the module that Keras 3 has it in: {layers}", model_edits.module_of_model),
)


def _enumerate(names: Iterable[str], shown: int = 3) -> str:
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - shown} more" if len(distinct) > shown else ""
    return ", ".join(f"'{name}'" for name in distinct[:shown]) + more
