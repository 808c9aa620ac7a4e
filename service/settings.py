"""Every setting, read once per process from the environment (`CONVSCOPE_*`), or from the file that it names.

No file is read unasked: the terminal is run in folders from anywhere, and a `.env` there could send it to another
Redis, or have weights fetched from another place.
"""

import os
import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from service.egress.addresses import parse_allowed
from service.limits import Limits
from service.models.remote.locations import is_url
from service.models.remote.registry import name_models
from service.prefixes import parse_prefix
from service.trusted_packages import require_package

ENV_FILE: Final = "CONVSCOPE_ENV_FILE"
_ORIGIN: Final = re.compile(r"https?://(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:[0-9]{1,5})?")


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


def _split(value: object) -> object:
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _split_places(value: object) -> object:
    """A path is one folder, whatever is in its name; a text may name several."""
    return (str(value),) if isinstance(value, Path) else () if value is None else _split(value)


def _require_public_url(value: str) -> str:
    parts = urlsplit(value)
    if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment):
        raise ValueError("write a URL such as https://vision.example.com/tools/convscope")
    return value.rstrip("/")


def _require_allowed(value: tuple[str, ...]) -> tuple[str, ...]:
    parse_allowed(value)
    return value


def _require_origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for origin in value:
        # As browsers write it: anything else would never match, and `*` would let all in.
        if _ORIGIN.fullmatch(origin) is None or origin.endswith((":80", ":443")):
            raise ValueError(
                "an origin is a scheme and a host in lower case, with a port where it is not the scheme's own, such as "
                "https://lab.example or http://localhost:3000; '*' is none"
            )
    return value


def _require_mlflow(value: tuple[str, ...]) -> tuple[str, ...]:
    name_models(value)
    return value


def _require_networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for proxy in value:
        if proxy != "*" or len(value) > 1:
            ip_network(proxy)
    return value


class Jobs(BaseModel):
    """How long things of a job last."""

    lease_seconds: float = Field(30, gt=0, description="How long a worker that is not heard of keeps its chunk.")
    sweep_seconds: float = Field(5, gt=0, description="How often is looked for chunks whose worker has gone.")
    cancel_seconds: float = Field(10, gt=0, description="How long a worker may go on after a cancel; then it is ended.")
    result_seconds: float = Field(86_400, gt=0, description="How long a finished job is kept.")
    max_attempts: int = Field(
        5,
        ge=1,
        description="How many workers a chunk may lose before its job fails; as many of its starts may fail for a "
        "passing reason, such as storage out of reach.",
    )
    max_wait_seconds: int = Field(60, ge=0, description="Longest wait that `Prefer: wait=N` is granted.")


