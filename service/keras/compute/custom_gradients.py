"""Lets go of the graphs that TensorFlow keeps for good: of every operation with a gradient of its own, such as silu.

It registers such a gradient by a new name in each graph, never to be removed, and with it the graph. Only while a graph
is differentiated is the name looked up; here it is forgotten when no graph is being traced any more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from tensorflow.python.framework.ops import gradient_registry

# As `tf.custom_gradient` names them.
_PREFIX = "CustomGradient-"
_lock = Lock()
_tracing = 0


@contextmanager
def forgotten_gradients() -> Iterator[None]:
    """Around tracing. There is no public way to do so: a test counts the graphs that stay."""
    global _tracing  # noqa: PLW0603 - the registry is one for the process
    with _lock:
        _tracing += 1
    try:
        yield
    finally:
        with _lock:
            _tracing -= 1
            if not _tracing:
                # Another thread may be building layers, which registers names and looks none up.
                for name in list(gradient_registry.list()):
                    if name.startswith(_PREFIX):
                        gradient_registry._registry.pop(name, None)
