"""model.toml: what its owner knows of a model and the file does not say."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Discriminator, Field, Tag, ValidationError
from pydantic_core import ErrorDetails

from schemas.base import Schema
from schemas.models import Fit, Task
from service.engine.images.preprocessing import Preprocessing
from service.engine.text_files import to_utf8
from service.errors import ModelFailedError
from service.models.preprocessing import PRESETS, PreprocessingMode, PreprocessingTable

Side = Annotated[int, Field(ge=1, le=4096)]


class ModelConfig(Schema):
    """The members of a model.toml, all optional."""

    preprocessing: Annotated[
        Annotated[PreprocessingMode, Tag("mode")] | Annotated[PreprocessingTable, Tag("table")],
        Discriminator(lambda value: "table" if isinstance(value, dict | PreprocessingTable) else "mode"),
    ] = "none"
    labels: str | list[str] | None = None
    default_layer: str | None = None
    input_size: tuple[Side, Side] | None = None
    fit: Fit = "stretch"
    sample_bits: Annotated[int, Field(ge=8, le=16)] | None = None
    task: Task | None = None
    latent_layer: str | None = None
    decoder: str | None = None
    source: str | None = None
    preset: str | None = Field(
        None, max_length=300, pattern=r"^hf://[A-Za-z0-9._-]+/[A-Za-z0-9._-]+(@[A-Za-z0-9._/-]+)?$"
    )
    keep_versions: Annotated[int, Field(ge=0, le=1000)] = 0
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")

    def to_preprocessing(self) -> Preprocessing:
        if isinstance(self.preprocessing, PreprocessingTable):
            return self.preprocessing.to_preprocessing()
        return PRESETS[self.preprocessing]


def read_model_config(folder: Path) -> ModelConfig:
    """Read `folder/model.toml`; a missing file is an empty config. Raises ModelFailedError naming the member."""
    path = folder / "model.toml"
    if not path.exists():
        return ModelConfig()
    try:
        data = path.read_bytes()
    except OSError as error:
        # Its full text would tell where on the server the file lies.
        raise ModelFailedError(f"model.toml cannot be read: {error.strerror}") from error
    return parse_model_config(data)


def parse_model_config(data: bytes) -> ModelConfig:
    """Read the bytes of a model.toml. Raises ModelFailedError naming the member."""
    try:
        return ModelConfig.model_validate(tomllib.loads(to_utf8(data).decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelFailedError(f"model.toml is not TOML: {error}") from error
    except ValidationError as error:
        raise ModelFailedError(f"model.toml: {_explain(error.errors(include_url=False)[0])}") from error


def _explain(fault: ErrorDetails) -> str:
    """A sentence that names the member as it stands in the file, not as pydantic names the branches of a union."""
    table = fault["loc"][0] == "preprocessing" and "table" in fault["loc"]
    known = [*PreprocessingTable.model_fields] if table else [*ModelConfig.model_fields]
    if fault["type"] == "extra_forbidden":
        return f"'{'preprocessing.' if table else ''}{fault['loc'][-1]}' is not known; known: {', '.join(known)}"
    members = [part for part in fault["loc"][1:] if part in known or isinstance(part, int)]
    return f"'{'.'.join(map(str, [fault['loc'][0], *members]))}': {fault['msg']}"
