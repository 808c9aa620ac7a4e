"""The table of visuals: how each kind is drawn, put in numbers, checked and compared. A new kind is a new line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from pydantic import BaseModel

from schemas.rendering import Colormap, HeatmapRendering, TilesRendering
from service.engine.arrays import Array
from service.engine.drawing.cells import draw_cells, draw_matrix
from service.engine.drawing.charts import draw_bars
from service.engine.drawing.plots import draw_scatter
from service.engine.drawing.reconstructions import draw_decoded, draw_reconstruction, measure_reconstruction
from service.engine.drawing.renderer import Facts, Renderer, Scene
from service.engine.drawing.rendering import (
    EPSILON,
    Drawing,
    draw_heatmap,
    draw_map,
    draw_pictures,
    draw_tiles,
    measure_heatmap,
)
from service.engine.drawing.visuals import (
    Bars,
    CellSheet,
    Drawn,
    Heatmap,
    Matrix,
    Numbers,
    Pictures,
    Reconstruction,
    ScalarMap,
    Scatter,
    ScoreList,
    Sheets,
    Tiles,
    Visual,
)

V = TypeVar("V", bound=Visual)


def renderer_of(visual: V) -> Renderer[V]:
    """Its line of the table."""
    found: Renderer[V] = RENDERERS[type(visual)]
    return found


def _draw_heatmap(heatmap: Heatmap, scene: Scene) -> Iterator[Drawing]:
    assert isinstance(scene.params, HeatmapRendering), (
        "a method that returns a Heatmap takes HeatmapRendering parameters"
    )
    assert scene.photo is not None, "a heat map lies over a picture"
    yield from draw_heatmap(heatmap, scene.photo.picture, scene.params, scene.photo.framing)
    yield Drawing("input", None, scene.photo.seen)


def _measure_heatmap(heatmap: Heatmap, scene: Scene) -> BaseModel:
    assert isinstance(scene.params, HeatmapRendering), (
        "a method that returns a Heatmap takes HeatmapRendering parameters"
    )
    framing = None if scene.photo is None else scene.photo.framing
    return measure_heatmap(heatmap, scene.params, framing)


def _share_maximum(heatmaps: Sequence[Heatmap]) -> Sequence[Heatmap]:
    greatest = max(float(heatmap.values.max()) for heatmap in heatmaps)
    return [replace(heatmap, maximum=greatest) for heatmap in heatmaps] if greatest > EPSILON else heatmaps


def _draw_sheets(sheets: Sheets, scene: Scene) -> Iterator[Drawing]:
    assert isinstance(scene.params, TilesRendering), "a method that returns Sheets takes TilesRendering parameters"
    for tiles in sheets.tiles:
        yield draw_tiles(tiles, scene.params, scene.preprocessing.channel_order)


def _share_bounds(all_sheets: Sequence[Sheets]) -> Sequence[Sheets]:
    """Tiles that are drawn between bounds get those of all versions; standardised ones need none."""
    return [replace(sheets, tiles=tuple(_widen(sheets, all_sheets))) for sheets in all_sheets]


def _widen(sheets: Sheets, all_sheets: Sequence[Sheets]) -> Iterator[Tiles]:
    for place, own in enumerate(sheets.tiles):
        others = [other.tiles[place] for other in all_sheets if place < len(other.tiles)]
        yield replace(own, low=min(other.low for other in others), high=max(other.high for other in others))


def _colormap(scene: Scene) -> Colormap:
    colormap: Colormap = getattr(scene.params, "colormap", "viridis")
    return colormap


def _draw_map(scalar_map: ScalarMap, scene: Scene) -> Iterable[Drawing]:
    assert isinstance(scene.params, HeatmapRendering), "maps are drawn in the colours of a heat map"
    return [draw_map(scalar_map, scene.params)]


def _arrays_of_pictures(pictures: Pictures) -> Iterator[Array]:
    for picture in pictures.pictures:
        yield picture.values


RENDERERS: Final[Mapping[type, Renderer[Any]]] = {
    Heatmap: Renderer[Heatmap](
        draw=_draw_heatmap,
        values=_measure_heatmap,
        facts=lambda seen: Facts(
            seen.layer, seen.target, seen.scores, {"layer": seen.layer, "class_index": seen.target.index}
        ),
        arrays=lambda seen: (seen.scores.values, seen.values),
        compared=lambda seen: {"": seen.values},
        share=_share_maximum,
    ),
    ScoreList: Renderer[ScoreList](
        facts=lambda seen: Facts(scores=seen.scores),
        arrays=lambda seen: (seen.scores.values,),
        compared=lambda seen: {"": seen.scores.values},
    ),
    Sheets: Renderer[Sheets](
        draw=_draw_sheets,
        values=lambda sheets, _: sheets.numbers,
        facts=lambda sheets: Facts(sheets.layer),
        arrays=lambda sheets: (tiles.values for tiles in sheets.tiles),
        compared=lambda sheets: sheets.whole,
        share=_share_bounds,
        drop_arrays=lambda sheets: replace(sheets, whole={}),
    ),
    Pictures: Renderer[Pictures](
        draw=lambda pictures, _: draw_pictures(pictures),
        values=lambda pictures, _: pictures.numbers,
        facts=lambda seen: Facts(seen.layer, resolved={"layer": seen.layer, **seen.resolved}, plan=seen.plan),
        arrays=_arrays_of_pictures,
        compared=lambda pictures: pictures.changes,
    ),
    Reconstruction: Renderer[Reconstruction](
        draw=lambda seen, scene: draw_reconstruction(seen, scene.preprocessing),
        values=lambda seen, scene: measure_reconstruction(seen, scene.preprocessing),
        facts=lambda seen: Facts(seen.layer),
        arrays=lambda seen: (seen.original, seen.decoded),
        compared=lambda seen: {"": seen.decoded},
    ),
    Numbers: Renderer[Numbers[Any]](
        values=lambda found, _: found.numbers,
        facts=lambda found: Facts(found.layer),
        compared=lambda found: found.by_picture,
    ),
    Drawn: Renderer[Drawn](draw=lambda drawn, scene: [Drawing(drawn.name, scene.layer, drawn.pixels)]),
    Bars: Renderer[Bars](draw=lambda bars, _: [draw_bars(bars)]),
    ScalarMap: Renderer[ScalarMap](draw=_draw_map),
    Matrix: Renderer[Matrix](draw=lambda matrix, scene: [draw_matrix(matrix, _colormap(scene))]),
    CellSheet: Renderer[CellSheet](draw=lambda sheet, scene: [draw_cells(sheet, _colormap(scene))]),
    Scatter: Renderer[Scatter](draw=lambda scatter, scene: [draw_scatter(scatter, scene.layer)]),
    Tiles: Renderer[Tiles](draw=lambda tiles, scene: [draw_decoded(tiles, scene.preprocessing)]),
}
