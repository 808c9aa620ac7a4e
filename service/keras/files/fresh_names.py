"""Networks whose layers have the same names every time: Keras counts the names that it gives (`add_17`) per thread."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import keras


def with_fresh_names(build: Callable[[], keras.Model]) -> keras.Model:
    """What `build` returns, of a thread of its own, in which nothing has a name yet."""
    with ThreadPoolExecutor(1, thread_name_prefix="builder") as thread:
        return thread.submit(build).result()
