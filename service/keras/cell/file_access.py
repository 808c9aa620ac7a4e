"""Which files a cell may open, by Landlock of Linux: Python's and the system's modules, the model's own, its folder.

Set by the cell itself, for good, and without privileges. Imports the standard library alone.
"""

import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Self

# linux/landlock.h; the three calls have the same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_PR_SET_NO_NEW_PRIVS: Final = 38
# Rights by their bits: all that version 1 knows, and what later versions add.
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_FILE, _MAKE_LINK = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
_REFER, _TRUNCATE, _DEVICE_COMMANDS = 1 << 13, 1 << 14, 1 << 15
_BY_VERSION: Final = ((1, (1 << 13) - 1), (2, _REFER), (3, _TRUNCATE), (5, _DEVICE_COMMANDS))
# Nor may it send a signal to, or ask by an abstract socket, what is outside.
_SCOPES, _SCOPES_SINCE = 0b11, 6
_READ: Final = _READ_FILE | _READ_DIR
_OF_FILES: Final = _READ_FILE | _WRITE_FILE | _TRUNCATE
_OWN: Final = _OF_FILES | _READ_DIR | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_FILE | _MAKE_LINK | _REFER
# What libraries of the system lie in, and what they ask of the machine. None of it is anybody's own.
_SYSTEM: Final = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime"),
    *("/usr/share/zoneinfo", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random", "/dev/zero", "/nix/store", "/gnu/store"),
)
_SINK: Final = "/dev/null"


def can_bound_files() -> bool:
    """Whether this system lets a process give up files without privileges."""
    return _version() > 0


def bound_files(room: Path, files: Iterable[int]) -> None:
    """From now on open nothing but modules, `files` (descriptors) to read, and what is in the folder `room`.

    Holds for the thread that asks and those that it starts, so it has to be the only one. Raises OSError.
    """
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise OSError("the cell has threads before its files are bounded")
    rights = _rights()
    with _Ruleset(rights) as ruleset:
        libraries = filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep))
        for place in (*map(Path, (*_SYSTEM, *libraries)), *_module_places()):
            ruleset.allow(place, _READ)
        for place in _listed_places():
            ruleset.allow(place, _READ_DIR)
        ruleset.allow(Path(_SINK), _READ_FILE | _WRITE_FILE)
        ruleset.allow(room, _OWN)
        for file in files:
            ruleset.allow_open(file, _READ_FILE)
        ruleset.restrict()


def _module_places() -> Iterator[Path]:
    """Python's own and installed modules; of other folders that modules are looked for in, the modules alone."""
    installed = [Path(prefix).resolve() for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix}]
    yield from installed
    for place in _listed_places():
        if not place.is_dir():
            yield place
        elif not any(place.resolve().is_relative_to(prefix) for prefix in installed):
            yield from (item for item in place.iterdir() if _is_module(item))


def _listed_places() -> list[Path]:
    """Where modules are looked for. A folder's names have to be read for that, in it and below."""
    # An editable installation has its folder nowhere else.
    package = Path(__file__).parents[3]
    return [place for place in {package, *map(Path, sys.path)} if place.is_absolute() and place.exists()]


def _is_module(item: Path) -> bool:
    return item.suffix in (".py", ".so", ".pyc") or (item / "__init__.py").exists()


class _Ruleset:
    """The system's list of what stays allowed; all else among `rights` is refused once it restricts."""

    def __init__(self, rights: int) -> None:
        self._rights = rights
        scopes = _SCOPES if _version() >= _SCOPES_SINCE else 0
        # What a system does not know yet has to be zero.
        attributes = ctypes.create_string_buffer(struct.pack("QQQ", rights, 0, scopes), 24)
        self._descriptor = _call(_CREATE_RULESET, attributes, 24, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def allow(self, place: Path, rights: int) -> None:
        """Nothing where there is no such place."""
        try:
            descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self.allow_open(descriptor, rights if place.is_dir() else rights & _OF_FILES)
        finally:
            os.close(descriptor)

    def allow_open(self, descriptor: int, rights: int) -> None:
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights & self._rights, descriptor), 12)
        _call(_ADD_RULE, self._descriptor, _PATH_BENEATH, rule, 0)

    def restrict(self) -> None:
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "the cell cannot give up privileges")
        _call(_RESTRICT_SELF, self._descriptor, 0)


def _rights() -> int:
    """All that this system can refuse."""
    version, rights = _version(), 0
    for since, more in _BY_VERSION:
        rights |= more if version >= since else 0
    return rights


def _version() -> int:
    """0 where there is no Landlock, or it is switched off."""
    if platform.system() != "Linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)))


def _call(number: int, *arguments: object) -> int:
    answer = int(_libc().syscall(number, *arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"the cell cannot give up files ({number})")
    return answer


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
