"""Every setting, read once per process from the environment (`CONVSCOPE_*`) or a `.env` file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class Limits(BaseModel):
    """What one request, or all together, may cost."""

    max_image_bytes: int = Field(20 * 2**20, ge=1, description="Largest image file taken, in bytes.")
    max_image_pixels: int = Field(40_000_000, ge=1, description="Largest picture decoded, in pixels.")
    running_requests: int = Field(2, ge=1, description="Requests computed at the same time.")
    waiting_requests: int = Field(64, ge=0, description="Requests that may wait beyond those; then 503.")
    body_timeout_seconds: float = Field(30, gt=0, description="How long a client may take to send a request's body.")
    traces_per_model: int = Field(64, ge=1, description="Compiled graphs kept per model, about 20 MB each.")


class Settings(BaseSettings):
    """The service's settings."""

    model_config = SettingsConfigDict(
        env_prefix="CONVSCOPE_", env_nested_delimiter="__", env_file=".env", extra="ignore", frozen=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    models: Annotated[Path | None, BeforeValidator(_empty_is_none)] = Field(
        None, description="The repository folder; the built-in models stay served beside it."
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
