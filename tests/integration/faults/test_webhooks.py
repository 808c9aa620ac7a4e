"""Fault 14: a service is killed before a receiver, which is away, has heard of a job. By https."""

import pytest

from tests.certificates import Authority
from tests.integration.faults.home import Home
from tests.integration.faults.scenario import quick, wait_until
from tests.ports import free_port
from tests.receiver import Receiver


@pytest.mark.parametrize("mode", ["redis", "embedded"])
def test_job_arrives_when_the_service_is_killed_before_it_is_told_of(
    mode: str, request: pytest.FixtureRequest, authority: Authority
) -> None:
    home: Home = request.getfixturevalue(f"{mode}_home")
    port = free_port()
    job = home.witness.submit(quick(webhook=f"https://127.0.0.1:{port}/hook"))
    home.witness.wait_for_state(job, "succeeded")
    wait_until(lambda: home.witness.look(job)["webhooks"][0]["last_error"] == "unreachable", "it was tried in vain")
    home.servers[0].kill()
    try:
        with Receiver(authority.server_context("127.0.0.1"), port) as receiver:
            if mode == "embedded":
                # Nobody else is left.
                home.servers[0].start()
            (message,) = receiver.wait()
    finally:
        if mode == "redis":
            home.servers[0].start()
    sent = message.verify(home.witness.store.signing_secrets("").current)
    assert (sent["id"], sent["state"], sent["type"]) == (job, "succeeded", "job.completed")
