"""What is damaged: small honest pictures of every format and mode, datasets of them with all kinds of annotations."""

import io
import json
import zipfile
from functools import cache
from typing import Any, Final

import numpy as np
from PIL import Image

_XML: Final = (
    b"<annotation><size><width>40</width><height>30</height></size><object><name>star</name><bndbox><xmin>1</xmin>"
    b"<ymin>2</ymin><xmax>20</xmax><ymax>12</ymax></bndbox></object></annotation>"
)
_COCO: Final = {
    "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 9, 2, 9, 9]]},
        {"image_id": 1, "segmentation": {"size": [30, 40], "counts": [600, 600]}},
    ],
    "categories": [{"id": 1, "name": "star"}],
}


@cache
def pictures() -> tuple[bytes, ...]:
    """Pictures of 40 x 30 pixels."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 4), np.uint8)
    colours, alpha = Image.fromarray(pixels[..., :3]), Image.fromarray(pixels)
    sixteen = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    gray = colours.convert("L")
    frames = [Image.new("RGB", (40, 30), (50 * number, 0, 0)) for number in range(4)]
    moving: dict[str, Any] = {"save_all": True, "append_images": frames[1:]}
    return (
        *(_save(image, "PNG") for image in (colours, alpha, gray, sixteen, colours.convert("P"), gray.convert("1"))),
        _save(colours, "PNG", exif=turned, icc_profile=b"profile" * 20),
        _save(colours, "JPEG", exif=turned),
        _save(colours, "JPEG", progressive=True),
        _save(colours.convert("CMYK"), "JPEG"),
        _save(frames[0], "MPO", **moving),
        *(_save(frames[0], kind, **moving) for kind in ("GIF", "PNG", "WEBP")),
        _save(colours, "WEBP"),
        _save(alpha, "WEBP", lossless=True),
        _save(colours, "AVIF"),
        *(_save(image, "BMP") for image in (colours, gray, gray.convert("1"))),
        *(_save(colours, "TIFF", compression=name) for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "jpeg")),
        _save(sixteen, "TIFF", compression="packbits"),
        _save(gray.convert("1"), "TIFF", compression="group4"),
    )


@cache
def members() -> tuple[tuple[str, bytes], ...]:
    """The files of a dataset; of annotations every kind."""
    png = pictures()[0]
    mask = _save(Image.new("L", (40, 30), 255), "PNG")
    coco = json.dumps(_COCO).encode()
    return (("a.png", png), ("star/b.png", png), ("star/b.xml", _XML), ("i.json", coco), ("masks/c.png", mask))


@cache
def datasets() -> tuple[bytes, ...]:
    """ZIPs, stored and deflated, with two records of the listing's size, and with a comment."""
    deflated = pack(dict(members()))
    end = deflated.rindex(b"PK\x05\x06")
    longer = b"PK\x06\x06" + bytes(52) + b"PK\x06\x07" + bytes(4) + end.to_bytes(8, "little") + b"\1\0\0\0"
    return (
        deflated,
        pack(dict(members()), zipfile.ZIP_STORED),
        deflated[:end] + longer + deflated[end:],
        deflated[:-2] + b"\5\0hello",
    )


def pack(files: dict[str, bytes], packed: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _save(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()
