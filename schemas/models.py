"""Models, their layers and their predictions, as clients see them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from schemas.base import Schema
from schemas.methods import MethodAvailability
from schemas.sentences import Sentence

ModelState = Literal["available", "loading", "ready", "failed", "unloading"]
Fit = Literal["stretch", "crop", "pad"]
Task = Literal["classification", "binary", "regression", "autoencoder", "features"]


class Prediction(Schema):
    index: int = Field(description="The class, from 0.", examples=[3])
    label: str = Field(description="Its name.", examples=["star"])
    score: float = Field(description="Probability, or the value itself for a regression.", examples=[0.97])


class InputContract(Schema):
    """What a picture becomes before the network sees it."""

    height: int | None = Field(description="Pixels; null where the model takes any size.", examples=[96])
    width: int | None = Field(examples=[96])
    channels: int = Field(description="1 (gray) or 3 (RGB, before preprocessing).", examples=[3])
    preprocessing: str = Field(description="Name, or `custom` for a table in model.toml.", examples=["unit"])
    fit: Fit = Field(
        "stretch",
        description="How a picture of another aspect is brought to this size: stretched, the middle cut out, or whole "
        "with black around it.",
    )


class VersionState(Schema):
    """A version that is in memory, on its way there, or failed to get there."""

    version: str = Field(examples=["1"])
    state: ModelState
    reason: Sentence | None = Field(None, description="Why it failed to load.")
    since: datetime
    bytes: int = Field(description="Memory that it takes, weights and compiled graphs, or will take.")


class ModelSummary(Schema):
    name: str = Field(examples=["shapes"])
    versions: list[str] = Field(description="Newest first.", examples=[["1"]])
    state: ModelState = Field(
        description="Of the version that is served where none is named: `available` is loaded when somebody asks."
    )
    reason: Sentence | None = Field(None, description="Why that version, or the newest, failed to load.")
    since: datetime | None = Field(None, description="Since when it is in that state; null where it is `available`.")
    states: list[VersionState] = Field([], description="All versions that are not merely `available`.")
    task: Task | None = Field(None, description="Null until the model has been loaded once.")
    input: InputContract | None = Field(None, description="Null until loaded once, or where no picture goes in.")


class ModelList(Schema):
    models: list[str] = Field(examples=[["shapes"]])
    details: list[ModelSummary]


class ParameterCounts(Schema):
    parameters: int
    trainable: int
    non_trainable: int


class Finding(Schema):
    """One thing that is known or guessed of a model, and why."""

    subject: Literal["input", "fit", "preprocessing", "task", "logits", "default_layer", "latent_layer"]
    value: str | None
    sure: Literal["stated", "certain", "likely", "guess"] = Field(
        description="`stated` in model.toml, `certain` from the network, `likely`, or a mere `guess`."
    )
    because: Sentence


class ModelDetail(ModelSummary):
    ready: bool = Field(description="Whether it answers: one that is `available` is loaded by the first who asks.")
    version: str = Field(examples=["1"])
    digest: str | None = Field(
        description="SHA-256 of the model's file; made from its name where the weights are random, null until loaded."
    )
    classes: list[str] | None = Field(description="Labels by class index; null without class scores.")
    logits: str | None = Field(description="What a class heat map differentiates.", examples=["logit"])
    default_layer: str | None = Field(examples=["conv4"])
    parameters: ParameterCounts | None = Field(description="Null until the model is loaded.")
    findings: list[Finding] = Field(description="What was found out about the model, and how sure it is.")
    repairs: list[Sentence] = Field(
        description="What had to be mended to load the file, or is to be known of its weights."
    )
    methods: list[MethodAvailability]


class Layer(Schema):
    index: int
    path: str = Field(description="`/` separates nested models.", examples=["backbone/conv4"])
    name: str
    type: str = Field(examples=["Conv2D"])
    output_shape: list[int | None] = Field(examples=[[None, 12, 12, 96]])
    kernel_shape: list[int] | None
    bias_shape: list[int] | None
    parameters: int


class LayerList(Schema):
    layers: list[Layer]
    totals: ParameterCounts
