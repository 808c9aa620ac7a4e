"""A preset of KerasHub to a network with its weights."""

from pathlib import Path

import keras

from service.errors import ModelFailedError
from service.keras.files.admission.configuration import require_allowed
from service.keras.files.admission.limits import ModelFileLimits
from service.keras.files.admission.trusted_classes import custom_objects, import_trusted
from service.keras.files.admission.weight_budget import WeightBudget
from service.keras.files.fresh_names import with_fresh_names
from service.keras.files.presets import Preset, inspect_preset
from service.keras.files.reasons import first_line
from service.preset_files import TASK_WEIGHTS, WEIGHTS


def open_preset(folder: Path, limits: ModelFileLimits) -> keras.Model:
    """Let Keras build it, once all names in it are known to be allowed. Raises ModelFailedError."""
    preset, trusted = inspect_preset(folder, limits), import_trusted(limits.trusted_packages)
    objects = custom_objects(require_allowed(preset.config, is_archive=True, trusted=trusted))
    budget = WeightBudget(preset.stored, limits)

    def build() -> keras.Model:
        with budget.kept():
            return keras.saving.deserialize_keras_object(preset.config, custom_objects=objects, safe_mode=True)

    try:
        network = with_fresh_names(build)
        _load_weights(network, folder, preset)
    except ModelFailedError:
        raise
    except Exception as error:
        # Keras raises anything at all here.
        raise ModelFailedError(f"Keras cannot load the preset: {first_line(error)}") from error
    return network


def _load_weights(network: keras.Model, folder: Path, preset: Preset) -> None:
    """Keras raises where a layer does not find as many as it has."""
    backbone = getattr(network, "backbone", None) if preset.has_task else network
    if not isinstance(backbone, keras.Model):
        raise ModelFailedError(f"'{type(network).__name__}' has no backbone that the preset's weights could be for")
    backbone.load_weights(folder / WEIGHTS)
    if not preset.has_task:
        return
    if (folder / TASK_WEIGHTS).is_file():
        network.load_task_weights(str(folder / TASK_WEIGHTS))
    elif len(network.weights) != len(backbone.weights):
        raise ModelFailedError(
            f"the preset has no {TASK_WEIGHTS}, so that its head would be random: train it, and save it with "
            "save_to_preset"
        )
