"""`/metrics`: what Prometheus can read, with labels that no client can multiply."""

import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.contract.conftest import MakeClient

LINE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)")


def scrape(client: TestClient) -> dict[str, float]:
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    assert all(LINE.fullmatch(line) and line.startswith("convscope_") for line in lines)
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture(scope="module")
def client(make_client: MakeClient) -> TestClient:
    client: TestClient = make_client()
    return client


def test_requests_are_counted_by_status_when_they_were_answered(client: TestClient, picture: bytes):
    for data in ({}, {"class_index": 1}, {"class_index": 99}):
        client.post("/v1/models/tiny/grad-cam", files={"image": picture}, data=data)
    metrics = scrape(client)
    request = 'convscope_requests_total{method="grad-cam",model="tiny",status="%d"}'
    assert (metrics[request % 200], metrics[request % 422]) == (2, 1)
    assert metrics['convscope_request_duration_seconds_count{method="grad-cam",model="tiny"}'] == 3
    stage = 'convscope_stage_duration_seconds_count{method="grad-cam",model="tiny",stage="%s"}'
    assert [metrics[stage % name] for name in ("decode", "queue", "compute", "render")] == [2, 2, 2, 2]
    assert metrics['convscope_cache_bytes{cache="results"}'] > 1000


def test_labels_stay_few_when_clients_make_names_up(client: TestClient, picture: bytes):
    for number in range(5):
        client.post(f"/v1/models/made-up-{number}/grad-cam", files={"image": picture})
        client.post(f"/v1/models/tiny/made-up-{number}")
    metrics = scrape(client)
    assert not [name for name in metrics if "made-up" in name]
    assert metrics['convscope_requests_total{method="grad-cam",model="unknown",status="404"}'] == 5


def test_places_are_shown_when_nothing_runs(client: TestClient):
    metrics = scrape(client)
    assert metrics['convscope_executor_requests{state="running"}'] == 0
    assert metrics['convscope_executor_requests{state="waiting"}'] == 0
    assert metrics["convscope_executor_slots"] == 80
    assert metrics["convscope_batch_waiting"] == 0


def test_chunks_are_outstanding_when_nobody_computes_jobs(tmp_path: Path):
    settings = Settings(data=tmp_path, worker={"warm": False}, redis_url="")
    # Not entered: without its lifespan the application starts no worker.
    client = TestClient(create_app(settings), base_url="http://127.0.0.1")
    assert scrape(client)['convscope_chunks_outstanding{queue="cpu"}'] == 0


def test_other_metrics_are_read_when_the_job_records_are_out_of_reach(tmp_path: Path):
    (tmp_path / "data").write_text("a file where a folder should be")
    client = TestClient(
        create_app(Settings(data=tmp_path / "data", worker={"warm": False})), base_url="http://127.0.0.1"
    )
    metrics = scrape(client)
    assert metrics["convscope_job_store_up"] == 0
    assert not [name for name in metrics if "chunks_outstanding" in name]
    assert "convscope_executor_slots" in metrics


def test_applications_count_apart_when_there_are_several(make_client: MakeClient, client: TestClient, picture: bytes):
    client.post("/v1/models/tiny/grad-cam", files={"image": picture})
    assert not [name for name in scrape(make_client()) if name.startswith("convscope_requests_total")]


def test_submissions_are_counted_when_jobs_are_sent(make_client: MakeClient):
    client = make_client()
    for _ in range(2):
        answer = client.post("/v1/models/tiny/filters", json={"layer": "conv1"}, headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
    metrics = scrape(client)
    assert metrics['convscope_jobs_submitted_total{as="new",method="filters"}'] == 1
    assert metrics['convscope_jobs_submitted_total{as="earlier",method="filters"}'] == 1
