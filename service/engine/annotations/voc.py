"""Annotations in Pascal VOC's XML: boxes with names.

http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/devkit_doc.html: the first pixel is number 1, and a box reaches
to its last pixel.
"""

import math
from typing import Final, NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from service.engine.annotations.regions import Annotation, Thing, box, require_inside
from service.errors import AnnotationInvalidError

MAX_BYTES: Final = 2**18
# No side of a picture is longer.
_MAX_PLACE: Final = 65_536


class _DoctypeError(ValueError):
    """The file declares a document type."""


class _PlainTree(TreeBuilder):
    # Entities are declared there: what is small can say that it is large, or ask for other files.
    def doctype(self, *_: object) -> NoReturn:
        raise _DoctypeError


def read_voc(data: bytes, file: str) -> Annotation | None:
    """The boxes of a file; None where it is XML of another kind. Raises AnnotationInvalidError."""
    root = _parse(data, file)
    if root.tag != "annotation":
        return None
    frame = _frame(root, file)
    things = tuple(_thing(element, file) for element in root.iterfind("object"))
    if frame is not None:
        for thing in things:
            require_inside(thing.shapes[0], frame, file)  # type: ignore[arg-type] # boxes are polygons
    return Annotation(file, things, frame)


def _parse(data: bytes, file: str) -> Element:
    parser = XMLParser(target=_PlainTree())  # noqa: S314 - without a document type there are no entities
    try:
        parser.feed(data)
        root: Element = parser.close()
    except _DoctypeError as error:
        raise AnnotationInvalidError(f"'{file}' has a DOCTYPE, which is not read: leave it out") from error
    except (ParseError, ValueError, LookupError) as error:
        raise AnnotationInvalidError(f"'{file}' is no well-formed XML: {error}") from error
    return root


def _frame(root: Element, file: str) -> tuple[int, int] | None:
    """What the file says the picture measures; some programs leave it out, or write zeros."""
    size = root.find("size")
    if size is None:
        return None
    height, width = (int(_number(size, name, file)) for name in ("height", "width"))
    return (height, width) if height > 0 and width > 0 else None


def _thing(element: Element, file: str) -> Thing:
    bounds = element.find("bndbox")
    if bounds is None:
        raise AnnotationInvalidError(f"'{file}': an object has no 'bndbox'")
    left, top, right, bottom = (_number(bounds, name, file) for name in ("xmin", "ymin", "xmax", "ymax"))
    if right < left or bottom < top:
        raise AnnotationInvalidError(f"'{file}': a box ends before it starts")
    return Thing((element.findtext("name") or "").strip() or None, (box(left - 1, top - 1, right, bottom),))


def _number(element: Element, name: str, file: str) -> float:
    text = element.findtext(name)
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= _MAX_PLACE:
        raise AnnotationInvalidError(f"'{file}': '{name}' is no number of pixels")
    return value
