"""The Celery worker: entry point, pool of processes, the one task, and its life."""
