"""Both stores, for the one suite that both must pass."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.jobs.store.port import JobStore, Rules
from service.jobs.store.redis import RedisJobStore
from service.jobs.store.sqlite import SqliteJobStore
from tests.contract.job_store.jobs import Opening
from tests.redis_server import RedisServer


@pytest.fixture(params=["sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opening]:
    opened: list[JobStore] = []

    def of_sqlite(rules: Rules) -> JobStore:
        opened.append(SqliteJobStore(tmp_path / "jobs.db", rules))
        return opened[-1]

    def of_redis(rules: Rules) -> JobStore:
        opened.append(RedisJobStore(server.url, rules))
        return opened[-1]

    if request.param == "redis":
        server: RedisServer = request.getfixturevalue("redis_server")
        server.command("FLUSHALL")
    yield of_redis if request.param == "redis" else of_sqlite
    for store in opened:
        store.close()


@pytest.fixture
def store(make: Opening) -> JobStore:
    return make(Rules())


@pytest.fixture
def hasty(make: Opening) -> JobStore:
    """The same records, where a lease ends as soon as it is looked at."""
    return make(Rules(lease_seconds=0.0, max_attempts=2))
