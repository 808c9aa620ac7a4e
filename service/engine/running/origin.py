"""Where a result comes from: all that is needed to make it again, and with which software."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from schemas.results import Provenance
from service.engine.drawing.renderer import Facts
from service.engine.images.photo import Photo
from service.engine.model import Model
from service.engine.running.request import Request
from service.engine.running.viewing import describe_range

_SOFTWARE = ("convscope", "tensorflow", "keras", "numpy", "pillow", "opencv-python-headless", "isal")
_NO_FACTS = Facts()


def describe_origin(model: Model, request: Request, facts: Facts = _NO_FACTS, photo: Photo | None = None) -> Provenance:
    """The parameters as they were used, how it was computed, and the digests of model and pictures."""
    params = request.params.model_dump() | dict(facts.resolved)
    plan = dict(facts.plan)
    if photo is not None:
        plan |= {
            "input_size": list(photo.seen.shape[:2]),
            "fit": photo.framing.fit,
            "resampling": "pillow-bilinear",
            "preprocessing": model.preprocessing.name,
        }
        if photo.samples is not None:
            plan["sample_range"] = describe_range(photo.samples).model_dump()
    return Provenance(
        params=params,
        seed=params.get("seed"),
        image_sha256=request.image.sha256 if photo and request.image else None,
        images_sha256=request.images.sha256 if request.images else None,
        model_sha256=model.digest,
        plan=plan,
        software=software(),
    )


@cache
def software() -> dict[str, str]:
    """Installed versions of the packages that a result depends on, by package name."""
    versions = {}
    for package in _SOFTWARE:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            # `tensorflow-cpu` and distribution builds carry other names.
            continue
    return versions
