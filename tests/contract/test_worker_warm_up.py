"""What a worker's process says of its warm-up: real signals of Celery, a real model, no Redis."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server import ROOT

_CODE = """
from service.logs import configure_logging
configure_logging()
from celery.signals import worker_process_init
import workers.lifecycle
worker_process_init.send(None)
"""


@pytest.mark.parametrize("config_bytes", ["1000", "1000000"])
def test_process_is_called_warm_only_when_the_model_has_run(tmp_path: Path, config_bytes: str):
    settings = {
        "CONVSCOPE_REDIS_URL": "redis://127.0.0.1:1/0",
        "CONVSCOPE_DATA": str(tmp_path),
        "CONVSCOPE_WORKER_NAME": "worker",
        "CONVSCOPE_WORKER_THREADS": "1",
        "CONVSCOPE_LIMITS__MODEL_CONFIG_BYTES": config_bytes,
    }
    process = subprocess.run(
        [sys.executable, "-c", _CODE], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    is_too_large = config_bytes == "1000"
    assert ("is warm" in process.stderr) == (not is_too_large), process.stderr
    assert ("is not warm, as the built-in model does not load: 'model.keras' has" in process.stderr) == is_too_large
