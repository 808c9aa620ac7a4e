"""Draws the demo's glyphs: a letter or a digit, white on black, in a font and place of chance. Knows no network."""

import cv2
import numpy as np
from numpy.typing import NDArray

GLYPHS: tuple[str, ...] = ("A", "C", "H", "L", "T", "X", "Z", "1", "4", "7")
SIDE = 28

Glyph = NDArray[np.uint8]

# OpenCV's own: since its version 5 the Hershey fonts are these too, in a single weight each.
_FONTS = ("sans", "italic")
_SUPERSAMPLING = 6


def draw_glyph(generator: np.random.Generator, label: int) -> Glyph:
    """Draw `GLYPHS[label]`: (28, 28) uint8, its strokes near 255 on a ground near 0."""
    outline = _write(GLYPHS[label], str(generator.choice(_FONTS)), weight=int(generator.integers(350, 800)))
    glyph = _place(outline, generator)
    glyph += generator.normal(0.0, 0.02, glyph.shape)
    return (np.clip(glyph, 0.0, 1.0) * 255.0).round().astype(np.uint8)


def draw_glyphs(generator: np.random.Generator, count: int) -> tuple[Glyph, NDArray[np.int64]]:
    """Draw `count` glyphs, every label in turn: (count, 28, 28) uint8 and their labels, (count,)."""
    labels = np.arange(count) % len(GLYPHS)
    return np.stack([draw_glyph(generator, int(label)) for label in labels]), labels


def _write(glyph: str, font: str, *, weight: int) -> Glyph:
    """The glyph upright and large, cut to its ink."""
    size = SIDE * _SUPERSAMPLING
    plane = np.zeros((2 * size, 2 * size), np.uint8)
    cv2.putText(plane, glyph, (size // 2, 3 * size // 2), (255,), cv2.FontFace(font), size, weight)
    x, y, width, height = cv2.boundingRect(plane)
    return plane[y : y + height, x : x + width]


def _place(outline: Glyph, generator: np.random.Generator) -> NDArray[np.float64]:
    """The glyph slightly turned, sheared and moved off the centre, (28, 28) in [0, 1]."""
    size = SIDE * _SUPERSAMPLING
    height, width = outline.shape
    scale = generator.uniform(0.62, 0.72) * size / height
    angle, shear = generator.normal(0.0, 0.05), generator.normal(0.0, 0.05)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = scale * turn @ np.array([[1.0, shear], [0.0, 1.0]])
    centre = (size - 1) / 2.0 + generator.normal(0.0, 0.02, 2) * size
    move = centre - matrix @ np.array([(width - 1) / 2.0, (height - 1) / 2.0])
    large = cv2.warpAffine(outline, np.column_stack([matrix, move]), (size, size), flags=cv2.INTER_LINEAR)
    return cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64) / 255.0
