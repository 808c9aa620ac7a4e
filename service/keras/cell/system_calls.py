"""Which system calls a cell may make, by a seccomp filter of Linux. Imports the standard library alone."""

import ctypes
import errno
import platform
import struct
from typing import Final, NamedTuple

# linux/prctl.h and linux/seccomp.h
_PR_SET_NO_NEW_PRIVS: Final = 38
_SET_MODE_FILTER, _GET_ACTION_AVAIL, _FILTER_FLAG_TSYNC = 1, 2, 1
# To go on; to answer that it is not permitted, or that there is no such call; to end the process.
_ERRNO: Final = 0x00050000
_ANSWERS: Final = {
    "allow": 0x7FFF0000,
    "refuse": _ERRNO | errno.EPERM,
    "absent": _ERRNO | errno.ENOSYS,
    "kill": 0x80000000,
}
# Of the 32-bit calls on x86-64, which have numbers of their own.
_X32: Final = 0x40000000
# linux/bpf_common.h: load a word; jump if equal, if greater or equal, if a bit is set; return.
_LOAD, _IF_EQUAL, _IF_NOT_LESS, _IF_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Where a filter sees the call's number, the machine's name, and the lower half of the first argument.
_NUMBER, _MACHINE, _FIRST_ARGUMENT = 0, 4, 16
# linux/sched.h: a thread; any new namespace.
_THREAD, _NAMESPACES = 0x00010000, 0x7E020000

# On x86-64 and ARM64 (asm/unistd_64.h, asm-generic/unistd.h): what reaches the network, programs and other processes,
# and what neither Python nor TensorFlow needs of the parts of a kernel that had most of its faults.
REFUSED: Final = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "kill": (62, 129),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "pidfd_send_signal": (424, 424),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsmount": (432, 432),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
}
_CLONE: Final = (56, 220)
# Whose flags lie in memory, where no filter sees them. The C library then takes `clone`.
_CLONE3: Final = 435


class _Machine(NamedTuple):
    """Its name in audits, the number of `seccomp`, and its column above."""

    audit: int
    seccomp: int
    column: int


_MACHINES: Final = {"x86_64": _Machine(0xC000003E, 317, 0), "aarch64": _Machine(0xC00000B7, 277, 1)}


class _Step(NamedTuple):
    """`then` and `otherwise`: the answer to go to; None for the next step."""

    code: int
    value: int
    then: str | None = None
    otherwise: str | None = None


def can_filter_calls() -> bool:
    """Whether this system lets a process give up calls without privileges."""
    machine = _machine()
    if machine is None:
        return False
    action = ctypes.c_uint32(_ERRNO)
    return _libc().syscall(machine.seccomp, _GET_ACTION_AVAIL, 0, ctypes.byref(action)) == 0


def refuse_calls() -> None:
    """No network, program, other process or namespace: for every thread of this process, and without a way back."""
    machine = _machine()
    assert machine is not None, "it was asked before"
    program = _assemble(_steps(machine))
    length = len(program) // 8
    buffer = ctypes.create_string_buffer(program)
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", length, ctypes.addressof(buffer)))
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(
        machine.seccomp, _SET_MODE_FILTER, _FILTER_FLAG_TSYNC, head
    ):
        raise OSError(ctypes.get_errno(), "the cell cannot give up the network")


def _steps(machine: _Machine) -> list[_Step]:
    numbers = [numbers[machine.column] for numbers in REFUSED.values()]
    return [
        _Step(_LOAD, _MACHINE),
        _Step(_IF_EQUAL, machine.audit, otherwise="kill"),
        _Step(_LOAD, _NUMBER),
        _Step(_IF_NOT_LESS, _X32, then="refuse"),
        *(_Step(_IF_EQUAL, number, then="refuse") for number in numbers if number is not None),
        _Step(_IF_EQUAL, _CLONE3, then="absent"),
        _Step(_IF_EQUAL, _CLONE[machine.column], otherwise="allow"),
        # Another thread, which shares this process's limits.
        _Step(_LOAD, _FIRST_ARGUMENT),
        _Step(_IF_SET, _NAMESPACES, then="refuse"),
        _Step(_IF_SET, _THREAD, then="allow", otherwise="refuse"),
    ]


def _assemble(steps: list[_Step]) -> bytes:
    """The steps, and the answers behind them."""
    places = {answer: len(steps) + number for number, answer in enumerate(_ANSWERS)}

    def skip(place: int, answer: str | None) -> int:
        return 0 if answer is None else places[answer] - place - 1

    parts = [
        struct.pack("HBBI", step.code, skip(place, step.then), skip(place, step.otherwise), step.value)
        for place, step in enumerate(steps)
    ]
    parts += [struct.pack("HBBI", _RETURN, 0, 0, answer) for answer in _ANSWERS.values()]
    return b"".join(parts)


def _machine() -> _Machine | None:
    return _MACHINES.get(platform.machine()) if platform.system() == "Linux" else None


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
