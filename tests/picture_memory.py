"""`python -m tests.picture_memory`: what pictures of every kind take while they are decoded and drawn, in a child.

Prints a line of JSON for each: the bytes that were reserved, and by how many the process grew.
"""

import gc
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from service.engine.allowance import Allowance, Memory
from service.engine.images.decoding import ImageLimits, decode
from service.engine.images.photo import ImageFile
from service.engine.methods import METHODS
from service.engine.running.request import Request
from service.engine.running.run import run
from tests.unit.fakes import closed_form_model

WIDTH, HEIGHT = 2400, 1600
LIMITS = ImageLimits(20 * 2**20, 40_000_000)
WEIGHTS = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]


def pictures() -> Iterator[tuple[str, bytes]]:
    """A picture of each format and mode that takes memory in a way of its own."""
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA"):
        yield f"png {mode}", _save(Image.new(mode, (WIDTH, HEIGHT)), "PNG")
    sixteen = Image.fromarray(np.zeros((HEIGHT, WIDTH), np.uint16))
    yield "png 16 bits", _save(sixteen, "PNG")
    yield "tiff 16 bits", _save(sixteen, "TIFF", compression="tiff_adobe_deflate")
    yield (
        "tiff 32 bits",
        _save(Image.fromarray(np.zeros((HEIGHT, WIDTH), np.int32)), "TIFF", compression="tiff_adobe_deflate"),
    )
    for mode in (".png", ".tif"):
        yield f"{mode[1:4]} colour of 16 bits", cv2.imencode(mode, np.zeros((HEIGHT, WIDTH, 3), np.uint16))[1].tobytes()
    turned = Image.Exif()
    turned[0x0112] = 6
    colours = Image.new("RGB", (WIDTH, HEIGHT), (200, 30, 90))
    yield "png RGBA turned", _save(colours.convert("RGBA"), "PNG", exif=turned)
    yield "tiff turned", _save(colours, "TIFF", compression="tiff_lzw", exif=turned)
    yield "tiff CMYK", _save(colours.convert("CMYK"), "TIFF", compression="tiff_lzw")
    yield "jpeg turned", _save(colours, "JPEG", exif=turned)
    yield "jpeg progressive", _save(colours, "JPEG", progressive=True, subsampling=0)
    yield "jpeg CMYK progressive", _save(colours.convert("CMYK"), "JPEG", progressive=True, subsampling=0)
    yield "webp", _save(colours, "WEBP", quality=50, method=0)
    yield "webp RGBA", _save(colours.convert("RGBA"), "WEBP", lossless=True, quality=0, method=0)
    yield "avif", _save(colours, "AVIF", quality=30, speed=10)
    yield "avif RGBA", _save(colours.convert("RGBA"), "AVIF", quality=30, speed=10, subsampling="4:4:4")
    yield "gif", _save(Image.new("P", (WIDTH, HEIGHT)), "GIF", transparency=0)
    yield "bmp", _save(Image.new("L", (WIDTH, HEIGHT)), "BMP")


def measure(data: bytes, *, draw: bool) -> tuple[int, int]:
    """Bytes reserved, and bytes by which the process grew at most."""
    memory = Memory(2**40)
    gc.collect()
    _forget_peak()
    before = _status("VmRSS")
    with Allowance(memory=memory) as allowance:
        if draw:
            method = METHODS["grad-cam"]
            run(
                closed_form_model(WEIGHTS),
                Request(method, method.params(), ImageFile(data), allowance=allowance),
                LIMITS,
            )
        else:
            decode(data, LIMITS, allowance.reserve)
        reserved = memory.taken
    return reserved, _status("VmHWM") - before


def _save(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _status(name: str) -> int:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition(f"{name}:")[2].split()[0]) * 1024


def main() -> None:
    small = _save(Image.new("RGB", (30, 20)), "PNG")
    measure(small, draw=True)
    for name, data in pictures():
        # Drawing takes the same of each.
        for draw in (False, True) if name in ("png RGB", "webp") else (False,):
            reserved, grown = measure(data, draw=draw)
            line = {"picture": name, "draw": draw, "bytes": len(data), "reserved": reserved, "grown": grown}
            sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
