"""Work on the pictures of a dataset that goes on while other work does; what comes of it is in their order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from service.engine.kinds.context import Batch

# Batches that are in the network at once: one alone leaves a third of a core idle, as its threads wait for each other.
PASSES: Final = 2

T = TypeVar("T")
R = TypeVar("R")


def ahead(threads: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[R]:
    """The function's answers in order, `count` more of them under way."""
    futures: deque[Future[R]] = deque()
    try:
        for item in items:
            futures.append(threads.submit(function, item))
            if len(futures) > count:
                yield futures.popleft().result()
        while futures:
            yield futures.popleft().result()
    finally:
        for future in futures:
            future.cancel()


def ask_each(question: Callable[[Batch], R], batches: Iterable[Batch]) -> Iterator[tuple[Batch, R]]:
    """Each batch, and what the network answers to it."""

    def ask(batch: Batch) -> tuple[Batch, R]:
        return batch, question(batch)

    with ThreadPoolExecutor(PASSES, thread_name_prefix="pass") as threads:
        yield from ahead(threads, ask, batches, PASSES - 1)
