"""Visuals to PNGs: resize, colour, blend. The only place where pictures get colours."""

import re
from dataclasses import dataclass, replace

import cv2
import numpy as np

from schemas.rendering import Colormap, HeatmapRendering, TilesRendering
from schemas.values.heatmaps import HeatmapValues
from service.engine.arrays import Array, Pixels
from service.engine.drawing.colormaps import DIVERGING, lookup_table
from service.engine.drawing.map_over_picture import enlarge, lay_over_taken, share_in_border
from service.engine.drawing.png import encode_animation, encode_png
from service.engine.drawing.tiling import lay_out
from service.engine.drawing.visuals import Heatmap, Pictures, ScalarMap, Tiles
from service.engine.images.framing import Framing, frame
from service.engine.images.preprocessing import ChannelOrder

# Pictures are drawn side by side already, one on each thread; several threads for one only get in each other's way.
cv2.setNumThreads(1)

# Below this a map has no evidence in it: scaling would only blow up rounding noise.
EPSILON = 1e-12
# The longer side of a map that lies over no picture.
MAP_SIDE = 256
# Pictures smaller than TINY_SIDE are enlarged to this side at least, by a whole factor, so that their pixels are kept.
TINY_SIDE, MIN_OVERLAY_SIDE = 64, 224
_EMPTY = "no positive evidence for this class at this layer: try another layer or class"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Drawing:
    """One picture, not yet encoded: (h, w, 3) uint8 RGB, or (h, w) uint8 with a palette of (256, 3) or gray.

    `frames` follow it in an animated one.
    """

    name: str
    layer: str | None
    pixels: Pixels
    palette: Pixels | None = None
    frames: tuple[Pixels, ...] = ()

    def encode(self) -> bytes:
        """As a PNG: with a palette, gray or RGB; an animated one where there are frames."""
        if self.frames:
            return encode_animation((self.pixels, *self.frames))
        return encode_png(self.pixels, self.palette)


