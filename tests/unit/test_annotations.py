"""Where a dataset says its objects are: each form of annotation, which picture it is about, and all that is refused."""

import io
import json
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.engine.annotations.reading import Annotations
from service.engine.images.archive import Dataset, DatasetLimits, open_dataset
from service.engine.images.decoding import ImageLimits
from service.errors import AnnotationInvalidError

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10**4)
SIZE = (4, 6)


def _dataset(*files: tuple[str, bytes | str]) -> Dataset:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return open_dataset(buffer, DatasetLimits())


def _png(pixels: Any, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(pixels)).save(buffer, kind)
    return buffer.getvalue()


def _mask(value: int = 255) -> bytes:
    pixels = np.zeros(SIZE, np.uint8)
    pixels[1, 2:4] = value
    return _png(pixels)


def voc(*boxes: tuple[str, Any, Any, Any, Any], size: tuple[int, int] | None = None) -> str:
    frame = "" if size is None else f"<size><width>{size[1]}</width><height>{size[0]}</height></size>"
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox>"
        "</object>"
        for name, a, b, c, d in boxes
    )
    return f"<annotation>{frame}{objects}</annotation>"


def coco(*marks: dict[str, Any], file_name: str = "cat/1.jpg", **picture: Any) -> str:
    return json.dumps(
        {
            "info": {"year": 2026},
            "images": [{"id": 7, "file_name": file_name, **picture}],
            "annotations": [{"image_id": 7, "category_id": 1, "id": 3, **mark} for mark in marks],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
    )


def _found(images: Dataset, index: int = 0, names: tuple[str, ...] = ()) -> tuple[str, list[tuple[int, int]]] | None:
    annotations = Annotations(images)
    annotations.check()
    marked = annotations.find(images.members[index], SIZE, names, LIMITS)
    return None if marked is None else (marked.file, [(int(y), int(x)) for y, x in np.argwhere(marked.mask)])


MIDDLE = [(1, 2), (1, 3)]


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize(
    ("picture", "name"),
    [
        ("cat/1.jpg", "masks/cat/1.png"),
        ("cat/1.jpg", "cat/masks/1.png"),
        ("set/cat/1.jpg", "set/masks/cat/1.png"),
        ("1.jpg", "Masks/1.PNG"),
        ("images/cat/1.jpg", "masks/cat/1.png"),
        ("cat/1.jpg", "masks/1.png"),
    ],
)
def test_mask_is_found_when_it_is_in_a_folder_of_masks(picture: str, name: str, value: int):
    images = _dataset((picture, b"?"), (name, _mask(value)))
    assert [member.name for member in images.members] == [picture]
    assert _found(images) == (name, MIDDLE)


def test_mask_is_read_when_it_has_colours_a_palette_or_transparency():
    colours = np.zeros((*SIZE, 3), np.uint8)
    colours[1, 2:4, 2] = 9
    alpha = np.full((*SIZE, 4), 255, np.uint8)
    alpha[..., 3] = 0
    alpha[1, 2:4, 3] = 255
    for data in (_png(colours), _png(alpha), _png(np.asarray(Image.open(io.BytesIO(_mask()))) > 0)):
        assert _found(_dataset(("1.jpg", b"?"), ("masks/1.png", data))) == ("masks/1.png", MIDDLE)
    indices = Image.open(io.BytesIO(_mask(3))).convert("L")
    indices.putpalette([255, 255, 255] * 4)
    buffer = io.BytesIO()
    indices.save(buffer, "PNG")
    assert _found(_dataset(("1.jpg", b"?"), ("masks/1.png", buffer.getvalue()))) == ("masks/1.png", MIDDLE)


def test_picture_has_no_object_when_its_mask_is_black_or_belongs_to_others():
    assert _found(_dataset(("1.jpg", b"?"), ("masks/1.png", _mask(0)))) is None
    assert _found(_dataset(("cat/1.jpg", b"?"), ("masks/dog/1.png", _mask()))) is None
    two = _dataset(("cat/1.jpg", b"?"), ("dog/1.jpg", b"?"), ("masks/1.png", _mask()))
    assert (_found(two, 0), _found(two, 1)) == (None, None)


@pytest.mark.parametrize(
    ("picture", "name"),
    [
        ("cat/1.jpg", "cat/1.xml"),
        ("cat/1.jpg", "annotations/cat/1.xml"),
        ("cat/1.jpg", "cat/Annotations/1.XML"),
        ("cat/1.jpg", "Annotations/1.xml"),
        ("VOC/JPEGImages/1.jpg", "VOC/Annotations/1.xml"),
    ],
)
def test_voc_is_found_when_it_has_the_name_of_its_picture(picture: str, name: str):
    # Pixels count from 1 there, and the last is the box's.
    assert _found(_dataset((picture, b"?"), (name, voc(("cat", 3, 2, 4, 2))))) == (name, MIDDLE)


def test_voc_gives_the_objects_of_the_class_when_it_has_several():
    images = _dataset(("1.jpg", b"?"), ("1.xml", voc(("cat", 3, 2, 4, 2), ("dog", 1, 1, 1, 1), size=SIZE)))
    assert _found(images, names=("dog", "cat")) == ("1.xml", [(0, 0)])
    assert _found(images, names=("Cat",)) == ("1.xml", MIDDLE)
    assert _found(images, names=("cow",)) == ("1.xml", [(0, 0), *MIDDLE])


@pytest.mark.parametrize("file_name", ["cat/1.jpg", "cat\\1.jpg", "1.jpg", "elsewhere/1.jpg"])
@pytest.mark.parametrize(
    "mark",
    [
        {"bbox": [2, 1, 2, 1]},
        {"bbox": [0, 0, 6, 4], "segmentation": [[2, 1, 4, 1, 4, 2, 2, 2]]},
        {"segmentation": [[2, 1, 3, 1, 3, 2, 2, 2], [3, 1, 4, 1, 4, 2, 3, 2]]},
        {"segmentation": {"size": [4, 6], "counts": [9, 1, 3, 1, 10]}, "iscrowd": 0},
    ],
)
def test_coco_is_found_when_it_names_the_picture(mark: dict[str, Any], file_name: str):
    images = _dataset(("cat/1.jpg", b"?"), ("notes/instances.json", coco(mark, file_name=file_name)))
    assert _found(images) == ("notes/instances.json", MIDDLE)


def test_coco_is_scaled_when_its_picture_was_made_smaller():
    images = _dataset(("cat/1.jpg", b"?"), ("i.json", coco({"bbox": [20, 10, 20, 10]}, width=60, height=40)))
    assert _found(images) == ("i.json", MIDDLE)


def test_coco_gives_the_objects_of_the_class_when_it_has_several():
    marks = {"bbox": [2, 1, 2, 1]}, {"bbox": [0, 0, 1, 1], "category_id": 2}
    images = _dataset(("cat/1.jpg", b"?"), ("i.json", coco(*marks)))
    assert _found(images, names=("dog",)) == ("i.json", [(0, 0)])
    assert _found(images, names=("cat",)) == ("i.json", MIDDLE)


@pytest.mark.parametrize("number", [0, 3, "", "0"])
def test_coco_names_its_objects_whatever_number_a_category_has(number: int | str):
    marks = [{"image_id": 0, "category_id": number, "bbox": [2, 1, 2, 1]}]
    marks.append({"image_id": 0, "category_id": 5, "bbox": [0, 0, 1, 1]})
    categories = [{"id": number, "name": "cat"}, {"id": 5, "name": "dog"}]
    file = {"images": [{"id": 0, "file_name": "1.jpg"}], "annotations": marks, "categories": categories}
    images = _dataset(("1.jpg", b"?"), ("i.json", json.dumps(file)))
    assert _found(images, names=("cat",)) == ("i.json", MIDDLE)
    assert _found(images, names=("dog",)) == ("i.json", [(0, 0)])


def test_crowd_is_no_object_and_is_counted_when_coco_marks_one():
    crowd = {"segmentation": {"size": [4, 6], "counts": [0, 24]}, "iscrowd": 1}
    images = _dataset(("cat/1.jpg", b"?"), ("i.json", coco({"bbox": [2, 1, 2, 1]}, crowd, crowd)))
    assert _found(images) == ("i.json", MIDDLE)
    assert Annotations(images).count_crowds(images.members[0]) == 2
    alone = _dataset(("cat/1.jpg", b"?"), ("i.json", coco(crowd)))
    assert _found(alone) is None
    assert Annotations(alone).count_crowds(alone.members[0]) == 1
    masked = _dataset(("cat/1.jpg", b"?"), ("i.json", coco(crowd)), ("masks/cat/1.png", _mask()))
    assert Annotations(masked).count_crowds(masked.members[0]) == 0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_annotation_is_read_when_an_editor_wrote_a_byte_order_mark(encoding: str):
    marked = coco({"bbox": [2, 1, 2, 1]}, {"bbox": [0, 0, 1, 1], "category_id": 2}).replace("dog", "Käfer")
    images = _dataset(("cat/1.jpg", b"?"), ("i.json", marked.replace("\\u00e4", "ä").encode(encoding)))
    assert _found(images, names=("käfer",)) == ("i.json", [(0, 0)])
    images = _dataset(("cat/1.jpg", b"?"), ("cat/1.xml", voc(("cat", 3, 2, 4, 2)).encode(encoding)))
    assert _found(images) == ("cat/1.xml", MIDDLE)


def test_path_counts_before_the_bare_name_when_coco_has_both():
    pictures = [{"id": 1, "file_name": "old/1.jpg"}, {"id": 2, "file_name": "1.jpg"}]
    marks = [{"image_id": 1, "bbox": [0, 0, 1, 1]}, {"image_id": 2, "bbox": [2, 1, 2, 1]}]
    images = _dataset(("1.jpg", b"?"), ("i.json", json.dumps({"images": pictures, "annotations": marks})))
    assert _found(images) == ("i.json", MIDDLE)


def test_mask_counts_before_voc_and_voc_before_coco():
    files: list[tuple[str, bytes | str]] = [
        ("cat/1.jpg", b"?"),
        ("i.json", coco({"bbox": [0, 0, 1, 1]})),
        ("cat/1.xml", voc(("cat", 1, 2, 1, 2))),
    ]
    assert _found(_dataset(*files[:2])) == ("i.json", [(0, 0)])
    assert _found(_dataset(*files)) == ("cat/1.xml", [(1, 0)])
    assert _found(_dataset(*files, ("masks/cat/1.png", _mask()))) == ("masks/cat/1.png", MIDDLE)


def test_files_are_left_alone_when_they_are_no_annotations():
    others = [("cat/1.xml", "<recipe/>"), ("cat/1.json", '{"a": 1}'), ("list.json", "[1, 2]"), ("x.xml", "<not closed")]
    assert _found(_dataset(("cat/1.jpg", b"?"), *others)) is None
    assert _found(_dataset(("cat/1.jpg", b"?"), ("cat/1.xml", voc()))) is None
    assert _found(_dataset(("cat/1.jpg", b"?"), ("i.json", coco()))) is None


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>'


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cat/1.xml", "<annotation><object>", "no well-formed XML"),
        ("cat/1.xml", "", "no well-formed XML"),
        ("cat/1.xml", "<?xml version='1.0' encoding='nonsense'?><a/>", "no well-formed XML"),
        ("cat/1.xml", BOMB, "DOCTYPE"),
        ("cat/1.xml", BOMB.encode("utf-16"), "DOCTYPE"),
        ("cat/1.xml", '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "DOCTYPE"),
        ("cat/1.xml", "<annotation>" + " " * 2**18 + "</annotation>", "too large"),
        ("cat/1.xml", voc(("cat", "left", 1, 2, 2)), "'xmin' is no number"),
        ("cat/1.xml", voc(("cat", "nan", 1, 2, 2)), "'xmin' is no number"),
        ("cat/1.xml", voc(("cat", 1, 1, "1e99", 2)), "'xmax' is no number"),
        ("cat/1.xml", voc(("cat", 5, 1, 2, 2)), "ends before"),
        ("cat/1.xml", voc(("cat", 9, 1, 12, 2), size=SIZE), "outside its picture of 6 x 4"),
        ("cat/1.xml", "<annotation><object><name>cat</name></object></annotation>", "bndbox"),
        ("masks/cat/1.jpg", b"?", "no PNG"),
        ("masks/cat/1.png", _png(np.zeros((4, 6, 3), np.uint8), kind="JPEG"), "no PNG"),
        ("i.json", "{", "no JSON"),
        ("i.json", "[" * 10_000, "no JSON"),
        ("i.json", b"\xff\xfe", "no JSON"),
        ("i.json", '{"images": [{"id": 1, "file_name": 3}], "annotations": []}', "images/0/file_name"),
        ("i.json", "[" + "[]," * 2**19 + "[]]", "too many values"),
        ("i.json", coco({"bbox": ["a", 0, 1, 1]}), "annotations/0/bbox/0"),
        ("i.json", coco({"bbox": [0, 0, 1]}), "annotations/0/bbox"),
        ("i.json", coco({"bbox": [0, 0, -1, 1]}), "annotations/0/bbox/2"),
        ("i.json", coco({"bbox": [float("nan"), 0, 1, 1]}), "annotations/0/bbox/0"),
        ("i.json", coco({"bbox": [1e99, 0, 1, 1]}), "annotations/0/bbox/0"),
        ("i.json", coco({"bbox": [7, 0, 2, 2]}, width=6, height=4), "outside its picture"),
        ("i.json", coco({"segmentation": [[1, 2, 3, 4]]}), "4 numbers"),
        ("i.json", coco({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}), "7 numbers"),
        ("i.json", coco({"segmentation": {"size": [4, 6], "counts": "P1"}}), "compressed"),
        ("i.json", coco({"segmentation": {"size": [4, 6], "counts": [3]}}), "do not come to"),
        ("i.json", coco({"segmentation": {"size": [60_000, 60_000], "counts": [3600_000_000]}}), "do not come to"),
    ],
)
def test_annotation_is_refused_when_it_cannot_be_read(name: str, data: bytes | str, words: str):
    images = _dataset(("cat/1.jpg", b"?"), (name, data))
    with pytest.raises(AnnotationInvalidError, match=words) as caught:
        Annotations(images).check()
    assert f"'{name}'" in caught.value.detail


