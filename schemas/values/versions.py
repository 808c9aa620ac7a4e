"""Numbers of several versions of a model side by side."""

from functools import cache, reduce
from operator import or_

from pydantic import Field, SerializeAsAny, create_model

from schemas.base import Schema
from schemas.models import Prediction
from schemas.results import Target
from schemas.values.base import Values, is_none
from schemas.values.datasets import Skipped


class Likeness(Schema):
    """How alike one array is in two versions. Without a correlation there is a reason, or it is left out."""

    of: str = Field(description="What the array is of, such as a picture, a layer or a filter; empty for the only one.")
    correlation: float | None = Field(None, description="Pearson's, -1…1.")
    reason: str | None = Field(None, description="Why there is none; null for one that is left out.")


class Worst(Schema):
    """The array that is least alike."""

    of: str = Field(description="Which array.")
    correlation: float = Field(description="Pearson's, -1…1.")


class Likenesses(Schema):
    """How alike two versions are, array by array."""

    correlation: float | None = Field(description="The mean over all arrays that have one.")
    worst: Worst | None = Field(description="The array that is least alike; null without any.")
    compared: int = Field(description="Arrays with a correlation.")
    left_out: int = Field(description="Arrays that are constant and equal in both, a single number, or in neither.")
    without: int = Field(description="Arrays with a reason instead.")
    reason: str | None = Field(description="Why the comparison says less than it should; null where it does not.")
    items: list[Likeness] = Field(description="Array by array.")


class Neighbours(Likenesses):
    """Two versions of which one follows the other."""

    older: str = Field(alias="from", description="The version before.")
    newer: str = Field(alias="to", description="The version after it.")


class VersionValues(Schema):
    """What one version came to."""

    version: str = Field(description="Which version.")
    model_sha256: str = Field(description="SHA-256 of its file.")
    layer: str | None = Field(description="The layer that was looked at, where it is one.")
    target: Target | None = Field(description="What was explained; null where nothing was.")
    predictions: list[Prediction] = Field(description="Its best answers, best first.")
    correlation: float | None = Field(description="With the version before; null for the first.")
    values: SerializeAsAny[Values] = Field(description="As the method has them for one version.")


class VersionsValues(Values):
    """Versions of a model side by side."""

    compared: str | None = Field(description="What is held against each other, in words.")
    neighbours: list[Neighbours] = Field(description="Each version and the one before.")
    min_correlation: float | None = Field(description="The least of all neighbours; null where one has a reason.")
    reason: str | None = Field(description="The first reason; null where there is none.")
    images: int | None = Field(None, exclude_if=is_none, description="Pictures of a dataset that were used.")
    skipped: list[Skipped] | None = Field(
        None, exclude_if=is_none, description="Pictures of a dataset that some version could not use."
    )
    versions: list[VersionValues] = Field(description="Each version by itself, oldest first.")


@cache
def versions_of(*models: type[Values]) -> type[VersionsValues]:
    """`VersionsValues` of a method whose `values` for one version are one of the models, most particular first."""
    name = models[0].__name__.removesuffix("Values")
    entry = create_model(
        f"{name}Version",
        __base__=VersionValues,
        __doc__="What one version came to.",
        values=(reduce(or_, models), Field(description="As the method has them for one version.")),
    )
    return create_model(
        f"{name}Versions",
        __base__=VersionsValues,
        __doc__="Versions of a model side by side.",
        versions=(list[entry], Field(description="Each version by itself, oldest first.")),
    )
