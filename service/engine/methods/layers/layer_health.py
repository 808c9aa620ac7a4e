"""Layer health: over a dataset, which filters answer, which never do, and which say the same as another.

Looked at is where the answer of each layer's filters stands once it is normalised and activated. A filter is *dead*
where its answer is the same at every place of every picture: that of a rectified one mostly is zero. It is *always on*
where it is never zero in a layer that rectifies, so that its activation only passes on. It is a *duplicate* of another
where the cosines of their kernels and of their answers are both near one; that of the answers is estimated from
sketches, random projections that cost little and are alike where the answers are (Johnson and Lindenstrauss 1984).

Sparsity is the share of exact zeros; that deeper layers are sparser is what the tutorials say, and is measured here as
the rank correlation of depth and sparsity over the layers that rectify (Spearman 1904).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReferences
from schemas.values.layer_health import ByChannel, DuplicatePair, LayerHealth, LayerHealthValues, SparsityByDepth
from service.engine.arrays import Array
from service.engine.datasets.pipelining import ask_each
from service.engine.drawing.visuals import Bar, Bars, Numbers, Scatter
from service.engine.kinds.context import Batch, Context, Reduction, Summary
from service.engine.kinds.method import DatasetMethod
from service.engine.kinds.packing import Chunk
from service.engine.kinds.requirements import refuse_without_kernel
from service.engine.methods.channel_totals import SKETCH_SIZE, LayerTotal, Total
from service.engine.ports.network_info import LayerInfo
from service.engine.ports.probe import LayersProbe, NetworkProbe
from service.errors import LayerWithoutKernelError

SLICE: Final = 128
# As many positions of each picture at most go into a sketch.
SKETCH_POSITIONS: Final = 196
# With fewer answers than this unlike channels may have sketches alike.
LEAST_ANSWERS: Final = 4 * SKETCH_SIZE
MAX_PAIRS: Final = 1000

# A hundred thousand numbers a column are compared by their random projections.
MAX_ROWS, PROJECTED_ROWS = 8192, 512

Sums = NDArray[np.float64]


class LayerHealthParams(MethodParams):
    """Parameters of `layer-health`."""

    layers: LayerReferences = Field(
        [], max_length=500, description="Layers with filters, by path, unique name or index; default: all."
    )
    duplicate_cosine: float = Field(
        0.99, gt=0, le=1, description="From which cosine on, of kernels and of answers, two filters are duplicates."
    )


# Two filters of a layer and the cosine of their kernels.
Pair = tuple[int, int, float]


class LayerHealthChunk(Chunk):
    """What a slice adds up to; `kernel_pairs`, which do not depend on the pictures, come with the first one alone."""

    layers: list[LayerTotal]
    kernel_pairs: dict[str, list[Pair]] | None


def layer_health(
    probe: LayersProbe, batches: Iterator[Batch], params: LayerHealthParams, context: Context
) -> Numbers[LayerHealthChunk]:
    """What a slice of the dataset adds up to, for `reduce`."""
    layers = _find_layers(probe, params)
    totals: dict[str, Total] = {}
    paths = [layer.response or layer.path for layer in layers]
    for _, statistics in ask_each(lambda batch: probe.channel_statistics(batch.inputs, paths, _signs(batch)), batches):
        for layer, found in zip(layers, statistics, strict=True):
            totals.setdefault(layer.path, Total(found)).add(found)
    # Once for all slices: they do not depend on the pictures.
    is_first = context.items[0] == 0
    pairs = {layer.path: _alike(probe, layer.path, params.duplicate_cosine) for layer in layers} if is_first else None
    packed = [totals[layer.path].pack(layer) for layer in layers if layer.path in totals]
    return Numbers(None, LayerHealthChunk(layers=packed, kernel_pairs=pairs))


def reduce(chunks: Sequence[LayerHealthChunk], _: Reduction, params: LayerHealthParams) -> Summary:
    """Every layer over all pictures, and how sparse they are by depth."""
    # A slice without a readable picture has none.
    merged = list(map(_merge, zip(*(chunk.layers for chunk in chunks if chunk.layers), strict=True)))
    pairs = chunks[0].kernel_pairs or {}
    layers = [_describe(layer, depth, pairs[layer.path], params) for depth, layer in enumerate(merged)]
    rectified = [layer for layer in layers if layer.rectified]
    sparsity = [layer.sparsity for layer in rectified]
    values = LayerHealthValues(
        dead=sum(len(layer.dead) for layer in layers),
        always_on=sum(len(layer.always_on) for layer in layers),
        duplicates=sum(len(layer.duplicates or ()) for layer in layers),
        sparsity_by_depth=SparsityByDepth(
            layers=[layer.layer for layer in rectified],
            sparsity=sparsity,
            rank_correlation=_rank_correlation(range(len(sparsity)), sparsity),
        ),
        layers=layers,
    )
    answers = {layer.path: layer.mean.astype(np.float32) for layer in merged}
    return Summary([Bars("sparsity", tuple(map(_bar, layers)))], values, answers)


@dataclass(frozen=True)
class _Layer:
    """One layer over all pictures: arrays of a number for each channel; `sketch` (k, c), None where it says nothing."""

    facts: LayerTotal
    mean: Sums
    zeros: Sums
    fires: Sums
    greatest: Sums
    least: Sums
    sketch: Sums | None

    @property
    def path(self) -> str:
        return self.facts.layer

    @property
    def dead(self) -> NDArray[np.bool_]:
        return np.equal(self.greatest, self.least)

    @property
    def is_rectified(self) -> bool:
        return bool(self.least.min() >= 0 and (self.zeros[~self.dead] > 0).any())


def _merge(slices: Sequence[LayerTotal]) -> _Layer:
    count = sum(total.images for total in slices)
    mean, zeros, fires = np.stack([total.sums for total in slices]).sum(axis=0) / count
    extremes = np.stack([total.extremes for total in slices])
    enough = min(slices[0].positions, SKETCH_POSITIONS) * count >= LEAST_ANSWERS
    return _Layer(
        facts=slices[0],
        mean=mean,
        zeros=zeros,
        fires=fires,
        greatest=extremes[:, 0].max(axis=0),
        least=extremes[:, 1].min(axis=0),
        sketch=np.stack([total.sketch.astype(np.float64) for total in slices]).sum(axis=0) if enough else None,
    )


def _describe(layer: _Layer, depth: int, pairs: Sequence[Pair], params: LayerHealthParams) -> LayerHealth:
    always_on = (layer.zeros == 0) & ~layer.dead & layer.is_rectified
    return LayerHealth(
        layer=layer.path,
        read_at=layer.facts.read_at,
        type=layer.facts.type,
        depth=depth,
        channels=len(layer.mean),
        rectified=layer.is_rectified,
        mean=float(layer.mean.mean()),
        max=float(layer.greatest.max()),
        sparsity=float(layer.zeros.mean()),
        dead=np.flatnonzero(layer.dead).tolist(),
        always_on=np.flatnonzero(always_on).tolist(),
        duplicates=_find_duplicates(layer, pairs, params.duplicate_cosine),
        by_channel=ByChannel(
            mean=layer.mean.tolist(),
            max=layer.greatest.tolist(),
            sparsity=layer.zeros.tolist(),
            fires=layer.fires.tolist(),
        ),
    )


def _find_duplicates(layer: _Layer, pairs: Sequence[Pair], least: float) -> list[DuplicatePair] | None:
    """None where there are too few answers to tell."""
    if layer.sketch is None:
        return None
    cosines = _cosines(layer.sketch)
    return [
        DuplicatePair(filters=[one, other], kernel_cosine=kernels, answer_cosine=float(cosines[one, other]))
        for one, other, kernels in pairs
        if cosines[one, other] >= least and not layer.dead[one] and not layer.dead[other]
    ]


def follow(versions: Sequence[tuple[str, LayerHealthValues]]) -> Scatter:
    """The sparsity of each layer, version by version."""
    layers = range(len(versions[-1][1].layers))
    points = [(float(version), values.layers[place].sparsity) for place in layers for version, values in versions]
    groups = tuple(versions[-1][1].layers[place].layer for place in layers for _ in versions)
    return Scatter("curves", np.asarray(points, np.float32), groups, ("version", "share of zeros"), connected=True)


def _find_layers(probe: NetworkProbe, params: LayerHealthParams) -> list[LayerInfo]:
    """Those with filters that were asked for. Raises LayerNotFoundError or LayerWithoutKernelError."""
    facts = {layer.path: layer for layer in probe.network_info.layers}
    with_filters = {path: layer for path, layer in facts.items() if layer.kernel_shape is not None}
    if not params.layers:
        # Of windows of pictures, say, nobody could tell which answers are one picture's.
        return [layer for layer in with_filters.values() if facts[layer.response or layer.path].space != "unknown"]
    asked = dict.fromkeys(probe.layer(reference).path for reference in params.layers)
    for path in asked:
        if path not in with_filters:
            raise LayerWithoutKernelError(f"layer '{path}' has no filters: name the one that they are in")
    return [with_filters[path] for path in asked]


def _signs(batch: Batch) -> Array:
    """Each picture's own, whatever batch it is in: (n, k, positions) of -1 and 1."""
    shape = (SKETCH_SIZE, SKETCH_POSITIONS)
    drawn = [np.random.default_rng(member.index).integers(0, 2, shape) for member in batch.members]
    return np.asarray(2 * np.stack(drawn) - 1, np.float32)


