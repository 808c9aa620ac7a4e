"""What computes chunks of jobs, in its own process or Celery's, and how it is woken. Knows the store's port."""
