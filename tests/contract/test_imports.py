"""What each process imports before it has to: TensorFlow takes seconds, and does not survive a fork."""

import subprocess
import sys
from functools import cache

import pytest

from tests.server import ROOT

HEAVY = ("tensorflow", "keras")
REDIS_MODE = ("celery", "kombu", "redis")


@cache
def _imported(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    environment = {"PATH": "", "CONVSCOPE_REDIS_URL": "redis://127.0.0.1:1/0"}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return set(answer.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import workers.app, workers.tasks, workers.lifecycle",
        "import service.embedded",
        "import service.cli, service.cli.commands.worker",
        "from service.settings import Settings; from service.app import create_app; create_app(Settings())",
    ],
)
def test_tensorflow_is_not_imported_when_a_process_only_gets_ready(statement: str):
    assert not _imported(statement) & set(HEAVY)


def test_nothing_of_redis_is_imported_when_there_is_none():
    statement = (
        "from service.settings import Settings; from service.app import create_app; create_app(Settings(redis_url=''))"
    )
    modules = _imported(statement)
    assert "service.jobs.store.sqlite" in modules
    assert not modules & set(REDIS_MODE)


def test_web_framework_is_not_imported_when_a_worker_starts():
    assert not _imported("import workers.app, workers.tasks, workers.lifecycle") & {"fastapi", "starlette", "uvicorn"}
