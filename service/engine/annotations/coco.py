"""Annotations in COCO's instances JSON: outlines, boxes and run lengths, for many pictures in one file.

https://cocodataset.org/#format-data: a box is (left, top, width, height), an outline (x, y, x, y, …), both from the
upper left corner of the first pixel. What is marked as a crowd has
many objects, and pixels between them: it is left out.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Final

import numpy as np
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from service.engine.allowance import FREE
from service.engine.annotations.regions import (
    Annotation,
    Polygon,
    RunLengths,
    Shape,
    Thing,
    box,
    require_inside,
)
from service.engine.images.archive import Member, readable
from service.engine.text_files import to_utf8
from service.errors import AnnotationInvalidError

MAX_BYTES: Final = 2**25
# Parsed, an empty list takes a hundred times as much as its two letters.
_MAX_LISTS: Final = 2**19
_MAX_VALUES: Final = 2**22
_MAX_RUN_PIXELS: Final = 2**26
_GO_ON_EVERY: Final = 1000

Place = Annotated[float, Field(ge=-65_536, le=65_536, allow_inf_nan=False)]
Length = Annotated[float, Field(ge=0, le=65_536, allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=65_536)]


class _Picture(BaseModel):
    id: int | str
    file_name: Annotated[str, AfterValidator(lambda name: name.replace("\\", "/"))]
    width: Side | None = None
    height: Side | None = None

    @property
    def frame(self) -> tuple[int, int] | None:
        return (self.height, self.width) if self.height and self.width else None


class _Runs(BaseModel):
    size: tuple[Side, Side]
    counts: Annotated[list[Annotated[int, Field(ge=0)]], Field(fail_fast=True)] | str


class _Mark(BaseModel):
    image_id: int | str
    category_id: int | str | None = None
    iscrowd: int | None = None
    bbox: tuple[Place, Place, Length, Length] | None = None
    segmentation: (
        Annotated[list[Annotated[list[Place], Field(fail_fast=True)]], Field(fail_fast=True)] | _Runs | None
    ) = None


class _Category(BaseModel):
    id: int | str
    name: str


class _Instances(BaseModel):
    images: Annotated[list[_Picture], Field(fail_fast=True)]
    annotations: Annotated[list[_Mark], Field(fail_fast=True)]
    categories: Annotated[list[_Category], Field(fail_fast=True)] = []


def read_coco(
    data: bytes, file: str, members: Sequence[Member], go_on: Callable[[], None] = FREE.check
) -> dict[int, Annotation] | None:
    """The objects of each picture of the dataset by its index; None where it is JSON of another kind.

    `go_on` is called now and then. Raises AnnotationInvalidError, or what that does.
    """
    found = _parse(data, file)
    if found is None:
        return None
    pictures = _match(found.images, members, file)
    crowds: Counter[int] = Counter()
    names = {category.id: category.name for category in found.categories}
    things: dict[int, list[Thing]] = {}
    for number, mark in enumerate(found.annotations):
        if number % _GO_ON_EVERY == 0:
            go_on()
        if (place := pictures.get(mark.image_id)) is not None:
            index, picture = place
            objects = things.setdefault(index, [])
            if mark.iscrowd:
                crowds[index] += 1
                continue
            name = None if mark.category_id is None else names.get(mark.category_id)
            objects.append(Thing(name, _shapes(mark, picture, file)))
    frames = {index: picture.frame for index, picture in pictures.values()}
    return {index: Annotation(file, tuple(objects), frames[index], crowds[index]) for index, objects in things.items()}


def _parse(data: bytes, file: str) -> _Instances | None:
    try:
        data = to_utf8(data)
    except UnicodeDecodeError as error:
        raise AnnotationInvalidError(f"'{file}' is no JSON: {error}") from error
    if data.count(b"[") + data.count(b"{") > _MAX_LISTS or data.count(b",") > _MAX_VALUES:
        raise AnnotationInvalidError(f"'{file}' has too many values: leave out what is not about this dataset")
    try:
        return _Instances.model_validate_json(data)
    except ValidationError as error:
        # A list of lists has an error for each way to read it; one of them is enough.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        raise AnnotationInvalidError(f"'{file}' is no JSON: {first['msg']}")
    if first["type"] == "model_type" or (
        first["type"] == "missing" and first["loc"] in (("images",), ("annotations",))
    ):
        return None
    raise AnnotationInvalidError(f"'{file}': {_where(first['loc'])}: {first['msg']}")


def _where(location: tuple[Any, ...]) -> str:
    return "/".join(map(str, location))[:100]


def _match(pictures: Sequence[_Picture], members: Sequence[Member], file: str) -> dict[int | str, tuple[int, _Picture]]:
    """Which picture of the dataset each of the file's is, by its id: that of the same path, or else the same name."""
    whole = {member.name: member.index for member in members}
    bare: dict[str, list[int]] = {}
    for member in members:
        bare.setdefault(PurePosixPath(member.name).name, []).append(member.index)
    by_path = {whole[picture.file_name] for picture in pictures if picture.file_name in whole}
    found: dict[int | str, tuple[int, _Picture]] = {}
    taken: set[int] = set()
    for picture in pictures:
        name = picture.file_name
        if name in whole:
            places = [whole[name]]
        else:
            places = [place for place in bare.get(PurePosixPath(name).name, []) if place not in by_path]
        if not places:
            continue
        if len(places) > 1 or places[0] in taken or picture.id in found:
            raise AnnotationInvalidError(
                f"'{file}': '{readable(name)}' may mean several pictures, or is there twice: name each by its path"
            )
        taken.add(places[0])
        found[picture.id] = (places[0], picture)
    return found


def _shapes(mark: _Mark, picture: _Picture, file: str) -> tuple[Shape, ...]:
    shapes: list[Shape] = []
    if isinstance(mark.segmentation, _Runs):
        return (_runs(mark.segmentation, file),)
    for outline in mark.segmentation or ():
        if len(outline) < 6 or len(outline) % 2:
            raise AnnotationInvalidError(
                f"'{file}': an outline has {len(outline)} numbers: it takes three points or more"
            )
        shapes.append(Polygon(np.array(outline, np.float64).reshape(-1, 2)))
    if not shapes and mark.bbox is not None:
        left, top, width, height = mark.bbox
        shapes.append(box(left, top, left + width, top + height))
    for shape in shapes:
        if picture.frame is not None and isinstance(shape, Polygon):
            require_inside(shape, picture.frame, file)
    return tuple(shapes)


def _runs(runs: _Runs, file: str) -> RunLengths:
    if isinstance(runs.counts, str):
        raise AnnotationInvalidError(f"'{file}': compressed run lengths are not read: write 'counts' as numbers")
    height, width = runs.size
    if height * width > _MAX_RUN_PIXELS or sum(runs.counts) != height * width:
        raise AnnotationInvalidError(f"'{file}': run lengths do not come to their size of {height} x {width}")
    return RunLengths((height, width), np.array(runs.counts, np.int64))
