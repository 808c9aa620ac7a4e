"""Keras's settings, which belong to the whole process: no model may change them for those that are loaded after it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import keras
from keras.src.backend.common import global_state

from service.errors import ModelFailedError

_SAFE_MODE: Final = "safe_mode_saving"


class _Setting(NamedTuple):
    name: str
    read: Callable[[], object]
    # Takes what `read` gave.
    write: Callable[[Any], None]


def _switch(name: str) -> _Setting:
    """One that has a function to turn it on and one to turn it off."""
    config = keras.config
    turn = {True: getattr(config, f"enable_{name}"), False: getattr(config, f"disable_{name}")}
    return _Setting(name, getattr(config, f"is_{name}_enabled"), lambda value: turn[value]())


def _write_custom_objects(known: dict[str, object]) -> None:
    objects = keras.saving.get_custom_objects()
    objects.clear()
    objects.update(known)


def _write_safe_mode(value: object) -> None:
    global_state.set_global_attribute(_SAFE_MODE, value)


_SETTINGS: Final = (
    _Setting("floatx", keras.config.floatx, keras.config.set_floatx),
    _Setting("epsilon", keras.config.epsilon, keras.config.set_epsilon),
    _Setting("image_data_format", keras.config.image_data_format, keras.config.set_image_data_format),
    _Setting("dtype_policy", keras.config.dtype_policy, keras.config.set_dtype_policy),
    _Setting("max_epochs", keras.config.max_epochs, keras.config.set_max_epochs),
    _Setting("max_steps_per_epoch", keras.config.max_steps_per_epoch, keras.config.set_max_steps_per_epoch),
    _Setting("custom_objects", lambda: dict(keras.saving.get_custom_objects()), _write_custom_objects),
    # Whether a Lambda may run, which stays as a file has left it; Keras shows it nowhere.
    _Setting("safe_mode", lambda: global_state.get_global_attribute(_SAFE_MODE), _write_safe_mode),
    *map(_switch, ("traceback_filtering", "interactive_logging")),
)


@contextmanager
def unchanged_settings(what: str = "loading the file", *, but: str = "") -> Iterator[None]:
    """Put back whatever the block changes, but for one setting. Raises ModelFailedError where it did."""
    settings = [setting for setting in _SETTINGS if setting.name != but]
    before = {setting.name: setting.read() for setting in settings}
    try:
        yield
    finally:
        changed = [setting for setting in settings if setting.read() != before[setting.name]]
        for setting in changed:
            setting.write(before[setting.name])
    if changed:
        names = ", ".join(setting.name for setting in changed)
        raise ModelFailedError(
            f"{what} changed Keras's settings of this process ({names}), which are those of all models"
        )
