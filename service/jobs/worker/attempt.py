"""What one attempt at a chunk leaves among the artifacts: pictures as they are drawn, numbers too many for a record."""

import logging
import zlib
from typing import Final

from pydantic_core import from_json, to_json

from schemas.jobs import ChunkAnswer, ChunkResult, StoredImage
from schemas.results import Answer, Result, ResultImage
from service.errors import ConvscopeError
from service.jobs.artifacts import Artifacts
from service.jobs.store.port import Claim

logger = logging.getLogger(__name__)

# Of pictures that wait to be written: a few small ones at once cost one synchronised folder, not one each.
WAITING_BYTES: Final = 4 * 2**20
# Of numbers, as JSON, that stay in the record. Those of a layer-health chunk of ResNet50 are 3.8 MB.
RECORD_BYTES: Final = 16 * 2**10
# Arrays as base64: a higher level takes longer and gains nothing.
_ZLIB_LEVEL: Final = 1


class Attempt:
    """Holds pictures of at most WAITING_BYTES, and one more."""

    def __init__(self, artifacts: Artifacts, claim: Claim) -> None:
        self._artifacts = artifacts
        self._claim = claim
        self._place = claim.record.id, claim.chunk, claim.fence
        self._waiting: list[ResultImage] = []
        self._bytes = 0
        self._written: dict[str, StoredImage] = {}

    def write(self, image: ResultImage) -> ResultImage:
        """Take a picture; gives back its facts, with no bytes. Raises what artifacts raise."""
        self._waiting.append(image)
        self._bytes += len(image.data)
        if self._bytes >= WAITING_BYTES:
            self._flush()
        return image.model_copy(update={"data": b""})

    def keep(self, result: Result) -> ChunkResult:
        """What the record is to have of the chunk, whose pictures were all given to `write`."""
        self._flush()
        told = {name: getattr(result, name) for name in Answer.model_fields}
        images = [self._written[image.name] for image in result.images]
        record = self._claim.record
        if record.combines and self._claim.chunk < len(record.chunks):
            values = to_json(result.values)
            if len(values) > RECORD_BYTES:
                file = self._artifacts.write_values(*self._place, zlib.compress(values, _ZLIB_LEVEL))
                return ChunkResult(**told | {"values": {}}, values_file=file, images=images)
        return ChunkResult(**told, images=images)

    def discard(self) -> None:
        """Remove what was written, as far as that is possible: it goes with the job at the latest."""
        try:
            self._artifacts.remove_attempt(*self._place)
        except ConvscopeError as error:
            logger.warning("what was written for job %s chunk %d stays for now: %s", *self._place[:2], error.detail)

    def _flush(self) -> None:
        stored = self._artifacts.write_pictures(*self._place, self._waiting)
        self._written |= {image.name: image for image in stored}
        self._waiting.clear()
        self._bytes = 0


def read_whole(artifacts: Artifacts, answer: ChunkAnswer) -> Answer:
    """The answer with its numbers. Raises what artifacts raise."""
    if answer.values_file is None:
        return answer
    values = from_json(zlib.decompress(artifacts.read(answer.values_file)))
    return answer.model_copy(update={"values": values})


def forget_numbers(artifacts: Artifacts, job: str) -> None:
    """Of a job that has ended: nobody reads any more what its chunks came to."""
    try:
        artifacts.remove_values(job)
    except ConvscopeError as error:
        logger.warning("the numbers of the chunks of job %s stay for now: %s", job, error.detail)
