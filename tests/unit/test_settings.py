"""Settings from the environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings


def test_environment_is_read_when_variables_are_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_PORT", "9000")
    monkeypatch.setenv("CONVSCOPE_MODELS", "/models")
    monkeypatch.setenv("CONVSCOPE_LIMITS__MAX_IMAGE_BYTES", "1000")
    settings = Settings()
    assert (settings.port, settings.models, settings.limits.max_image_bytes) == (9000, Path("/models"), 1000)


def test_file_is_read_when_there_is_a_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".env").write_text("CONVSCOPE_HOST=0.0.0.0\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    assert Settings().host == "0.0.0.0"


def test_repository_is_none_when_its_variable_is_empty(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_MODELS", "")
    assert Settings().models is None


@pytest.mark.parametrize(("name", "value"), [("PORT", "70000"), ("LIMITS__RUNNING_REQUESTS", "0"), ("PORT", "http")])
def test_start_is_refused_when_a_value_makes_no_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"CONVSCOPE_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
