"""The packages that the operator trusts, imported; which of their classes a model file may name.

A class has to be the package's own, and of a kind that a network is made of. Functions are none, nor is what the
package has from elsewhere.
"""

import errno
import importlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Any, Final, NamedTuple

import keras

from service.errors import ModelFailedError
from service.keras.files.admission.allowed_names import Place, all_names
from service.keras.files.admission.trusted_names import InModule, Registered, TrustedNames
from service.keras.files.keras_settings import unchanged_settings

# Most special first: a model is a layer as well.
_BASES: Final[dict[type, tuple[Place, ...]]] = {
    keras.Model: ("model", "layer"),
    keras.Layer: ("layer",),
    keras.Initializer: ("initializer",),
    keras.Regularizer: ("regularizer",),
    keras.constraints.Constraint: ("constraint",),
}
# What is made of these runs code that came with the file, or reads files that it names: whoever's class it is.
_NEVER: Final = (
    *("Lambda", "TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper"),
    *("IntegerLookup", "StringLookup", "TextVectorization"),
    # KerasHub's, whose vocabulary may be a path.
    "Tokenizer",
)
_LOCK: Final = Lock()


class _Found(NamedTuple):
    """What a trusted package came to, or why it cannot be imported."""

    names: TrustedNames
    fault: str | None = None


def import_trusted(packages: tuple[str, ...]) -> TrustedNames:
    """Import them, once in a process, and tell their classes. Raises ModelFailedError.

    To be called before anything is loaded: an import registers classes, which a load may not.
    """
    with _LOCK:
        found = _import(packages)
    if found.fault is not None:
        # By its cause the load journal knows that the file is not at fault.
        raise ModelFailedError(found.fault) from OSError(errno.EAGAIN, "the package")
    return found.names


def custom_objects(told: Iterable[InModule]) -> dict[str, type]:
    """Classes that are not registered, as Keras is told of them. Raises ModelFailedError."""
    objects: dict[str, type] = {}
    for module, name in sorted(told):
        if name in objects:
            raise ModelFailedError(
                f"the file names two classes '{name}' of different modules: register them with "
                "keras.saving.register_keras_serializable, and save the model again"
            )
        objects[name] = getattr(sys.modules[module], name)
    return objects


@cache
def _import(packages: tuple[str, ...]) -> _Found:
    if not packages:
        return _Found(TrustedNames())
    for package in packages:
        try:
            with unchanged_settings(f"importing '{package}'", but="custom_objects"):
                importlib.import_module(package)
        except (Exception, SystemExit) as error:  # noqa: BLE001 -- a module may raise anything
            reason = error.detail if isinstance(error, ModelFailedError) else f"{type(error).__name__}: {error}"
            return _Found(
                TrustedNames(),
                f"the trusted package '{package}' cannot be imported ({reason}): mend it, or leave it out of "
                "CONVSCOPE_TRUSTED_PACKAGES, and start again",
            )
    objects = keras.saving.get_custom_objects()
    if shadowing := sorted(name for name in objects if name in all_names()):
        return _Found(
            TrustedNames(),
            f"a trusted package registers '{shadowing[0]}', a name of Keras's own, which every other model would get: "
            "register it with keras.saving.register_keras_serializable, under the package's name",
        )
    return _Found(_collect(packages, objects))


def _collect(packages: tuple[str, ...], objects: dict[str, Any]) -> TrustedNames:
    registered: defaultdict[Place, set[Registered]] = defaultdict(set)
    in_modules: defaultdict[Place, set[InModule]] = defaultdict(set)
    for name, kind in objects.items():
        if _is_within(getattr(kind, "__module__", None), packages):
            for place in _places(kind):
                registered[place].add(Registered(kind.__module__.partition(".")[0], kind.__name__, name))
    for module in _modules(packages):
        for kind in _own_classes(module):
            # A name that Keras has itself would come to mean another class.
            if keras.saving.get_registered_name(kind) == kind.__name__ and kind.__name__ not in all_names():
                for place in _places(kind):
                    in_modules[place].add(InModule(module.__name__, kind.__name__))
    return TrustedNames(
        {place: frozenset(names) for place, names in registered.items()},
        {place: frozenset(names) for place, names in in_modules.items()},
        frozenset(objects),
    )


def _places(kind: object) -> tuple[Place, ...]:
    """Where an object of a class may stand; nowhere, if it is no class that a network is made of."""
    if not isinstance(kind, type) or any(base.__name__ in _NEVER for base in kind.__mro__):
        return ()
    return next((places for base, places in _BASES.items() if issubclass(kind, base)), ())


def _modules(packages: tuple[str, ...]) -> Iterator[ModuleType]:
    """Those that the packages have imported: none is imported because a file names it."""
    for name, module in sorted(sys.modules.items()):
        if _is_within(name, packages) and isinstance(module, ModuleType):
            yield module


def _own_classes(module: ModuleType) -> Iterator[type]:
    for name, value in vars(module).items():
        if isinstance(value, type) and value.__module__ == module.__name__ and value.__name__ == name:
            yield value


def _is_within(module: object, packages: tuple[str, ...]) -> bool:
    return isinstance(module, str) and any(module == each or module.startswith(f"{each}.") for each in packages)
