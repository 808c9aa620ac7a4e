"""Models in an MLflow registry: which version a URI means, and the Keras file in it. Knows no networks.

Where the registry is, and who asks, say MLflow's own variables (`MLFLOW_TRACKING_URI`, ...). Files alone are fetched,
and what MLflow describes a model with is read as plain YAML: its loaders, which open pickles, are never called.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from service.errors import ConvscopeError, ModelFailedError, WeightsUnavailableError
from service.models.remote.locations import require_installed, summarise

_URI: Final = re.compile(
    r"models:/(?:(?P<id>m-[A-Za-z0-9]+)|(?P<name>[^/@:]+)(?:/(?:(?P<version>[0-9]+)|(?P<latest>latest))|@(?P<alias>[^/@:]+)))"
)
_FORMS: Final = "models:/NAME/3, models:/NAME@ALIAS, models:/NAME/latest or models:/m-ID"
# What MLflow would do unasked (send usage data, write its own log lines and progress) or for too long.
_MANNERS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
# Of an answer that nothing is there; of others another time may be better.
_GONE: Final = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
_MAX_MLMODEL_BYTES: Final = 2**20
_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,100}")
_FOLDER: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]+")
# As `mlflow.keras` and `mlflow.tensorflow` name them.
_FILES: Final = ("model.keras", "model.h5")
_SAVED_MODEL: Final = (
    "it was logged as a SavedModel, which has no layers to look into: log it again with "
    'mlflow.keras.log_model(model, name="model"), without save_exported_model'
)


@dataclass(frozen=True)
class RegistryUri:
    """Exactly one of `version`, `alias`, `model_id` is given, or none of them for the latest version of `name`."""

    text: str
    name: str | None
    version: str | None
    alias: str | None
    model_id: str | None


class RegisteredVersion(BaseModel):
    """What a URI means now: `uri` means this version for ever, `token` is another if it was made anew."""

    model_config = ConfigDict(frozen=True)

    version: str
    uri: str
    token: str


@dataclass(frozen=True)
class ModelFile:
    """The Keras file of a version, below the version's artifacts, with its size where the registry tells it."""

    artifacts: str
    path: str
    size: int | None


def is_registry_uri(source: str) -> bool:
    return source.startswith("models:")


def parse_registry_uri(source: str) -> RegistryUri:
    """Raises ValueError with the forms that are known."""
    match = _URI.fullmatch(source)
    if match is None:
        raise ValueError(f"a model of MLflow is given as {_FORMS}; a stage is none: give its version an alias")
    return RegistryUri(source, match["name"], match["version"], match["alias"], match["id"])


def name_models(sources: Iterable[str]) -> dict[str, str]:
    """URIs by the names that models are served under, given as `NAME=URI` or as the URI alone. Raises ValueError."""
    named: dict[str, str] = {}
    for source in sources:
        name, sign, uri = source.rpartition("=")
        name = name if sign else parse_registry_uri(uri).name or ""
        if not _NAME.fullmatch(name):
            raise ValueError(f"'{source}' has no name to be served under: write NAME={uri}, of A-Z a-z 0-9 . _ -")
        if name in named:
            raise ValueError(f"two models would be served as '{name}': write NAME=models:/... for one of them")
        named[name] = parse_registry_uri(uri).text
    return named


def resolve(uri: RegistryUri) -> RegisteredVersion:
    """Ask the registry. Raises ModelFailedError where nothing is there, WeightsUnavailableError where it is silent."""
    with _explained(f"MLflow cannot be asked for '{uri.text}'", f"MLflow has no '{uri.text}'"):
        client = _open_client()
        if uri.model_id is not None:
            model = client.get_logged_model(uri.model_id)
            return RegisteredVersion(
                version="1", uri=uri.text, token=_token(model.artifact_location, model.creation_timestamp)
            )
        found = _find_version(client, uri)
        if found.status != "READY":
            raise WeightsUnavailableError(f"MLflow is still registering '{uri.text}': ask again in a moment")
        return RegisteredVersion(
            version=str(found.version),
            uri=f"models:/{uri.name}/{found.version}",
            token=_token(found.source, found.creation_timestamp),
        )


