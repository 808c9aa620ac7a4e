"""Keeps what TensorFlow's C++ says at import off standard error: since 2.21 no setting does. Imports no TensorFlow."""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

# Information only; warnings and errors begin with W, E or F.
_INFORMATION = re.compile(rb"I\d{4} |WARNING: All log messages before absl::InitializeLog\(\)")
_STANDARD_ERROR = 2
_lock = Lock()


@contextmanager
def filtered_log() -> Iterator[None]:
    """Around `import tensorflow`. What anybody else says meanwhile is said afterwards."""
    with _lock:
        if "tensorflow" in sys.modules:
            yield
            return
        try:
            saved = os.dup(_STANDARD_ERROR)
        except OSError:
            # A process without standard error has nothing to keep clean.
            yield
            return
        with tempfile.TemporaryFile() as held:
            _flush()
            os.dup2(held.fileno(), _STANDARD_ERROR)
            try:
                yield
            finally:
                _flush()
                os.dup2(saved, _STANDARD_ERROR)
                os.close(saved)
                held.seek(0)
                for line in held:
                    if not _INFORMATION.match(line):
                        os.write(_STANDARD_ERROR, line)


def _flush() -> None:
    # None under pythonw and the like.
    if sys.stderr is not None:
        sys.stderr.flush()
