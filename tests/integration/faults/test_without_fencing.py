"""Fault 12: without fences, a process that has slept through its lease commits."""

from pathlib import Path

import pytest

from tests.integration.faults.home import open_redis_home
from tests.integration.faults.test_frozen_process import sleep_through_lease


def test_late_effect_is_noticed_when_there_are_no_fences(tmp_path: Path) -> None:
    mutant = {"MUTATION": "fencing", "CONVSCOPE_WORKER__CONCURRENCY": "2"}
    with open_redis_home(tmp_path, services=1, program="tests.integration.faults.mutant", **mutant) as home:
        home.worker.wait_until_ready(2)
        with pytest.raises(AssertionError):
            sleep_through_lease(home, home.witness, "taken over")
        (job,) = home.witness.jobs
        late = home.witness.attempts(job)[0]
        # And for that reason it failed.
        assert (late.chunk, late.number, home.witness.outcome(job, late)) == (0, 1, "committed")