def _alike(probe: NetworkProbe, layer: str, least: float) -> list[Pair]:
    """Pairs of filters whose kernels point the same way, most alike first."""
    kernels = probe.kernels(layer)
    # Of a separable convolution the last kernel makes the filters.
    cosines = _cosines(kernels[-1].values.reshape(-1, kernels[-1].values.shape[3])) if kernels else np.zeros((0, 0))
    found = np.flatnonzero(np.triu(cosines >= least, k=1))
    order = np.argsort(-cosines.ravel()[found], kind="stable")[:MAX_PAIRS]
    pairs = zip(*np.unravel_index(found[order], cosines.shape), strict=True)
    return [(int(one), int(other), float(cosines[one, other])) for one, other in pairs]


def _cosines(columns: Array | Sums) -> Sums:
    """(d, c) to (c, c). Long columns are projected first: large Dense layers have a hundred million numbers."""
    if len(columns) > MAX_ROWS:
        projection = np.random.default_rng(0).standard_normal((PROJECTED_ROWS, len(columns)), np.float32)
        columns = projection @ columns
    norms = np.linalg.norm(columns, axis=0)
    unit = columns / np.where(norms > 0, norms, 1)
    return np.asarray(unit.T @ unit, np.float64)


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's, without a correction for ties, which floats seldom have; None for fewer than three."""
    if len(first) < 3:
        return None
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _bar(layer: LayerHealth) -> Bar:
    kinds = {"dead": layer.dead, "always on": layer.always_on, "alike in pairs": layer.duplicates}
    found = [f"{len(filters)} {words}" for words, filters in kinds.items() if filters]
    nature = [] if layer.rectified else ["not rectified"]
    return Bar(layer.layer, layer.sparsity, ", ".join([f"{layer.channels} filters", *nature, *found]))


def _check(probe: NetworkProbe, params: LayerHealthParams) -> None:
    _find_layers(probe, params)


LAYER_HEALTH = DatasetMethod(
    name="layer-health",
    title="Layer health",
    description="Dead, always-on and duplicate filters over a dataset, and how sparse the layers' answers are.",
    params=LayerHealthParams,
    values=(LayerHealthValues,),
    chunk=LayerHealthChunk,
    compute=layer_health,
    reduce=reduce,
    refuse=refuse_without_kernel,
    check=_check,
    slice=SLICE,
    compared="of each layer the mean answers of its filters over the dataset",
    over_versions=follow,
)
