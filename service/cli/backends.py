"""Where the work is done: here, over the same catalog and engine as the API's, or at a service with `--server`."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import click
from pydantic import ValidationError

from schemas.datasets import DatasetList
from schemas.methods import MethodParams
from schemas.models import LayerList, ModelList
from schemas.results import Result
from service.cli.datasets import PictureDataset
from service.cli.exits import Exit, fail
from service.cli.speech import speak
from service.client import Client, ServiceError
from service.composition.limits import image_limits, job_limits
from service.composition.models import open_catalog, open_datasets
from service.engine.chunks import JobLimits, run_all
from service.engine.images.archive import Dataset, open_dataset
from service.engine.images.decoding import ImageLimits
from service.engine.images.photo import ImageFile
from service.engine.kinds.method import AnyMethod
from service.engine.running import request as engine
from service.engine.running.run import run
from service.engine.versions.comparison import run_versions
from service.errors import ImageInvalidError, ImageTooLargeError
from service.models.catalog import Catalog
from service.models.datasets import Datasets
from service.models.doctor import list_layers
from service.models.listing import list_models
from service.settings import ENV_FILE, Settings

# Is told the share of the work that is done, 0…1.
Report = Callable[[float], None]


@dataclass(frozen=True)
class Work:
    """What to compute of every picture."""

    method: AnyMethod
    params: MethodParams
    model: str
    version: str | None
    pictures: PictureDataset | None = None
    versions: str | None = None


class Backend(Protocol):
    """Raises ConvscopeError or ServiceError, which both have a `code` and a `detail`."""

    def run(self, work: Work, image: Path | None, report: Report) -> Result:
        """Compute one result, of an image or of the work's dataset.

        Where that takes long, `report` is told the share done, 0…1.
        """
        ...

    def models(self, *, load: bool) -> ModelList: ...

    def layers(self, model: str, version: str | None) -> LayerList: ...

    def datasets(self) -> DatasetList: ...


# Opens the place at a service's URL, or here where it is None.
OpenBackend = Callable[[str | None], AbstractContextManager[Backend]]


@contextmanager
def open_backend(server: str | None) -> Iterator[Backend]:
    """The places of the real program, set up by the environment."""
    if server is not None:
        try:
            client = Client(server)
        except ServiceError as error:
            fail(error, Exit.KEY)
        with client:
            yield Remote(client)
        return
    settings = read_settings()
    with closing(open_catalog(settings)) as catalog:
        yield Local(catalog, image_limits(settings), job_limits(settings), open_datasets(settings))


def read_settings() -> Settings:
    """The settings; what is wrong with them is the user's to mend, so it is said in sentences."""
    if ENV_FILE not in os.environ and _names_settings(Path(".env")):
        speak(f"The settings in .env are not read; {ENV_FILE}=.env reads them.", err=True)
    try:
        return Settings()
    except OSError as error:
        raise click.UsageError(f"{ENV_FILE}: {error.strerror}") from error
    except ValidationError as error:
        sentences = (f"CONVSCOPE_{'__'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors())
        raise click.UsageError("; ".join(sentences)) from error


def _names_settings(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b"CONVSCOPE_" in file.read(2**16)
    except OSError:
        return False


class Local:
    """This process."""

    def __init__(self, catalog: Catalog, limits: ImageLimits, job_limits: JobLimits, datasets: Datasets) -> None:
        self._catalog = catalog
        self._datasets = datasets
        self._limits = limits
        self._job_limits = job_limits

    def run(self, work: Work, image: Path | None, report: Report) -> Result:
        """See Backend."""
        if work.pictures is not None:
            with self._open(work.pictures) as images:
                return self._compute(work, engine.Request(work.method, work.params, None, images=images), report)
        file = None if image is None else ImageFile(_read(image, self._limits.max_bytes))
        return self._compute(work, engine.Request(work.method, work.params, file), report)

    def _compute(self, work: Work, request: engine.Request, report: Report) -> Result:
        if work.versions is not None:
            versions = self._catalog.versions(work.model, work.versions)
            models = [self._catalog.model(work.model, version) for version in versions]
            return run_versions(models, request, (self._limits, self._job_limits), report)
        model = self._catalog.model(work.model, work.version)
        if request.images is not None or work.method.kind == "job":
            return run_all(model, request, self._limits, self._job_limits, report)
        return run(model, request, self._limits)

    @contextmanager
    def _open(self, pictures: PictureDataset) -> Iterator[Dataset]:
        if pictures.name is not None:
            with closing(self._datasets.open(pictures.name)) as images:
                yield images
            return
        with pictures.open() as file, closing(open_dataset(file, self._datasets.limits)) as images:
            yield images

    def models(self, *, load: bool) -> ModelList:
        if load:
            self._catalog.load_all()
        return list_models(self._catalog)

    def layers(self, model: str, version: str | None) -> LayerList:
        return list_layers(self._catalog.model(model, version))

    def datasets(self) -> DatasetList:
        return DatasetList(datasets=self._datasets.names())


class Remote:
    """A running service."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def run(self, work: Work, image: Path | None, report: Report) -> Result:
        """See Backend."""
        given = work.params.model_dump(mode="json", exclude_unset=True)
        if work.versions is not None:
            given["versions"] = work.versions
        if work.pictures is not None and work.pictures.name is not None:
            given["dataset"] = work.pictures.name
        data = None if image is None else _read(image)
        with self._open(work.pictures) as images:
            return self._client.run(
                work.method.name, work.model, version=work.version, image=data, images=images, report=report, **given
            )

    @contextmanager
    def _open(self, pictures: PictureDataset | None) -> Iterator[IO[bytes] | None]:
        if pictures is None or pictures.name is not None:
            yield None
            return
        with pictures.open() as file:
            yield file

    def models(self, *, load: bool) -> ModelList:
        if load:
            raise click.UsageError("a service loads its models by itself: leave '--load' out with '--server'")
        return self._client.models()

    def layers(self, model: str, version: str | None) -> LayerList:
        try:
            return self._client.layers(model, version)
        except ServiceError as error:
            if error.code != "model_not_loaded":
                raise
            # A service loads nothing for a look; whoever names a model here wants it loaded.
            self._client.load(model, version)
            return self._client.layers(model, version)

    def datasets(self) -> DatasetList:
        return self._client.datasets()


def _read(path: Path, max_bytes: int | None = None) -> bytes:
    try:
        # Looked at first: a folder may hold files that no memory does.
        size = path.stat().st_size
        if max_bytes is not None and size > max_bytes:
            raise ImageTooLargeError(f"the image has {size} bytes; at most {max_bytes} are taken")
        return path.read_bytes()
    except OSError as error:
        raise ImageInvalidError(f"the file cannot be read: {error.strerror}") from error
