"""The Celery worker: entry point, the one task, and its life."""
