"""The worker's composition root: `celery -A workers.app worker`. Imports no TensorFlow; the children do."""

from typing import Final

from service.jobs.worker.celery_notifier import make_celery
from service.settings import Settings

settings: Final = Settings()
app: Final = make_celery(settings.redis_url)
app.conf.update(
    imports=["workers.tasks", "workers.lifecycle"],
    worker_pool="workers.pool:Pool",
    # TensorFlow does not survive a fork; time limits and terminating need processes.
    worker_pool_start_method="spawn",
    worker_concurrency=settings.worker.concurrency,
    worker_prefetch_multiplier=1,
    # A wake-up in the pocket of a busy worker would wake nobody.
    worker_disable_prefetch=True,
    worker_max_memory_per_child=settings.worker.max_memory_bytes // 1024,
    worker_proc_alive_timeout=120,  # importing TensorFlow on a busy machine
    worker_soft_shutdown_timeout=settings.worker.grace_seconds,
    task_time_limit=settings.worker.task_seconds,
    worker_hijack_root_logger=True,
    worker_redirect_stdouts=False,
)
