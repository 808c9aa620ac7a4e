"""What a model file may name beside the committed list: classes of packages that the operator trusts.

Imports no Keras, and none of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, NamedTuple, TypeVar

from service.keras.files.admission.allowed_names import Place

_Name = TypeVar("_Name")


class Registered(NamedTuple):
    """A class as Keras knows it once it is registered; `root` is the package that its module lies in."""

    root: str
    class_name: str
    registered_name: str


class InModule(NamedTuple):
    """A class that is not registered."""

    module: str
    class_name: str


@dataclass(frozen=True)
class TrustedNames:
    """Classes by the place where they may stand.

    `resolvable` are all names, of whatever package and kind, that Keras takes a plain text for, wherever it looks.
    """

    registered: Mapping[Place, frozenset[Registered]] = field(default_factory=dict)
    in_modules: Mapping[Place, frozenset[InModule]] = field(default_factory=dict)
    resolvable: frozenset[str] = frozenset()

    def has_object(self, place: Place, entry: Mapping[str, object]) -> bool:
        """Whether an entry names one of the classes that may stand there, and nothing else."""
        module, name, registered = (entry.get(key) for key in ("module", "class_name", "registered_name"))
        if module is None and registered is None:
            # In HDF5 files the registered name is that of the class.
            return name in {each.registered_name for each in _at(self.registered, place)}
        if not isinstance(module, str) or not isinstance(name, str) or not isinstance(registered, str):
            return False
        if registered == name:
            return InModule(module, name) in _at(self.in_modules, place)
        # Where in its package a class lies may change from one release to the next.
        return Registered(module.partition(".")[0], name, registered) in _at(self.registered, place)

    def are_in(self, config: object) -> bool:
        """Whether a configuration names any of the classes."""
        return any(True for _ in self._entries(config))

    def find_in_modules(self, config: object) -> frozenset[InModule]:
        """The classes that a configuration names and that are not registered: Keras has to be told of them."""
        return frozenset(
            InModule(entry["module"], entry["class_name"])
            for entry in self._entries(config)
            if entry.get("registered_name") == entry["class_name"]
        )

    def _entries(self, config: object) -> Iterator[dict[str, str]]:
        waiting = [config] if self.registered or self.in_modules else []
        while waiting:
            value = waiting.pop()
            if isinstance(value, list):
                waiting += value
            elif isinstance(value, dict):
                waiting += value.values()
                if self.has_object("any", value):
                    yield value


NO_TRUSTED_NAMES: Final = TrustedNames()


def _at(names: Mapping[Place, frozenset[_Name]], place: Place) -> frozenset[_Name]:
    return frozenset(chain.from_iterable(names.values())) if place == "any" else names.get(place, frozenset())
