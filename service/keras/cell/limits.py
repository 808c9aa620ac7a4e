"""What a cell may use, set by the cell itself before it reads a stranger's byte. Imports the standard library alone."""

import ctypes
import errno
import platform
import resource
import signal
import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

# Opened by Python, TensorFlow and HDF5 are a dozen.
_OPEN_FILES: Final = 64
# linux/prctl.h and linux/seccomp.h
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_SECCOMP_SET_MODE_FILTER, _SECCOMP_GET_ACTION_AVAIL, _SECCOMP_FILTER_FLAG_TSYNC = 1, 2, 1
# To go on; to answer EPERM, by its number in the low bits; to end the process.
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000
# Of the 32-bit calls on x86-64, which have numbers of their own.
_X32: Final = 0x40000000
# linux/bpf_common.h: load a word; jump if equal, if greater or equal; return.
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x35, 0x06


class _System(NamedTuple):
    """Numbers of a machine: its name in audits, `seccomp`, and the calls that are refused."""

    audit: int
    seccomp: int
    refused: tuple[int, ...]


# In this order: socket, execve, execveat, ptrace, kill, process_vm_readv, process_vm_writev, io_uring_setup (which
# makes sockets too), pidfd_open, pidfd_getfd.
_SYSTEMS: Final = {
    "x86_64": _System(0xC000003E, 317, (41, 59, 322, 101, 62, 310, 311, 425, 434, 438)),
    "aarch64": _System(0xC00000B7, 277, (198, 221, 281, 117, 129, 270, 271, 425, 434, 438)),
}


@dataclass(frozen=True)
class CellLimits:
    """Each with what importing TensorFlow takes: half a gigabyte and some seconds."""

    memory_bytes: int = 2**33
    processor_seconds: int = 600
    seconds: float = 300.0


def can_close_network() -> bool:
    """Whether this system lets a process give up sockets without privileges."""
    system = _system()
    if system is None:
        return False
    action = ctypes.c_uint32(_REFUSE & ~errno.EPERM)
    return _libc().syscall(system.seccomp, _SECCOMP_GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0


def end_with_parent() -> None:
    """Have the system end this process when the one that started it ends; HDF5 may be in a loop by then."""
    if platform.system() == "Linux":
        _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def confine(limits: CellLimits, *, file_bytes: int) -> None:
    """Bound this process for good; no file that it writes is larger than `file_bytes`. Raises OSError."""
    # What is written to alone: of the address space TensorFlow reserves gigabytes that it never touches.
    _bound(resource.RLIMIT_DATA, limits.memory_bytes)
    # The signal comes at the first limit, and cannot be left unheard at the second.
    _bound(resource.RLIMIT_CPU, limits.processor_seconds, limits.processor_seconds + 1)
    _bound(resource.RLIMIT_FSIZE, file_bytes)
    _bound(resource.RLIMIT_NOFILE, _OPEN_FILES)
    _bound(resource.RLIMIT_CORE, 0)
    if can_close_network():
        _refuse_calls()


def _bound(kind: int, soft: int, hard: int | None = None) -> None:
    known = resource.getrlimit(kind)[1]
    most = soft if hard is None else hard
    if known != resource.RLIM_INFINITY:
        soft, most = min(soft, known), min(most, known)
    resource.setrlimit(kind, (soft, most))


def _refuse_calls() -> None:
    """No network, no program, no other process: for every thread of this process, and without a way back."""
    system = _system()
    assert system is not None, "it was asked before"
    # The machine's name stands at byte 4 of what a filter sees, the call's number at byte 0.
    steps = [_step(_LOAD, 4), _step(_JUMP_EQUAL, system.audit, skip_else=len(system.refused) + 4), _step(_LOAD, 0)]
    for place, number in enumerate((_X32, *system.refused)):
        left = len(system.refused) - place
        steps.append(_step(_JUMP_EQUAL if place else _JUMP_GREATER, number, skip=left + 1))
    steps += [_step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE), _step(_RETURN, _KILL)]
    program = ctypes.create_string_buffer(b"".join(steps))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(steps), ctypes.addressof(program)))
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        system.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, head
    ):
        raise OSError(ctypes.get_errno(), "the cell cannot give up the network")


def _step(code: int, value: int, *, skip: int = 0, skip_else: int = 0) -> bytes:
    return struct.pack("HBBI", code, skip, skip_else, value)


def _system() -> _System | None:
    return _SYSTEMS.get(platform.machine()) if platform.system() == "Linux" else None


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
