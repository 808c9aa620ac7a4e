"""model.toml: what its owner knows of a model and the file does not say."""

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import Discriminator, Field, Tag, ValidationError

from schemas.base import Schema
from schemas.models import Task
from service.catalog.preprocessing import PRESETS, PreprocessingMode, PreprocessingTable
from service.engine.model import Preprocessing
from service.errors import ModelFailedError

Side = Annotated[int, Field(ge=1, le=4096)]


class Card(Schema):
    """The members of a model.toml, all optional."""

    preprocessing: Annotated[
        Annotated[PreprocessingMode, Tag("mode")] | Annotated[PreprocessingTable, Tag("table")],
        Discriminator(lambda value: "table" if isinstance(value, dict | PreprocessingTable) else "mode"),
    ] = "none"
    labels: str | list[str] | None = None
    default_layer: str | None = None
    input_size: tuple[Side, Side] | None = None
    task: Task | None = None
    latent_layer: str | None = None
    decoder: str | None = None
    sha256: str | None = Field(None, pattern=r"^[0-9a-fA-F]{64}$")

    def to_preprocessing(self) -> Preprocessing:
        if isinstance(self.preprocessing, PreprocessingTable):
            return self.preprocessing.to_preprocessing()
        return PRESETS[self.preprocessing]


def read_card(folder: Path) -> Card:
    """Read `folder/model.toml`; a missing file is an empty card. Raises ModelFailedError naming the member."""
    path = folder / "model.toml"
    if not path.exists():
        return Card()
    try:
        return Card.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        # Its full text would tell where on the server the file lies.
        raise ModelFailedError(f"model.toml cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelFailedError(f"model.toml is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("mode", "table"))
        raise ModelFailedError(f"model.toml: '{where}': {first['msg']}") from error