def test_coco_is_refused_when_a_name_may_mean_several_pictures():
    files = [("cat/1.jpg", b"?"), ("dog/1.jpg", b"?")]
    with pytest.raises(AnnotationInvalidError, match=r"'1.jpg' may mean several"):
        Annotations(_dataset(*files, ("i.json", coco(file_name="1.jpg"))))
    twice = {"images": [{"id": n, "file_name": f"{n}/1.jpg"} for n in range(2)], "annotations": []}
    with pytest.raises(AnnotationInvalidError, match="may mean several"):
        Annotations(_dataset(files[0], ("i.json", json.dumps(twice))))
    with pytest.raises(AnnotationInvalidError, match=r"'j.json' is a second COCO file"):
        Annotations(_dataset(files[0], ("i.json", coco()), ("j.json", coco())))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"no PNG", "no PNG that can be read"),
        (_png(np.zeros((4, 6, 3), np.uint8), kind="JPEG"), "no PNG that can be read"),
        (_mask()[:45], "no PNG that can be read"),
        (_png(np.zeros((101, 100), np.uint8)), "more than 10000 pixels"),
        (_png(np.zeros((9, 6), np.uint8)), "6 x 9 pixels, and the picture has 6 x 4"),
    ],
)
def test_mask_is_refused_when_it_does_not_fit(data: bytes, words: str):
    images = _dataset(("1.jpg", b"?"), ("masks/1.png", data))
    with pytest.raises(AnnotationInvalidError, match=words):
        Annotations(images).find(images.members[0], SIZE, (), LIMITS)


def test_box_is_refused_when_the_picture_itself_shows_that_it_lies_outside():
    images = _dataset(("1.jpg", b"?"), ("1.xml", voc(("cat", 9, 1, 12, 2))))
    Annotations(images).check()
    with pytest.raises(AnnotationInvalidError, match="outside"):
        Annotations(images).find(images.members[0], SIZE, (), LIMITS)


def test_annotation_is_refused_when_the_zip_is_damaged_there():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("1.jpg", b"?")
        archive.writestr("1.xml", voc(("cat", 1, 1, 2, 2)))
    damaged = io.BytesIO(buffer.getvalue().replace(b"<name>cat", b"<name>dog"))
    with pytest.raises(AnnotationInvalidError, match=r"damaged where '1\.xml' is"):
        Annotations(open_dataset(damaged, DatasetLimits())).check()
