"""The one base of every schema."""

from pydantic import BaseModel, ConfigDict


class Schema(BaseModel):
    """Frozen, and refusing what it does not know: a misspelt parameter must never be silently ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
