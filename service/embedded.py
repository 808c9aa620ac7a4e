"""The composition root of the embedded worker: the process that computes jobs where there is no Redis."""
