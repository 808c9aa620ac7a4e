"""What a cell may not reach, tried from within one, whose reason tells what was open."""

import ctypes
import errno
import os
import platform
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from service.errors import ModelFailedError
from service.keras.cell.system_calls import REFUSED

# `clone`, and its flags: a thread with all that it shares; a network of its own.
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_THREAD, _NETWORK = 0x00010F00, 0x40000000
_NOT_PERMITTED: Final = (errno.EPERM, errno.EACCES, errno.EXDEV)


def look_around() -> None:
    """Try networks, programs, other processes and namespaces."""
    machine = platform.machine()
    _require_refused(
        {
            "a socket": socket.socket,
            "a signal": lambda: os.kill(os.getppid(), 0),
            "a program": lambda: os.execv("/bin/true", ["true"]),
            "a program of its own": lambda: os.posix_spawn("/bin/true", ["true"], {}),
            "a process": os.fork,
            "a process, as the C library makes one": lambda: _call(_CLONE[machine], signal.SIGCHLD),
            "a thread with a network": lambda: _call(_CLONE[machine], _THREAD | _NETWORK),
            **{
                name: lambda numbers=numbers: _call(numbers[machine == "aarch64"])  # type: ignore[misc] # one each
                for name, numbers in REFUSED.items()
                if numbers[machine == "aarch64"] is not None
            },
        }
    )
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join()
    raise ModelFailedError(f"closed; variables: {' '.join(sorted(os.environ))}")


def look_at_files(file: Path) -> None:
    """Try files. Beside the model there is a folder `other` with another one."""
    model = file.resolve()
    other = model.parent / "other" / "model.keras"
    _require_refused(
        {
            "another model": other.read_bytes,
            "the folder of models": lambda: list(model.parent.iterdir()),
            "a file of the system": Path("/etc/passwd").read_bytes,
            "the parent's memory": Path(f"/proc/{os.getppid()}/maps").read_bytes,
            "the parent's environment": Path(f"/proc/{os.getppid()}/environ").read_bytes,
            "the model, to write": lambda: model.open("r+b"),
            "the model, to remove": model.unlink,
            "the model, to move": lambda: model.rename("moved"),
            "a file beside the model": lambda: (model.parent / "new").write_bytes(b"new"),
            "a file among modules": lambda: Path(os.__file__).with_name("new.py").write_bytes(b"new"),
            "a file in everybody's folder": lambda: Path("/tmp/new").write_bytes(b"new"),
            "a link out": lambda: _linked(other).read_bytes(),
            "another's file under a name of its own": lambda: os.link(other, "in"),
        }
    )
    Path("own").mkdir()
    Path("own/new").write_bytes(b"new")
    Path("own/new").rename("new")
    if not (file.read_bytes() and Path("new").read_bytes()):
        raise ModelFailedError("its own files are empty")
    raise ModelFailedError("bounded")


def _linked(target: Path) -> Path:
    link = Path("out")
    link.symlink_to(target)
    return link


def _require_refused(trials: Mapping[str, Callable[[], object]]) -> None:
    for name, trial in trials.items():
        try:
            trial()
        except OSError as error:
            if error.errno in _NOT_PERMITTED:
                continue
            raise ModelFailedError(f"open: {name}: {error}") from error
        raise ModelFailedError(f"open: {name}")


def _call(number: int, *arguments: int) -> None:
    """With zeros behind the arguments."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments, *[0] * (6 - len(arguments))) < 0:
        raise OSError(ctypes.get_errno(), "refused")
