"""One other library in a process of its own, told by lines of JSON what to do; answers with lines of JSON.

Runs in the peers' environment, so it knows nothing of convscope.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """What `prepare` makes of a number costs nothing; `work` on it is measured, and gives an array or bytes."""

    prepare: Callable[[int], Any]
    work: Callable[[Any], Any]


def main() -> None:
    # What libraries print goes elsewhere.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task: Task | None = None
    for line in sys.stdin:
        question = json.loads(line)
        if "open" in question:
            module = import_module(f"tests.benchmark.peers.{question['module']}")
            task = getattr(module, question["open"])(**question["arguments"])
            answer: Any = {name: version(name) for name in module.PACKAGES}
        else:
            assert task is not None
            answer = _run(task, question["run"], show=question["show"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(task: Task, number: int, *, show: bool) -> Any:
    given = task.prepare(number)
    started = time.perf_counter()
    found = task.work(given)
    taken = (time.perf_counter() - started) * 1000
    return np.asarray(found).tolist() if show else taken


if __name__ == "__main__":
    main()
