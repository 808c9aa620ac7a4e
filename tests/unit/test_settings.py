"""Settings from the environment."""

from pathlib import Path

import click
import pytest
from pydantic import ValidationError

from service.cli.backends import read_settings
from service.settings import Settings


def test_environment_is_read_when_variables_are_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_PORT", "9000")
    monkeypatch.setenv("CONVSCOPE_MODELS", "/models")
    monkeypatch.setenv("CONVSCOPE_LIMITS__MAX_IMAGE_BYTES", "1000")
    settings = Settings()
    assert (settings.port, settings.models, settings.limits.max_image_bytes) == (9000, Path("/models"), 1000)


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The working directory, with settings in it."""
    (tmp_path / ".env").write_text(
        "CONVSCOPE_HOST=0.0.0.0\nCONVSCOPE_PORT=1\nCONVSCOPE_LIMITS__DATASET_IMAGES=5\nOTHER=1\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_file_is_not_read_when_nobody_names_it():
    assert Settings().host == "127.0.0.1"


@pytest.mark.parametrize("named", [".env", "{folder}/.env"])
def test_file_is_read_when_it_is_named(monkeypatch: pytest.MonkeyPatch, folder: Path, named: str):
    monkeypatch.setenv("CONVSCOPE_ENV_FILE", named.format(folder=folder))
    monkeypatch.setenv("CONVSCOPE_PORT", "9000")
    settings = Settings()
    assert (settings.host, settings.port, settings.limits.dataset_images) == ("0.0.0.0", 9000, 5)


def test_start_is_refused_when_the_named_file_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_ENV_FILE", "/nowhere/.env")
    with pytest.raises(FileNotFoundError):
        Settings()
    with pytest.raises(click.UsageError, match="CONVSCOPE_ENV_FILE: No such file"):
        read_settings()


@pytest.mark.usefixtures("folder")
def test_user_is_told_when_settings_lie_there_unread(capsys: pytest.CaptureFixture[str]):
    assert read_settings().host == "127.0.0.1"
    assert "CONVSCOPE_ENV_FILE=.env" in capsys.readouterr().err


def test_repository_is_none_when_its_variable_is_empty(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_MODELS", "")
    assert Settings().models is None


@pytest.mark.parametrize(("name", "value"), [("PORT", "70000"), ("LIMITS__RUNNING_REQUESTS", "0"), ("PORT", "http")])
def test_start_is_refused_when_a_value_makes_no_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"CONVSCOPE_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
