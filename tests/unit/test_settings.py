"""Settings from the environment."""

import re
from pathlib import Path

import click
import pytest
from pydantic import ValidationError

from service.cli.backends import read_settings
from service.models.remote.registry import name_models
from service.settings import Settings


def test_environment_is_read_when_variables_are_set(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_PORT", "9000")
    monkeypatch.setenv("CONVSCOPE_MODELS", "/models")
    monkeypatch.setenv("CONVSCOPE_LIMITS__MAX_IMAGE_BYTES", "1000")
    settings = Settings()
    assert (settings.port, settings.models, settings.limits.max_image_bytes) == (9000, ("/models",), 1000)


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


def test_there_is_no_repository_when_its_variable_is_empty(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_MODELS", "")
    assert Settings().models == ()


def test_there_are_several_repositories_when_commas_separate_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_MODELS", "/models, s3://bucket/models")
    assert Settings().models == ("/models", "s3://bucket/models")
    assert Settings(models=Path("/models, of today")).models == ("/models, of today",)


def test_models_of_mlflow_have_names_when_some_are_given(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONVSCOPE_MLFLOW_MODELS", "models:/cats@champion, dogs=models:/big hounds/3,one=models:/m-1f")
    assert name_models(Settings().mlflow_models) == {
        "cats": "models:/cats@champion",
        "dogs": "models:/big hounds/3",
        "one": "models:/m-1f",
    }


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ("models:/m-1f", "'models:/m-1f' has no name to be served under: write NAME=models:/m-1f"),
        ("models:/big hounds/3", "'models:/big hounds/3' has no name"),
        ("../x=models:/cats/3", "has no name"),
        ("models:/cats@a,models:/cats@b", "two models would be served as 'cats'"),
        ("cats=models:/cats/Production", "a stage is none"),
        ("cats=s3://bucket/cats.keras", "a model of MLflow is given as models:/NAME/3"),
    ],
)
def test_start_is_refused_when_a_model_of_mlflow_cannot_be_named(
    monkeypatch: pytest.MonkeyPatch, models: str, sentence: str
):
    monkeypatch.setenv("CONVSCOPE_MLFLOW_MODELS", models)
    with pytest.raises(click.UsageError, match=re.escape(sentence)) as raised:
        read_settings()
    assert raised.value.message.startswith("CONVSCOPE_MLFLOW_MODELS: ")


@pytest.mark.parametrize(("name", "value"), [("PORT", "70000"), ("LIMITS__RUNNING_REQUESTS", "0"), ("PORT", "http")])
def test_start_is_refused_when_a_value_makes_no_sense(monkeypatch: pytest.MonkeyPatch, name: str, value: str):
    monkeypatch.setenv(f"CONVSCOPE_{name}", value)
    with pytest.raises(ValidationError):
        Settings()