class WorkerLife(BaseModel):
    """The processes that compute jobs."""

    warm: bool = Field(
        default=True, description="Without Redis: start the worker's process with the service, not with the first job."
    )
    concurrency: int = Field(1, ge=1, description="Processes of one `convscope worker`; a GPU takes one.")
    max_tasks: int = Field(
        200, ge=0, description="Tasks that found work after which such a process is replaced; 0: never."
    )
    max_memory_bytes: int = Field(8 * 2**30, ge=2**28, description="Memory beyond which a process is replaced.")
    task_seconds: float = Field(3600, gt=0, description="How long one task may take; then its process is ended.")
    grace_seconds: float = Field(20, gt=0, description="How long a worker that is told to end may take.")


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(env_prefix="CONVSCOPE_", env_nested_delimiter="__", extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Names that the service answers to, such as `gpu.example.com,*.lab.example.com`; `*`: any. "
        "Loopback names and all addresses need no entry. Others are refused: foreign pages come by them (DNS "
        "rebinding).",
    )
    root_path: Annotated[str, AfterValidator(parse_prefix)] = Field(
        "",
        description="Path below which clients see the service behind a proxy, such as `/tools/convscope`, whether the "
        "proxy takes it off or not. Empty: the root, or what a trusted proxy says in `X-Forwarded-Prefix`.",
    )
    trusted_proxies: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_require_networks)
    ] = Field(
        (),
        description="Addresses or networks of proxies whose `X-Forwarded-For`, `-Proto`, `-Host` and `-Prefix` are "
        "believed, such as `10.0.0.7,10.1.0.0/16`; `*`: anybody's; empty: nobody's.",
    )
    api_keys: Annotated[Path | None, BeforeValidator(_empty_is_none)] = Field(
        None,
        description="File of the keys that are asked for, a line `name role sha256` each, which `convscope keys new` "
        "writes; it is read again when it changes (docs/keys.md). Empty: no keys, and on loopback alone.",
    )
    open: bool = Field(
        default=False,
        description="Whether a service without keys may listen where other machines reach it. Whoever does may use all "
        "of it: for networks where everybody is trusted.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_require_origins)] = (
        Field(
            (),
            description="Origins whose pages may ask from a browser (CORS), such as "
            "`https://lab.example,http://localhost:3000`, with a key in a header, never with the page's cookie. Empty: "
            "none but the service's own.",
        )
    )
    metrics_without_key: bool = Field(
        default=False, description="Whether `/metrics` is answered without a key where keys are asked for."
    )
    # Kept out of what is handed to other processes, and out of every representation.
    session_secret: Annotated[SecretStr | None, BeforeValidator(_empty_is_none)] = Field(
        None,
        exclude=True,
        repr=False,
        min_length=32,
        description="What signs the page's sessions, at least 32 random characters, the same for all services of one "
        "name. Empty: made once, and kept in Redis where there is Redis, else in `CONVSCOPE_DATA`. A new one ends all "
        "sessions.",
    )
    session_seconds: float = Field(
        43_200, gt=0, description="How long somebody who has signed in on the page stays so; revoking the key ends it."
    )
    public_url: Annotated[str, AfterValidator(_require_public_url)] = Field(
        "",
        description="Where clients reach the service, such as `https://vision.example.com/tools/convscope`: links in "
        "what webhooks are sent begin with it. Services and workers need the same. Empty: links without a host.",
    )
    webhooks_allow: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_require_allowed)] = (
        Field(
            (),
            description="Hosts and networks inside that webhooks may be sent to, also by http, such as "
            "`hooks.lab.example.com,10.1.0.0/16`. Else they go to public addresses alone, by https. Services and "
            "workers need the same.",
        )
    )
    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_places)] = Field(
        (),
        description="The repository of models: a folder, or an fsspec URL such as `s3://bucket/models`, or several of "
        "them, separated by commas; of two models of one name the first counts. The built-in models stay served "
        "beside them.",
    )
    mlflow_models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split), AfterValidator(_require_mlflow)] = (
        Field(
            (),
            description="Models of MLflow, such as `models:/cats@champion,dogs=models:/hounds/3`, each served under "
            "the name before the `=`, or under its own.",
        )
    )
    models_poll_seconds: float = Field(
        30, gt=0, description="How often URLs are looked at, and what aliases of MLflow point to."
    )
    fetched: Annotated[Path | None, BeforeValidator(_empty_is_none)] = Field(
        None,
        description="Folder of the files that were fetched from there; processes may share it, and nobody else may "
        "write to it. Empty: `fetched` in `CONVSCOPE_DATA`.",
    )
    models_cells: bool = Field(
        # Elsewhere a process cannot be bounded so, nor open a file by its descriptor.
        default=sys.platform == "linux",
        description="Whether each model file is read in a process of its own, with limits and without network, before "
        "the service builds its network; a file takes seconds longer, but the first time only. On Linux alone.",
    )
    models_mode: Literal["all", "explicit"] = Field(
        "all",
        description="`all`: the newest version of each model is loaded as soon as it is noticed. `explicit`: nothing "
        "is loaded, but for the built-in model that shows readiness, until a request or a load call asks for it.",
    )
    models_refresh_seconds: float = Field(
        1, gt=0, description="How often the repository is looked at; a load call looks at once."
    )
    trusted_packages: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Packages whose layers, models, initializers, regularizers and constraints a model file may name, "
        "such as `keras_hub,mypackage.layers`. They are imported, and their code runs, wherever a network is built. "
        "Each has to be installed beside convscope.",
    )
    redis_url: str = Field("", description="Redis that API and workers share; empty: jobs run beside the API.")
    data: Annotated[Path | None, BeforeValidator(_empty_is_none)] = Field(
        None,
        description="Folder of job records; empty: `convscope` in `$XDG_DATA_HOME`, or in `~/.local/share`.",
    )
    artifacts: str = Field(
        "", description="Folder or fsspec URL of jobs' pictures, shared by API and workers; empty: `artifacts` in it."
    )
    networks: Annotated[Path | None, BeforeValidator(_empty_is_none)] = Field(
        None,
        description="Folder of networks that were read from model files, so that no file is read twice; processes may "
        "share it, and nobody else may write to it. Empty: `networks` in `CONVSCOPE_DATA`.",
    )
    folding: bool = Field(
        default=True,
        description="Kernels as constants, and batch normalisation within the convolution before it, about 1e-5 apart.",
    )
    gpu_models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="Models whose jobs go to the workers with a GPU: patterns such as `vgg*,resnet*`."
    )
    applications_weights: Literal["imagenet", "none"] = Field(
        "imagenet", description="Weights of the `keras.applications` models; `none`: random ones, for tests."
    )
    applications_origin: str = Field(
        "https://storage.googleapis.com",
        pattern=r"^https?://[^/]",
        description="Where those weights are fetched from on first use: Keras's own place, or a mirror of it.",
    )
    limits: Limits = Field(default_factory=Limits, description="See below.")
    jobs: Jobs = Field(default_factory=Jobs, description="See below.")
    worker: WorkerLife = Field(default_factory=WorkerLife, description="See below.")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_: PydanticBaseSettingsSource, **sources: PydanticBaseSettingsSource
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """See pydantic. The file is named by `CONVSCOPE_ENV_FILE`; raises OSError where it cannot be read."""
        named = os.environ.get(ENV_FILE)
        if not named:
            return sources["init_settings"], sources["env_settings"]
        Path(named).open("rb").close()
        return sources["init_settings"], sources["env_settings"], DotEnvSettingsSource(settings_cls, env_file=named)

    @field_validator("trusted_packages")
    @classmethod
    def _require_packages(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            require_package(name, [Path(place) for place in info.data.get("models", ()) if not is_url(place)])
        return names

    @property
    def jobs_mode(self) -> Literal["redis", "embedded"]:
        return "redis" if self.redis_url else "embedded"

    @property
    def data_folder(self) -> Path:
        if self.data is not None:
            return self.data
        home = os.environ.get("XDG_DATA_HOME")
        return (Path(home) if home else Path.home() / ".local" / "share") / "convscope"

    @property
    def networks_folder(self) -> Path:
        return self.networks or self.data_folder / "networks"

    @property
    def fetched_folder(self) -> Path:
        return self.fetched or self.data_folder / "fetched"

    @property
    def artifacts_url(self) -> str:
        return self.artifacts or str(self.data_folder / "artifacts")
