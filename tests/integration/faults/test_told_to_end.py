"""Fault 3: SIGTERM, as at every roll-out, in the middle of a chunk."""

from tests.integration.faults.conftest import Site
from tests.integration.faults.scenario import Witness, slow


def test_chunk_is_queued_as_if_never_started_when_its_worker_is_told_to_end(site: Site, witness: Witness):
    job = witness.submit(slow())
    attempt = witness.wait_for_start(job)
    witness.wait_for_fraction(job, 0.2)
    site.worker.terminate()
    # The grace period is over after 20 seconds; then Celery ends its children by force.
    assert site.worker.wait() == 0
    assert witness.outcome(job, attempt) == "release"
    chunk = witness.store.get(job).chunks[0]
    assert (chunk.state, chunk.attempts) == ("queued", 0)
    site.add_worker()
    starts = witness.assert_succeeded(job)
    assert [(start.chunk, start.number) for start in starts] == [(0, 1), (0, 1), (1, 1)]
    assert witness.look(job)["attempts"] == 1
