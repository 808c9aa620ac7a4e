"""What a model file may cost, and whose classes it may name. Knows no settings: whoever composes hands them in."""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class ModelFileLimits:
    """Each with the largest honest file met: those of `keras.applications` and some that people share.

    config_bytes, config_entries: the JSON and what stands in it (NASNetMobile: 0.8 MB, 48,000 entries).
    layers: calls of layers, nested models counted as often as they are called (InceptionResNetV2: 782).
    build_calls: calls that Keras makes until the network stands; a Sequential is built anew with each layer.
    name_length: characters of a name, or of any other text.
    expansion: how often a file's bytes may be unpacked; Keras packs nothing.
    weight_bytes: what Keras would hold (ConvNeXtXLarge: 1.4 GB).
    input_numbers: of one picture (600 x 600 x 3 in EfficientNetB7: 1.1 million).
    operations: floating point, of one pass with one picture (ConvNeXtXLarge: 121 billion).
    tensor_bytes: of the widest layer of that pass (EfficientNetB7: 70 MB).
    trusted_packages: those whose classes may be named beside Keras's.
    """

    config_bytes: int = 4 * 2**20
    config_entries: int = 500_000
    layers: int = 5_000
    build_calls: int = 50_000
    name_length: int = 256
    expansion: int = 20
    weight_bytes: int = 2**32
    input_numbers: int = 2**26
    operations: int = 10**12
    tensor_bytes: int = 2**30
    trusted_packages: tuple[str, ...] = ()


MODEL_FILE_LIMITS: Final = ModelFileLimits()


@dataclass(frozen=True)
class Stored:
    """The arrays of a model file: how many numbers, by what the file declares and has the bytes for."""

    numbers: int = 0
    # Not in a file of another's making: what Keras adds of its own, such as the state of random layers.
    spare: int = field(default=2**18, repr=False)

    def holds(self, numbers: int) -> bool:
        """Whether a network of so many weights can come from this file."""
        return numbers <= self.numbers + self.spare


def shown(name: object) -> str:
    """A name out of a model file, short and on one line, as a sentence can hold it."""
    text = name if isinstance(name, str) else type(name).__name__
    clipped = text[:80].encode("unicode_escape").decode("ascii")[:120]
    return clipped + "…" if len(text) > 80 else clipped
