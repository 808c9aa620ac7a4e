"""What Redis keeps and sends of a job whose chunks come to megabytes, by the script that measures 10,000 pictures."""

import json
from pathlib import Path

import pytest

from tests.job_data.records import measure_layer_health
from tests.redis_server import RedisServer

CHUNKS, SLICE = 3, 128


def test_redis_keeps_and_sends_little_of_what_chunks_come_to(
    tmp_path: Path, redis_server: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    redis_server.command("FLUSHALL")
    found = measure_layer_health(redis_server, tmp_path, CHUNKS * SLICE)
    assert found["chunks"] == CHUNKS
    assert int(found["chunk_json_bytes"]) > 3_500_000
    assert int(found["artifacts_most"]) > CHUNKS * 2_000_000
    assert int(found["redis_most_kept"]) < 700_000
    # The answer, and nothing of the chunks.
    assert int(found["redis_at_the_end"]) < 5_000_000
    assert int(found["artifacts_at_the_end"]) < 500_000
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    reads = {line["read"]: line["redis_bytes"] for line in lines if "read" in line}
    assert len(reads) == 5
    assert max(reads.values()) < 20_000
