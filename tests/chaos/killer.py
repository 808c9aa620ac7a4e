"""Kills what runs, in turn and by chance, and starts again what does not start by itself."""

import os
import random
import signal
import threading
import time
from collections.abc import Sequence

from tests.redis_server import RedisServer
from tests.worker import WorkerProcess

PAUSE_SECONDS = 2.5
# One kill in so many hits a whole worker, which nobody restarts but we.
WORKER_EVERY = 8


class Killer:
    """`over` ends it early."""

    def __init__(self, redis: RedisServer, workers: Sequence[WorkerProcess], chance: random.Random) -> None:
        self._redis = redis
        self._workers = workers
        self._chance = chance
        self.over = threading.Event()
        self.children = self.workers = self.redis = 0

    def kill(self, kills: int, redis_kills: int) -> None:
        """Kill so often, at a pace that leaves some work done in between."""
        every = kills // redis_kills
        for number in range(1, kills + 1):
            if self.over.wait(PAUSE_SECONDS):
                return
            if number % WORKER_EVERY == 0:
                self._kill_worker()
            else:
                self._kill_child()
            if number % every == every // 2 and self.redis < redis_kills:
                self._redis.kill()
                time.sleep(self._chance.uniform(0.1, 1.0))
                self._redis.start()
                self.redis += 1

    def _kill_worker(self) -> None:
        worker = self._chance.choice(self._workers)
        worker.kill()
        worker.start()
        self.workers += 1

    def _kill_child(self) -> None:
        while not self.over.wait(0.05):
            children = [child for worker in self._workers for child in worker.children()]
            if children:
                os.kill(self._chance.choice(children), signal.SIGKILL)
                self.children += 1
                return