def draw_heatmap(
    heatmap: Heatmap, picture: Pixels, rendering: HeatmapRendering, framing: Framing | None = None
) -> list[Drawing]:
    """Draw `overlay` and `heatmap` at the size of `picture` (h, w, 3) uint8 RGB, or of a tiny one enlarged.

    Where the network did not see the picture, the overlay is the picture alone, and the map is without heat.
    """
    framing = framing or frame("stretch", _size(picture), _size(heatmap.values))
    side = max(picture.shape[:2])
    if side < TINY_SIDE:
        zoom = -(-MIN_OVERLAY_SIDE // side)
        picture = picture.repeat(zoom, axis=0).repeat(zoom, axis=1)
    top, left, bottom, right = (edge * picture.shape[0] // framing.size[0] for edge in framing.taken)
    seen = picture[top:bottom, left:right]
    resized = lay_over_taken(heatmap.values, framing, _size(seen))
    shades = _on(rendering.colormap, _shades(resized, rendering.scale_max or heatmap.maximum))
    palette = lookup_table(rendering.colormap)
    # Ten times as fast as `palette[shades]`, and the same; it knows nothing of the order of channels.
    colours = cv2.applyColorMap(shades, palette.reshape(256, 1, 3))
    # In place, as below: a picture may have 40 million pixels.
    blended = cv2.addWeighted(colours, rendering.opacity, seen, 1 - rendering.opacity, 0, dst=colours)
    overlay = np.asarray(blended, np.uint8)
    if seen.shape != picture.shape:
        no_heat = _on(rendering.colormap, np.zeros(_size(picture), np.uint8))
        overlay, shades = _put(overlay, picture.copy(), (top, left)), _put(shades, no_heat, (top, left))
    return [Drawing("overlay", heatmap.layer, overlay), Drawing("heatmap", heatmap.layer, shades, palette)]


def draw_map(scalar_map: ScalarMap, rendering: HeatmapRendering) -> Drawing:
    """Draw a map by itself, its longer side MAP_SIDE pixels."""
    scale = MAP_SIDE / max(scalar_map.values.shape)
    size = tuple(max(1, round(side * scale)) for side in scalar_map.values.shape)
    shades = _on(rendering.colormap, _shades(enlarge(scalar_map.values, size), scalar_map.maximum))
    return Drawing(scalar_map.name, scalar_map.layer, shades, lookup_table(rendering.colormap))


def draw_tiles(tiles: Tiles, rendering: TilesRendering, order: ChannelOrder) -> Drawing:
    """Draw one sheet of tiles; colour tiles keep their own colours, `order` being that of their channels."""
    is_signed = rendering.colormap in DIVERGING and tiles.values.ndim == 3
    sheet = lay_out(_centre(tiles) if is_signed else tiles, columns=rendering.columns, margin=rendering.margin)
    if sheet.ndim == 3 and order == "bgr":
        sheet = np.ascontiguousarray(sheet[..., ::-1])
    palette = None if sheet.ndim == 3 else lookup_table(rendering.colormap)
    if palette is not None and is_signed:
        # No tile has the least shade: between them is white, which no number is.
        palette = np.concatenate([np.full((1, 3), 255, np.uint8), palette[1:]])
    return Drawing(_NOT_IN_NAMES.sub("-", tiles.name), tiles.layer, sheet, palette)


def _centre(tiles: Tiles) -> Tiles:
    """Zero in the middle, the farthest number from it one shade from the end."""
    farthest = max(abs(tiles.low), abs(tiles.high)) * 128 / 127
    return replace(tiles, low=-farthest, high=farthest)


def draw_pictures(pictures: Pictures) -> list[Drawing]:
    """Draw pictures in their own colours, an animated one after each that has frames."""
    drawings = []
    for picture in pictures.pictures:
        drawings.append(Drawing(picture.name, pictures.layer, _to_pixels(picture.values)))
        if picture.frames is not None:
            first, *others = map(_to_pixels, picture.frames)
            drawings.append(Drawing(f"{picture.name}-ascent", pictures.layer, first, frames=tuple(others)))
    return drawings


def measure_heatmap(heatmap: Heatmap, rendering: HeatmapRendering, framing: Framing | None = None) -> HeatmapValues:
    """The numbers behind the picture, unscaled: extremes, shape, whether it is empty and why.

    Where the map is not that of the whole picture and nothing else: what of the picture it covers.
    """
    values = heatmap.values
    empty = bool(values.max() <= EPSILON)
    is_part = framing is not None and not framing.is_whole
    return HeatmapValues(
        min=float(values.min()),
        max=float(values.max()),
        shape=list(values.shape),
        empty=empty,
        reason=_EMPTY if empty else None,
        window=list(framing.window) if framing is not None and is_part else None,
        heat_in_border=share_in_border(values, framing)
        if framing is not None and is_part and not framing.fills_input
        else None,
        map=values.tolist() if rendering.values == "raw" else None,
    )


def _size(array: Array | Pixels) -> tuple[int, int]:
    return array.shape[0], array.shape[1]


def _put(part: Pixels, onto: Pixels, corner: tuple[int, int]) -> Pixels:
    top, left = corner
    onto[top : top + part.shape[0], left : left + part.shape[1]] = part
    return onto


def _to_pixels(values: Array) -> Pixels:
    """(h, w, 3) or (h, w, 1) in 0…1 to (h, w, 3) or (h, w) uint8."""
    pixels = np.asarray(np.rint(np.clip(values, 0, 1) * 255), np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels


def _on(colormap: Colormap, shades: Pixels) -> Pixels:
    """In colours of two signs zero is in the middle: what is never negative takes the upper half."""
    return np.asarray(128 + (shades >> 1), np.uint8) if colormap in DIVERGING else shades


def _shades(resized: Array, scale_max: float | None) -> Pixels:
    """Scale to 0…255, in place; all zero where there is no evidence."""
    maximum = float(resized.max()) if scale_max is None else scale_max
    if maximum <= EPSILON:
        return np.zeros(resized.shape, np.uint8)
    # Rounds half to even and stops at 255, as NumPy's rint and clip do, in a fifth of the time; but takes signs off.
    np.maximum(resized, 0, out=resized)
    return np.asarray(cv2.convertScaleAbs(resized, alpha=255 / maximum), dtype=np.uint8)
