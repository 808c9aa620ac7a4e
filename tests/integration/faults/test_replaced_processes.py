"""A worker's process is replaced after so many tasks: those that found nothing do not count."""

import re
from pathlib import Path

from service.composition.jobs import open_store
from service.jobs.worker.celery_notifier import CeleryNotifier, make_celery
from service.settings import Settings
from tests.contract.job_store.jobs import a_record, submit
from tests.integration.faults.scenario import wait_until
from tests.redis_server import RedisServer
from tests.worker import WorkerProcess

MAX_TASKS = 3
_DONE = re.compile(r"Task convscope\.work\[\S+\] succeeded")


def _ring(notifier: CeleryNotifier, worker: WorkerProcess) -> None:
    """Wake the worker, and wait until it has looked into the queue."""
    done = len(_DONE.findall(worker.log()))
    notifier.notify("cpu", 1)
    wait_until(lambda: len(_DONE.findall(worker.log())) > done, "the wake-up was heard")


def test_process_stays_when_it_wakes_for_nothing_and_goes_when_it_found_work(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        places = {"CONVSCOPE_REDIS_URL": redis.url, "CONVSCOPE_DATA": str(tmp_path / "data")}
        limits = {"CONVSCOPE_WORKER__MAX_TASKS": str(MAX_TASKS), "CONVSCOPE_JOBS__SWEEP_SECONDS": "3600"}
        store = open_store(Settings(redis_url=redis.url, data=tmp_path / "data"))
        notifier = CeleryNotifier(make_celery(redis.url), redis.url)
        with WorkerProcess(tmp_path / "worker.log", **places, **limits) as worker:
            (first,) = worker.children()
            for _ in range(2 * MAX_TASKS):
                _ring(notifier, worker)
            for _ in range(MAX_TASKS - 1):
                # Of another file of the model than there is: it ends at once.
                job = submit(store, a_record()).id
                _ring(notifier, worker)
                assert store.get(job).state == "failed"
            assert worker.children() == [first]
            assert worker.log().count(" is warm") == 1
            submit(store, a_record())
            _ring(notifier, worker)
            wait_until(lambda: worker.log().count(" is warm") == 2, "another process takes its place")
            assert first not in worker.children()
            job = submit(store, a_record()).id
            _ring(notifier, worker)
            assert store.get(job).state == "failed"
        assert not re.search("WorkerLost|exited with|Traceback", worker.log()), worker.log()
        notifier.close()
        store.close()
