"""The committed list of names that a model file may use (`names.toml`), by kind and by place. Imports no Keras."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal

# What a value of a configuration is there for; "data" are plain values, which name nothing. "any" is what a class of
# somebody's own is given under a name of its own: data, or an object of whatever kind.
Place = Literal[
    "model",
    "layer",
    "activation",
    "initializer",
    "regularizer",
    "constraint",
    "policy",
    "quantizer",
    "seed",
    "tensors",
    "data",
    "any",
]

# The kinds whose objects may stand in a place.
_KINDS: Final[dict[Place, tuple[str, ...]]] = {
    "model": ("models",),
    "layer": ("models", "layers", "operations"),
    "activation": (),
    "initializer": ("initializers",),
    "regularizer": ("regularizers",),
    "constraint": ("constraints",),
    "policy": ("policies",),
    "quantizer": ("quantizers",),
    "seed": ("seeds",),
    "tensors": (),
    "data": (),
    "any": ("models", "layers", "operations", "initializers", "regularizers", "constraints", "policies", "seeds"),
}
# The kinds that a text may name in a place; where there are none, it is plain text.
_TEXTS: Final[dict[Place, str]] = {
    "activation": "activations",
    "initializer": "initializers",
    "regularizer": "regularizers",
    "constraint": "constraints",
    "policy": "dtypes",
}
# Layers that are activations: `Conv2D(8, 3, activation=LeakyReLU())`.
_ACTIVATION_LAYERS: Final = ("Activation", "ELU", "Identity", "LeakyReLU", "PReLU", "ReLU", "Softmax")
# Where Keras finds an activation by its name; `builtins` is what it writes for its own.
_ACTIVATION_MODULES: Final = ("builtins", "keras.activations", "keras.ops", "keras.ops.nn")
_NOT_EXPORTED: Final = ("keras.src.ops.", "keras.src.applications.")
# Texts that name a policy, beside the dtypes.
_POLICIES: Final = ("mixed_float16", "mixed_bfloat16")
_QUANTIZED: Final = ("int8", "int4", "float8")


@dataclass(frozen=True)
class AllowedNames:
    """`objects` are (module, class name) by place, `texts` what a text may say there, `functions` (module, name).

    `operations` are names of classes.
    """

    objects: dict[Place, frozenset[tuple[str, str]]]
    texts: dict[Place, frozenset[str]]
    functions: frozenset[tuple[str, str]]
    dtypes: frozenset[str]
    operations: frozenset[str]

    def has_object(self, place: Place, module: str | None, name: str) -> bool:
        """`module` is None in HDF5 files, where Keras looks for a name by the place that it stands in."""
        if module is None:
            return name in self._without_module(place)
        return (module, name) in self.objects[place]

    def has_text(self, place: Place, text: str) -> bool:
        """Whether a text may stand there: any may where none names anything."""
        allowed = self.texts.get(place)
        return allowed is None or text in allowed

    def _without_module(self, place: Place) -> frozenset[str]:
        # What is not exported is not found without its module: for an operation, Keras would take a layer of its name.
        names = frozenset(name for module, name in self.objects[place] if not module.startswith(_NOT_EXPORTED))
        return names | self.texts.get(place, frozenset()) if place != "policy" else names


@cache
def allowed_names() -> AllowedNames:
    """The list as it stands in `names.toml`."""
    kinds = _read()["allowed"]
    objects: dict[Place, frozenset[tuple[str, str]]] = {
        place: frozenset(
            (module, name) for kind in names for module, listed in kinds[kind].items() if module for name in listed
        )
        for place, names in _KINDS.items()
    }
    objects["activation"] = frozenset(("keras.layers", name) for name in _ACTIVATION_LAYERS)
    activations = kinds["activations"][""]
    dtypes = frozenset(kinds["dtypes"][""])
    texts = {place: frozenset(kinds[kind][""]) for place, kind in _TEXTS.items()}
    policies = (*dtypes, *_POLICIES)
    texts["policy"] |= {*policies, *(f"{mode}_from_{source}" for mode in _QUANTIZED for source in policies)}
    functions = frozenset((module, name) for module in _ACTIVATION_MODULES for name in activations)
    operations = frozenset(name for listed in kinds["operations"].values() for name in listed)
    return AllowedNames(objects, texts, functions, dtypes, operations)


@cache
def all_names() -> frozenset[str]:
    """Whatever Keras has a class or function for, allowed or refused, by its bare name."""
    kinds = [kind for decision in _read().values() for kind in decision.values()]
    return frozenset(name for kind in kinds for listed in kind.values() for name in listed)


def _read() -> dict[str, dict[str, dict[str, list[str]]]]:
    """Decision to kind to module to names."""
    return tomllib.loads(files(__package__).joinpath("names.toml").read_text(encoding="utf-8"))
