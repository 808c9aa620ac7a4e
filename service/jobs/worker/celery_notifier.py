"""The Celery application and its wake-up. Imported in Redis mode alone; knows no task, only the name of one.

No acknowledgement and no retry by Celery: the job's record is the truth, and the reconciler rings again. Every
setting that differs from Celery's default says why.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from celery import Celery
from kombu.entity import Queue
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from schemas.tasks import QUEUES, WORK_TASK
from service.jobs.store.port import Overdue

logger = logging.getLogger(__name__)

# More wake-ups than that wake nobody who is not awake already.
MAX_WAKE_UPS: Final = 16
_TRANSPORT: Final = {
    # A broker that swallows packets would otherwise hold a publisher for minutes.
    "socket_timeout": 5,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    # A worker whose connection died unheard notices after at most twice that and a second.
    "health_check_interval": 5,
    # A wake-up needs no record of who has heard it; writing one ended the worker when Redis was full.
    "ack_emulation": False,
}


def make_celery(redis_url: str) -> Celery:
    """The application that services and workers share."""
    app = Celery("convscope", broker=redis_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,  # the record is the truth
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry=False,
        task_create_missing_queues=False,  # a misspelt queue fails loudly
        task_queues=[Queue(name) for name in QUEUES],
        task_default_queue=QUEUES[0],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_TRANSPORT,
    )
    return app


class CeleryNotifier:
    """Publishes wake-ups on a thread of its own, as long as the broker's list is short.

    As a Workforce it keeps no process: every worker looks after its own.
    """

    name = "elsewhere"

    def __init__(self, app: Celery, redis_url: str) -> None:
        self._app = app
        # One quick question before each wake-up; where it fails, so would that.
        self._redis = Redis.from_url(redis_url, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="notifier")
        self._waiting = 0

    def notify(self, queue: str, count: int) -> None:
        """See Notifier."""
        if self._waiting >= MAX_WAKE_UPS:
            return  # the broker does not answer; whoever looks after the jobs will ring again
        self._waiting += 1
        with suppress(RuntimeError):  # closed
            self._thread.submit(self._publish, queue, count)

    def start(self) -> None:
        """See Workforce."""

    def stop_process(self, overdue: Overdue) -> None:
        """See Supervisor."""

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _publish(self, queue: str, count: int) -> None:
        try:
            missing = min(count, MAX_WAKE_UPS) - int(self._redis.llen(queue))
            for _ in range(missing):
                self._app.send_task(WORK_TASK, args=(queue,), queue=queue, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001 - kombu and redis-py raise their own, and a wake-up may be lost
            logger.warning("no wake-up for queue %s: %s", queue, error)
        finally:
            self._waiting -= 1
