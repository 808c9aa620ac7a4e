"""Requests per minute: one count for all services that share a Redis, and none where it is away."""

import asyncio
import logging

import pytest

from service.api.access.callers import ANYONE, Caller
from service.api.requests.rates import RateLimitedError, Rates, require
from tests.ports import free_port

ALICE, BOB = Caller("alice", "use"), Caller("bob", "use", {"requests_per_minute": 1})


def test_owners_are_counted_each_by_itself_in_memory() -> None:
    async def scenario() -> None:
        rates = Rates(2)
        assert await rates.take(ANYONE) is None
        quotas = [await rates.take(caller) for caller in (ALICE, ALICE, BOB, ALICE, BOB)]
        assert [quota and quota.granted for quota in quotas] == [True, True, True, False, False]
        assert [quota and (quota.limit, quota.left) for quota in quotas] == [(2, 1), (2, 0), (1, 0), (2, 0), (1, 0)]
        with pytest.raises(RateLimitedError, match="2 requests in 60 seconds"):
            require(quotas[3])
        rates.close()

    asyncio.run(scenario())


def test_everybody_is_let_pass_when_redis_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        rates = Rates(1, f"redis://127.0.0.1:{free_port()}")
        assert await asyncio.gather(*(rates.take(ALICE) for _ in range(20))) == [None] * 20
        rates.close()

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert len([record for record in caplog.records if "not counted" in record.message]) <= 2
    assert "not counted" in caplog.text
