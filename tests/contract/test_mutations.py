"""The short form of `python -m tests.mutations`: some of the mutated requests, in this process."""

from collections import Counter

import pytest
from starlette.testclient import TestClient

from tests.mutations.__main__ import is_allowed, send
from tests.mutations.bodies import make_mutants


# A server does not turn warnings into errors, and a decoder's warning must not be what saves us.
@pytest.mark.filterwarnings("ignore")
def test_every_request_is_answered_when_its_body_is_a_mutant(client: TestClient) -> None:
    statuses: dict[str, Counter[int]] = {}
    for mutant in make_mutants(400, seed=2):
        status = send(client, mutant)
        assert is_allowed(status), mutant
        statuses.setdefault(mutant.kind, Counter())[status // 100] += 1
    for kind, found in statuses.items():
        # Most are refused, and some are harmless: those that are all refused would be damaged too much.
        assert found[2], kind
        assert found[4], kind


def test_mutants_are_the_same_when_the_seed_is() -> None:
    assert list(make_mutants(40, 3)) == list(make_mutants(40, 3))
    assert list(make_mutants(4, 3)) != list(make_mutants(4, 4))
