"""Pictures and inputs of jobs, behind fsspec: in a folder, or in object storage that several machines share."""

from collections.abc import Callable, Sequence

from schemas.jobs import StoredImage
from schemas.results import ResultImage
from service.errors import ConvscopeError


class StorageFullError(ConvscopeError):
    code = "storage_full"


class StorageUnavailableError(ConvscopeError):
    code = "storage_unavailable"


class ArtifactMissingError(ConvscopeError):
    code = "image_not_found"


class Artifacts:
    """Files that are written once, whole or not at all, and never changed.

    Inputs lie at `inputs/{sha256}`, pictures at `results/{job}/{chunk}-{fence}/{name}.png`, so that two attempts at a
    chunk never meet. Every call may raise StorageUnavailableError. Safe to use from several threads.
    """

    def __init__(self, url: str) -> None:
        raise NotImplementedError

    def write_input(self, data: bytes) -> str:
        """Keep an input; returns its SHA-256. Writing it again makes it young again. Raises StorageFullError."""
        raise NotImplementedError

    def read_input(self, sha256: str) -> bytes:
        """Raises ArtifactMissingError."""
        raise NotImplementedError

    def write_pictures(self, job: str, chunk: int, fence: int, images: Sequence[ResultImage]) -> list[StoredImage]:
        """Write the pictures of one attempt, durably. Raises StorageFullError."""
        raise NotImplementedError

    def read(self, file: str) -> bytes:
        """The bytes of a picture by its `file`. Raises ArtifactMissingError."""
        raise NotImplementedError

    def remove_jobs(self, jobs: Sequence[str]) -> None:
        """Remove the pictures of jobs; those of unknown ones are none."""
        raise NotImplementedError

    def collect(
        self, known: Callable[[Sequence[str]], set[str]], inputs: Callable[[], set[str]], *, older_than_seconds: float
    ) -> int:
        """Remove what no record refers to and nobody has written lately; returns how many jobs and inputs that were.

        `known` gives those of some job ids that have a record, `inputs` the SHA-256 of every input in use.
        """
        raise NotImplementedError
