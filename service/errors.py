"""What can go wrong, each with a stable code and a detail that tells what to do. Knows nothing of HTTP."""

from typing import ClassVar

from schemas.sentences import plain, without_folders


class ConvscopeError(Exception):
    """Base of every error that a client may see; `code` is stable, `detail` is a sentence for people, see `plain`."""

    code: ClassVar[str]
    field: str | None = None

    def __init__(self, detail: str) -> None:
        self.detail = plain(detail)
        super().__init__(self.detail)


class ModelNotFoundError(ConvscopeError):
    code = "model_not_found"


class VersionNotFoundError(ConvscopeError):
    code = "version_not_found"


class ModelFailedError(ConvscopeError):
    """The detail may quote Keras, which names the places of files, those of mended copies too."""

    code = "model_failed"

    def __init__(self, detail: str) -> None:
        super().__init__(without_folders(detail))


class ModelNotLoadedError(ConvscopeError):
    code = "model_not_loaded"


class WeightsUnavailableError(ConvscopeError):
    code = "weights_unavailable"


class MethodUnavailableError(ConvscopeError):
    code = "method_unavailable"


class LayerNotFoundError(ConvscopeError):
    code = "layer_not_found"
    field = "layer"


class LayerNotSpatialError(ConvscopeError):
    code = "layer_not_spatial"
    field = "layer"


class LayerNotConnectedError(ConvscopeError):
    code = "layer_not_connected"
    field = "layer"


class LayerWithoutKernelError(ConvscopeError):
    code = "layer_without_kernel"
    field = "layer"


class LayerWithoutFilterError(ConvscopeError):
    code = "layer_without_filters"
    field = "layer"


class SizeUnsuitableError(ConvscopeError):
    code = "size_unsuitable"
    field = "size"


class LayerNotDrawableError(ConvscopeError):
    code = "layer_not_drawable"
    field = "layer"


class ChannelOutOfRangeError(ConvscopeError):
    code = "channel_out_of_range"
    field = "channels"


class UnitOutOfRangeError(ConvscopeError):
    code = "unit_out_of_range"
    field = "units"


class FilterOutOfRangeError(ConvscopeError):
    code = "filter_out_of_range"
    field = "filters"


class PageOutOfRangeError(ConvscopeError):
    code = "page_out_of_range"
    field = "page"


class TooManyValuesError(ConvscopeError):
    code = "too_many_values"
    field = "values"


class ClassOutOfRangeError(ConvscopeError):
    code = "class_out_of_range"
    field = "class_index"


class PictureOutOfRangeError(ConvscopeError):
    code = "picture_out_of_range"
    field = "between"


class LatentTooLargeError(ConvscopeError):
    code = "latent_too_large"


class NotFiniteError(ConvscopeError):
    code = "not_finite"


class ComputationFailedError(ConvscopeError):
    code = "computation_failed"


class ImageMissingError(ConvscopeError):
    code = "image_missing"
    field = "image"


class ImageInvalidError(ConvscopeError):
    code = "image_invalid"
    field = "image"


class ImageTooLargeError(ConvscopeError):
    code = "image_too_large"
    field = "image"


class ImageTooManyPixelsError(ConvscopeError):
    code = "image_too_many_pixels"
    field = "image"


class DatasetMissingError(ConvscopeError):
    code = "images_missing"
    field = "images"


class DatasetNotFoundError(ConvscopeError):
    code = "dataset_not_found"
    field = "dataset"


class DatasetInvalidError(ConvscopeError):
    code = "dataset_invalid"
    field = "images"


class DatasetEmptyError(ConvscopeError):
    code = "dataset_empty"
    field = "images"


class DatasetTooLargeError(ConvscopeError):
    code = "dataset_too_large"
    field = "images"


class AnnotationInvalidError(ConvscopeError):
    """The detail names the file in the dataset."""

    code = "annotation_invalid"
    field = "images"


class TooFewVersionsError(ConvscopeError):
    code = "versions_invalid"
    field = "versions"


class VersionsDifferError(ConvscopeError):
    code = "versions_differ"
    field = "versions"


class ServerBusyError(ConvscopeError):
    code = "server_busy"


class ClientGoneError(ConvscopeError):
    """Nobody waits for the answer any more."""

    code = "client_gone"


class DeadlineExceededError(ConvscopeError):
    code = "deadline_exceeded"


class StorageFullError(ConvscopeError):
    code = "storage_full"


class JobTooLargeError(ConvscopeError):
    """A job that asks for more than the service allows; `field` is the parameter to lower."""

    code = "job_too_large"

    def __init__(self, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.field = field
