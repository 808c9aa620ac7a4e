"""What runs in a cell: limits first, then the file. `python -m service.keras.cell.entry`."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from service.engine.ports.overrides import Overrides
from service.errors import ModelFailedError
from service.keras.cell.limits import confine, end_with_parent
from service.keras.cell.parcel import CellRequest, Contents, OpenFile, Refusal, write_parcel

if TYPE_CHECKING:
    import keras

# What a mended copy, or a parcel, may be larger than the file.
_SPARE_BYTES: Final = 2**26

Read = Callable[[Path, Overrides, CellRequest], tuple[Contents, Iterator[bytes]]]


def run(read: Read) -> None:
    """Answer the request on standard input. `read` is `read_network`, but in tests of what else may happen."""
    end_with_parent()
    request = CellRequest.model_validate_json(sys.stdin.buffer.read())
    if os.getppid() != request.parent:
        # It ended before the system was asked to tell.
        return
    size = sum(file.size for file in request.files)
    confine(
        request.cell_limits,
        files=[file.descriptor for file in request.files],
        file_bytes=size + request.model_limits.weight_bytes + _SPARE_BYTES,
    )
    with os.fdopen(request.output, "r+b") as output:
        _answer(read, request, output)


def read_network(path: Path, overrides: Overrides, request: CellRequest) -> tuple[Contents, Iterator[bytes]]:
    """Read, mend, check and run a file's network; what it is made of. Raises ModelFailedError."""
    # Not at the top: NumPy starts threads, which no bound on files would hold for.
    from service.keras.files.archive import inspect
    from service.keras.files.presets import inspect_preset

    limits = request.model_limits
    # Most of what is refused is refused here; TensorFlow takes seconds.
    (inspect_preset if path.is_dir() else inspect)(path, limits)
    from service.keras.cell.building import take_apart
    from service.keras.compute.tuning import UNTUNED
    from service.keras.files.admission.trusted_classes import import_trusted
    from service.keras.files.keras_settings import unchanged_settings
    from service.keras.files.loading import configure_devices, open_files, prove

    configure_devices(request.threads)
    import_trusted(limits.trusted_packages)
    with unchanged_settings():
        opened = open_files(path, overrides, limits)
        prove(opened.network, opened.overrides, tuning=UNTUNED, limits=limits)
        contents = take_apart(opened.network, limits)
    return (
        contents.model_copy(update={"repairs": opened.repairs, "latent_layer": opened.overrides.latent_layer}),
        _arrays(opened.network),
    )


def _answer(read: Read, request: CellRequest, output: BinaryIO) -> None:
    # A file of each place, or the folder of a preset.
    paths = list({file.place: _name(file) for file in request.files}.values())
    overrides = replace(request.overrides, decoder=paths[1] if paths[1:] else None)
    try:
        contents, arrays = read(paths[0], overrides, request)
        write_parcel(output, contents, arrays)
    except ModelFailedError as error:
        write_parcel(output, Refusal(reason=error.detail, passing=_passes(error)))
    except MemoryError:
        most = request.cell_limits.memory_bytes
        reason = f"loading takes more than {most} bytes of memory (CONVSCOPE_LIMITS__CELL_MEMORY_BYTES)"
        write_parcel(output, Refusal(reason=reason, passing=True))
    except Exception as error:  # noqa: BLE001 -- the process's edge
        traceback.print_exc()
        reason = f"loading failed unexpectedly ({type(error).__name__})"
        write_parcel(output, Refusal(reason=reason, passing=True))


def _name(file: OpenFile) -> Path:
    """A path to an open file under its own name, by which Keras tells formats and errors call it; or its folder."""
    folder = Path(str(file.place))
    folder.mkdir(exist_ok=True)
    link = (folder / file.name).absolute()
    link.symlink_to(f"/proc/self/fd/{file.descriptor}")
    return folder.absolute() if file.is_of_preset else link


def _arrays(network: "keras.Model") -> Iterator[bytes]:
    import tensorflow as tf

    for weight in network.weights:
        yield tf.convert_to_tensor(weight.value).numpy().tobytes()


def _passes(error: BaseException | None) -> bool:
    """Whether memory or disk were short, and not the file wrong; damaged HDF5 files have errors without a number."""
    while error is not None:
        short = isinstance(error, OSError) and error.errno is not None
        if short or isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    run(read_network)
