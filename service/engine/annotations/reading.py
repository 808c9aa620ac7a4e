"""What a dataset says of where the objects of its pictures are: masks, Pascal VOC, COCO. All of it is untrusted.

A mask (`masks/cat/1.png`, `cat/masks/1.png`) counts more than an XML file (`cat/1.xml`, `annotations/cat/1.xml`), and
that more than a COCO file anywhere in the dataset.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from PIL import Image

from service.engine.allowance import FREE
from service.engine.annotations import coco, voc
from service.engine.annotations.regions import Annotation, Mask, draw, fit_mask
from service.engine.images.archive import MASKS, Dataset, Member, readable
from service.engine.images.decoding import ImageLimits
from service.errors import AnnotationInvalidError

_ANNOTATIONS: Final = "annotations"
# What every PNG begins with.
_PNG: Final = b"\x89PNG\r\n\x1a\n"
# Of all XML files of a dataset, a fifth of a second for each megabyte; those of ten thousand pictures have 5 to 20 MB.
_MAX_XML_BYTES: Final = 2**25
# Where pictures are beside masks or annotations.
_PICTURES: Final = frozenset(("images", "jpegimages"))


@dataclass(frozen=True)
class Marked:
    """The pixels of a picture's objects, (h, w), and the file that says so."""

    file: str
    mask: Mask


@dataclass(frozen=True)
class _Index:
    """By the index of a picture: the names of its mask and its XML file, and what a COCO file says of it."""

    masks: dict[int, str]
    xml: dict[int, str]
    coco: dict[int, Annotation]


# Of the latest dataset, by its SHA-256: each slice would go through all names, and the COCO file, anew.
_LATEST: Final[dict[str, _Index]] = {}


class Annotations:
    """The annotations of one dataset; safe to use from several threads. Raises AnnotationInvalidError.

    `go_on` is called between files, and may raise where it takes too long.
    """

    def __init__(self, images: Dataset, go_on: Callable[[], None] = FREE.check) -> None:
        self._images = images
        self._go_on = go_on
        self._index = _recall(images, go_on)

    def check(self) -> None:
        """Read all that is not a picture itself. Raises AnnotationInvalidError."""
        for name in set(self._index.masks.values()):
            self._go_on()
            if self._images.head_of_note(name, len(_PNG)) != _PNG:
                raise AnnotationInvalidError(f"'{readable(name)}' is no PNG: other formats blur the edges of a mask")
        xml = self._index.xml.values()
        if sum(self._images.size_of_note(name) for name in set(xml)) > _MAX_XML_BYTES:
            raise AnnotationInvalidError(f"the XML files of the dataset have more than {_MAX_XML_BYTES} bytes together")
        for name in xml:
            self._go_on()
            self._read_xml(name)

    def find(self, member: Member, size: tuple[int, int], names: Sequence[str], limits: ImageLimits) -> Marked | None:
        """Where the objects of a picture of (h, w) are, those of the first of `names` that is among them, else all.

        None where nothing is marked. Raises AnnotationInvalidError.
        """
        name = self._index.masks.get(member.index)
        if name is not None:
            marked = Marked(name, fit_mask(self._read_mask(name, limits), size, readable(name)))
            return marked if marked.mask.any() else None
        annotation = self._annotation(member)
        if annotation is None:
            return None
        mask = draw(annotation.about(names), size)
        return Marked(annotation.file, mask) if mask.any() else None

    def count_crowds(self, member: Member) -> int:
        """How many regions of several objects a COCO file has for a picture, if it is that which counts."""
        if member.index in self._index.masks:
            return 0
        annotation = self._annotation(member)
        return 0 if annotation is None else annotation.crowds

    def _annotation(self, member: Member) -> Annotation | None:
        name = self._index.xml.get(member.index)
        annotation = None if name is None else self._read_xml(name)
        return annotation or self._index.coco.get(member.index)

    def _read_xml(self, name: str) -> Annotation | None:
        return voc.read_voc(self._images.read_note(name, voc.MAX_BYTES), readable(name))

    def _read_mask(self, name: str, limits: ImageLimits) -> Mask:
        data = self._images.read_note(name, limits.max_bytes)
        try:
            with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
                is_modest = image.width * image.height <= limits.max_pixels
                mask = _to_mask(image) if is_modest else None
        except Exception as error:  # decoders raise anything at all
            raise AnnotationInvalidError(f"'{readable(name)}' is no PNG that can be read") from error
        if mask is None:
            raise AnnotationInvalidError(f"'{readable(name)}' has more than {limits.max_pixels} pixels")
        return mask


def _recall(images: Dataset, go_on: Callable[[], None]) -> _Index:
    known = _LATEST.get(images.sha256)
    if known is None:
        known = _list(images, go_on)
        _LATEST.clear()
        _LATEST[images.sha256] = known
    return known


def _list(images: Dataset, go_on: Callable[[], None]) -> _Index:
    paths = [(name, PurePosixPath(name)) for name in images.notes]
    xml = [name for name, path in paths if path.suffix.lower() == ".xml"]
    json = [name for name, path in paths if path.suffix.lower() == ".json"]
    masks = [name for name, path in paths if path.suffix.lower() not in (".xml", ".json")]
    return _Index(
        _match(masks, images.members, MASKS),
        _match(xml, images.members, _ANNOTATIONS),
        _read_coco(images, json, go_on),
    )


def _read_coco(images: Dataset, names: Iterable[str], go_on: Callable[[], None]) -> dict[int, Annotation]:
    """Of all JSON files the one that is COCO's."""
    found: dict[int, Annotation] | None = None
    left = coco.MAX_BYTES
    for name in names:
        data = images.read_note(name, left)
        left -= len(data)
        read = coco.read_coco(data, readable(name), images.members, go_on)
        if read is not None and found is not None:
            raise AnnotationInvalidError(f"'{readable(name)}' is a second COCO file: a dataset may have one")
        found = read if found is None else found
    return found or {}


def _to_mask(image: Image.Image) -> Mask:
    """What is neither zero (black, a palette's first colour) nor transparent."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return np.asarray(pixels != 0)
    if image.mode in ("RGBA", "LA"):
        return np.asarray(pixels[..., :-1].any(axis=-1) & (pixels[..., -1] > 0))
    return np.asarray(pixels.any(axis=-1))


def _match(names: Iterable[str], members: Sequence[Member], folder: str) -> dict[int, str]:
    """Which file is about which picture: that of the same path, but for folders that say what is in them.

    One that lies straight in `folder` is about the only picture of its stem, wherever that is.
    """
    by_path: dict[tuple[str, ...], str] = {}
    straight: dict[str, str] = {}
    for name in names:
        by_path.setdefault(_key(name, frozenset((folder,))), name)
        path = PurePosixPath(name)
        if path.parent.name.casefold() == folder:
            straight.setdefault(path.stem, name)
    count = Counter(PurePosixPath(member.name).stem for member in members)
    alone = {stem: name for stem, name in straight.items() if count[stem] == 1}
    found: dict[int, str] = {}
    for member in members:
        whole, short = _key(member.name, frozenset()), _key(member.name, _PICTURES)
        file = by_path.get(whole) or by_path.get(short) or alone.get(whole[-1])
        if file is not None:
            found[member.index] = file
    return found


def _key(name: str, left_out: frozenset[str]) -> tuple[str, ...]:
    path = PurePosixPath(name)
    return (*(part for part in path.parent.parts if part.casefold() not in left_out), path.stem)
