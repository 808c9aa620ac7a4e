"""Charts as pictures, in plain shapes and Pillow's own font. Knows no methods."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from service.engine.arrays import Pixels
from service.engine.drawing.rendering import Drawing
from service.engine.drawing.visuals import Bars

_ROW, _PAD, _FONT_SIZE = 18, 10, 12
_SCREEN: Final = 2048
_BAR_WIDTH: Final = 320
_MAX_LABEL: Final = 44
_INK, _PAPER, _GROOVE, _FILL = (27, 29, 33), (255, 255, 255), (228, 230, 234), (42, 120, 142)


def draw_bars(bars: Bars) -> Drawing:
    """A row for each bar: its name, the bar from 0 to 1 with its share in percent, and what is said of it."""
    font = ImageFont.load_default(_FONT_SIZE)
    labels = [bar.label if len(bar.label) <= _MAX_LABEL else "…" + bar.label[1 - _MAX_LABEL :] for bar in bars.bars]
    texts = [f"{bar.share:6.1%}  {bar.text}" for bar in bars.bars]
    left = round(max(map(font.getlength, labels))) + 2 * _PAD
    width = left + _BAR_WIDTH + round(max(map(font.getlength, texts))) + 2 * _PAD
    image = Image.new("RGB", (width, len(labels) * _ROW + 2 * _PAD), _PAPER)
    canvas = ImageDraw.Draw(image)
    for row, (bar, label, text) in enumerate(zip(bars.bars, labels, texts, strict=True)):
        top = _PAD + row * _ROW
        middle = top + _ROW / 2
        canvas.text((left - _PAD, middle), label, _INK, font, anchor="rm")
        canvas.rectangle((left, top + 3, left + _BAR_WIDTH - 1, top + _ROW - 4), _GROOVE)
        if filled := round(bar.share * _BAR_WIDTH):
            canvas.rectangle((left, top + 3, left + filled - 1, top + _ROW - 4), _FILL)
        canvas.text((left + _BAR_WIDTH + _PAD, middle), text, _INK, font, anchor="lm")
    return Drawing(bars.name, None, np.asarray(image))


def draw_side_by_side(pictures: Sequence[tuple[str, Pixels]], note: str = "") -> Drawing:
    """Pictures with a line of text above each, in full rows as wide as a screen has room for; a note above all."""
    font = ImageFont.load_default(_FONT_SIZE)
    texts = max(round(font.getlength(text)) for text, _ in pictures)
    height = max(pixels.shape[0] for _, pixels in pictures) + _ROW + _PAD
    width = max(texts, *(pixels.shape[1] for _, pixels in pictures)) + _PAD
    most = min(len(pictures), max(1, _SCREEN // width))
    rows = -(-len(pictures) // most)
    columns = -(-len(pictures) // rows)
    head = _ROW if note else 0
    whole = max(columns * width, round(font.getlength(note)) + _PAD) + _PAD
    image = Image.new("RGB", (whole, head + rows * height + _PAD), _PAPER)
    canvas = ImageDraw.Draw(image)
    canvas.text((_PAD, _PAD + head / 2), note, _INK, font, anchor="lm")
    for place, (text, pixels) in enumerate(pictures):
        row, column = divmod(place, columns)
        left, top = _PAD + column * width, _PAD + head + row * height
        canvas.text((left, top + _ROW / 2), text, _INK, font, anchor="lm")
        image.paste(Image.fromarray(pixels), (left, top + _ROW))
    return Drawing("versions", None, np.asarray(image))