def find_model_file(uri: str, folder: Path) -> ModelFile:
    """The Keras file of the version that a URI means for ever; `folder` is for what is read to find it.

    Raises what `resolve` raises, and ModelFailedError with what to do where the version holds none.
    """
    with _explained(f"MLflow cannot be asked for the files of '{uri}'", f"MLflow has no files of '{uri}'"):
        artifacts = _find_artifacts(parse_registry_uri(uri))
        path = _download(artifacts, "MLmodel", folder)
        data = _find_data_folder(path)
        # Its bytes are not opened: names and sizes alone.
        listed = {Path(info.path).name: info for info in _mlflow().artifacts.list_artifacts(_join(artifacts, data))}
        for name in _FILES:
            if name in listed and not listed[name].is_dir:
                return ModelFile(artifacts, f"{data}/{name}", listed[name].file_size)
        if "model" in listed or "saved_model.pb" in listed:
            raise ModelFailedError(_SAVED_MODEL)
        raise ModelFailedError(
            f"it has neither {_FILES[0]} nor {_FILES[1]} in '{data}': log it again with mlflow.keras"
        )


def download_file(file: ModelFile, target: Path) -> None:
    """Write it to `target`. Raises what `resolve` raises."""
    with _explained("its file cannot be fetched from MLflow", "MLflow has its file no more"):
        _download(file.artifacts, file.path, target.parent).replace(target)


def _find_version(client: Any, uri: RegistryUri) -> Any:
    if uri.version is not None:
        return client.get_model_version(uri.name, uri.version)
    if uri.alias is not None:
        return client.get_model_version_by_alias(uri.name, uri.alias)
    latest = client.get_registered_model(uri.name).latest_versions
    if not latest:
        raise ModelFailedError(f"MLflow has no version of '{uri.name}' yet: register one")
    return max(latest, key=lambda each: int(each.version))


def _find_artifacts(uri: RegistryUri) -> str:
    client = _open_client()
    if uri.model_id is not None:
        return str(client.get_logged_model(uri.model_id).artifact_location)
    return str(client.get_model_version_download_uri(uri.name, uri.version))


def _find_data_folder(mlmodel: Path) -> str:
    """The folder that MLmodel says Keras's file is in."""
    # Comes with the extra, as MLflow needs it.
    import yaml

    if mlmodel.stat().st_size > _MAX_MLMODEL_BYTES:
        raise ModelFailedError(f"its MLmodel is larger than {_MAX_MLMODEL_BYTES} bytes")
    try:
        described = yaml.safe_load(mlmodel.read_bytes())
        flavors = dict(described["flavors"])
        flavor = dict(flavors.get("keras") or flavors.get("tensorflow") or {})
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelFailedError("its MLmodel cannot be read: log the model again") from error
    if not flavor:
        known = ", ".join(sorted(map(str, flavors)))
        raise ModelFailedError(f"it was logged as {known}: only networks of Keras can be looked into (mlflow.keras)")
    if flavor.get("save_exported_model") is True or "saved_model_dir" in flavor:
        raise ModelFailedError(_SAVED_MODEL)
    data = flavor.get("data", "data")
    if not isinstance(data, str) or not _FOLDER.fullmatch(data):
        raise ModelFailedError("its MLmodel names a folder that is none of its own")
    return data


def _download(artifacts: str, path: str, folder: Path) -> Path:
    found = Path(_mlflow().artifacts.download_artifacts(_join(artifacts, path), dst_path=str(folder)))
    if not found.resolve().is_relative_to(folder.resolve()) or not found.is_file():
        raise ModelFailedError("MLflow wrote a file to another place than it was told")
    return found


def _join(artifacts: str, path: str) -> str:
    from mlflow.utils.uri import append_to_uri_path

    return str(append_to_uri_path(artifacts, path))


def _open_client() -> Any:
    mlflow = _mlflow()
    if not mlflow.is_tracking_uri_set():
        raise ModelFailedError("MLFLOW_TRACKING_URI is not set: it says where MLflow's server is")
    return mlflow.MlflowClient()


def _mlflow() -> Any:
    """MLflow, imported when it is first asked: that takes seconds."""
    require_installed("models:")
    for name, value in _MANNERS.items():
        os.environ.setdefault(name, value)
    import mlflow
    import mlflow.artifacts

    return mlflow


def _token(*parts: object) -> str:
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()


@contextmanager
def _explained(silent: str, gone: str) -> Iterator[None]:
    """Whatever MLflow or the stores behind it raise becomes an error of ours."""
    try:
        yield
    except ConvscopeError:
        raise
    except Exception as error:
        if getattr(error, "error_code", None) in _GONE:
            raise ModelFailedError(f"{gone}: see to its name, version or alias there") from error
        # What MLflow says where nobody answers names hosts; for the server's own faults it has other codes.
        code = getattr(error, "error_code", None)
        reason = "no answer" if code == "INTERNAL_ERROR" else code or summarise(error)
        raise WeightsUnavailableError(f"{silent} ({reason}): ask again when it answers; the log says more") from error
