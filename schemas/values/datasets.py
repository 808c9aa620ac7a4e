"""What every method says of a dataset: its pictures, those that could not be used, and how many answers are right."""

from typing import Literal

from pydantic import Field

from schemas.base import Schema
from schemas.models import Prediction
from schemas.results import Target
from schemas.values.base import Picture, Values, is_none


class Skipped(Schema):
    """A picture, or a file that looks like one, that could not be used."""

    index: int | None = Field(description="Null for a file that is no picture the service reads.")
    name: str = Field(description="Its path in the dataset.")
    code: str = Field(description="The stable code of the problem.", examples=["image_invalid"])
    detail: str = Field(description="What to do about it.")


class SampleRange(Schema):
    """Which of its sixteen bits a gray picture uses."""

    bits: int = Field(description="How many of its bits it uses.")
    maximum: int = Field(description="The value at the other end from 0.")
    sure: Literal["stated", "found"] = Field(description="`stated` by the file or model.toml, `found` in its values.")


class BrightenedPicture(SampleRange):
    """A gray picture of sixteen bits that was drawn brighter, as its range was found and not stated."""

    index: int = Field(description="Its place among the names of the dataset, from 0.")
    name: str = Field(description="Its path in the dataset.")


class DatasetValues(Values):
    """What is known of every dataset that was gone through."""

    images: int = Field(0, description="Pictures that were used.")
    skipped: list[Skipped] = Field([], description="Pictures that could not be used, and why.")
    sample_ranges: list[BrightenedPicture] | None = Field(
        None, exclude_if=is_none, description="Pictures of sixteen bits that were drawn brighter; left out without any."
    )


class ClassName(Schema):
    """A class of the model."""

    index: int = Field(description="The class, from 0.")
    label: str = Field(description="Its name.")


class PictureItem(Picture, Values):
    """What one picture of a dataset came to, for a method of one image."""

    picture: str | None = Field(description="The name of its picture among the images; null where there is none.")
    target: Target | None = Field(description="What was explained; null where nothing was.")
    predictions: list[Prediction] = Field(description="The model's best answers, best first.")
    ground_truth: ClassName | None = Field(description="The class that its folder names; null where it names none.")
    right: bool | None = Field(description="Whether that is the model's best answer; null where nobody knows.")


class PicturesOverDataset(DatasetValues):
    """Every picture of the dataset by itself."""

    items: list[PictureItem] = Field(description="Every picture that was used.")


class Accuracy(Values):
    """How many answers are right."""

    with_ground_truth: int = Field(description="Pictures that are known to show one of the classes.")
    accuracy: float | None = Field(description="Share of them that is answered right, 0…1; null without any.")


class ClassAccuracy(Accuracy, ClassName):
    """The same of the pictures of one class."""

    images: int = Field(description="Pictures that are known to show it.")


class UnmatchedLabel(Schema):
    """A folder whose name means none of the model's classes."""

    label: str = Field(description="The folder.")
    images: int = Field(description="Pictures in it.")


class PredictionsOverDataset(DatasetValues, Accuracy):
    """Predictions of a dataset: of each picture, and how many are right, class by class."""

    classes: list[ClassAccuracy] = Field(description="Classes that pictures are known to show.")
    unmatched_labels: list[UnmatchedLabel] = Field(description="Folders whose names mean none of the model's classes.")
    items: list[PictureItem] = Field(description="Every picture that was used.")
