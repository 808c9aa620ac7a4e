"""Redis cannot be reached when a job is sent: a quick and whole refusal, and everything else goes on."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.contract.conftest import assert_problem
from tests.integration.faults.scenario import ROUTE, quick
from tests.redis_server import RedisServer
from tests.server import Server
from tests.tcp_proxy import TcpProxy

# Against hanging; the answer comes within four seconds.
LIMIT_SECONDS = 10.0


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as redis:
        yield redis


@pytest.fixture(scope="module")
def proxy(redis: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(redis.port) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, proxy: TcpProxy) -> Iterator[httpx2.Client]:
    """Of a service without a worker."""
    folder = tmp_path_factory.mktemp("service")
    places = {"CONVSCOPE_REDIS_URL": f"redis://127.0.0.1:{proxy.port}/0", "CONVSCOPE_DATA": str(folder / "data")}
    with Server(folder / "server.log", **places) as server, httpx2.Client(base_url=server.url) as client:
        server.wait_until_ready()
        client.timeout = httpx2.Timeout(LIMIT_SECONDS)
        yield client


@pytest.mark.parametrize("how", ["killed", "cut", "black hole"])
def test_job_is_refused_quickly_and_whole_when_redis_is_away(
    redis: RedisServer, proxy: TcpProxy, client: httpx2.Client, how: str, photo: bytes
) -> None:
    body, headers = quick(), {"Idempotency-Key": f"sent-while-{how.replace(' ', '-')}"}
    known = client.post(ROUTE, json=quick()).json()["id"]
    before = redis.command("KEYS", "*").count("convscope:job:")
    {"killed": redis.kill, "cut": proxy.cut, "black hole": proxy.black_hole}[how]()
    try:
        for further in ({}, headers):
            response = client.post(ROUTE, json=body, headers=further)
            assert_problem(response, 503, "jobs_unavailable")
            assert int(response.headers["Retry-After"]) >= 1
            print(f"{how}: refused after {response.elapsed.total_seconds():.2f} s")  # noqa: T201 - seen with -s
        for route in ("/v1/jobs", f"/v1/jobs/{known}", f"/v1/jobs/{known}/events"):
            assert_problem(client.get(route), 503, "jobs_unavailable")
        assert_problem(client.post(f"/v1/jobs/{known}/cancel"), 503, "jobs_unavailable")
        for route in ("/livez", "/readyz"):
            assert client.get(route).status_code == 200
        answer = client.post("/v1/models/shapes/predictions", files={"image": photo})
        assert answer.status_code == 200, answer.text
    finally:
        if how == "killed":
            redis.start()
        proxy.mend()
    assert redis.command("KEYS", "*").count("convscope:job:") == before
    accepted = client.post(ROUTE, json=body, headers=headers)
    assert accepted.status_code == 202
    assert accepted.json()["id"] != known
    assert client.get(f"/v1/jobs/{known}").json()["state"] == "queued"
