"""What is asked of a model, and why it may not be. Computes nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from schemas.methods import MethodParams
from schemas.results import ResultImage
from service.engine.allowance import FREE, Allowance
from service.engine.images.archive import Dataset
from service.engine.images.photo import ImageFile
from service.engine.kinds.method import AnyMethod
from service.engine.model import Model
from service.engine.running.viewing import KeptPictures
from service.errors import DatasetMissingError, ImageMissingError, MethodUnavailableError


def as_it_is(image: ResultImage) -> ResultImage:
    """Where pictures are held until the result is whole."""
    return image


@dataclass(frozen=True)
class Request:
    """Which method, with which parameters, on which picture, or on each of a dataset; and what it may take.

    `write` is given each picture of the result as soon as it is encoded, and gives back what the result holds of it:
    for a chunk with hundreds of pictures the facts alone, with no bytes.
    """

    method: AnyMethod
    params: MethodParams
    image: ImageFile | None
    first_picture_only: bool = False
    queue_seconds: float = 0.0
    images: Dataset | None = None
    allowance: Allowance = FREE
    kept: KeptPictures | None = None
    write: Callable[[ResultImage], ResultImage] = as_it_is


def refuse(model: Model, request: Request) -> None:
    """Raise what can be known without computing: a method that cannot work here, a missing image."""
    if reason := request.method.refuse(model.network_info):
        raise MethodUnavailableError(f"'{request.method.name}' does not work on '{model.name}': {reason}")
    if request.images is not None:
        return
    if request.method.consumes == "image" and request.image is None:
        raise ImageMissingError(
            "no image was sent: add the form field 'image' (a file) or the JSON member 'image' (base64)"
        )
    if request.method.consumes == "images":
        raise DatasetMissingError(
            "no images were sent: add the form field 'images' (a ZIP, or several files) or 'dataset'"
        )
