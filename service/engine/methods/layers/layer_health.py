"""Layer health: over a dataset, which filters answer, which never do, and which say the same as another.

Looked at is where the answer of each layer's filters stands once it is normalised and activated. A filter is *dead*
where its answer is the same at every place of every picture: that of a rectified one mostly is zero. It is *always on*
where it is never zero in a layer that rectifies, so that its activation only passes on. It is a *duplicate* of another
where the cosines of their kernels and of their answers are both near one; that of the answers is estimated from
sketches, random projections that cost little and are alike where the answers are (Johnson and Lindenstrauss 1984).

Sparsity is the share of exact zeros; that deeper layers are sparser is what the tutorials say, and is measured here as
the rank correlation of depth and sparsity over the layers that rectify (Spearman 1904).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from schemas.methods import MethodParams
from schemas.references import LayerReferences
from schemas.results import Answer
from service.engine.arrays import Array
from service.engine.datasets.pipelining import ask_each
from service.engine.drawing.visuals import Bar, Bars, Numbers, Scatter
from service.engine.method import Batch, Compared, Context, Method, OverImages, Whole, refuse_without_kernel
from service.engine.packing import pack, unpack
from service.engine.ports.answers import ChannelStatistics
from service.engine.ports.network_info import LayerInfo
from service.engine.ports.probe import Probe
from service.errors import LayerWithoutKernelError

SLICE: Final = 128
# Numbers that stand for all answers of one channel, from as many positions of each picture at most.
SKETCH_SIZE, SKETCH_POSITIONS = 16, 196
# With fewer answers than this unlike channels may have sketches alike.
LEAST_ANSWERS: Final = 4 * SKETCH_SIZE
MAX_PAIRS: Final = 1000
_SUMS: Final = ("mean", "zeros", "fires")

# A hundred thousand numbers a column are compared by their random projections.
MAX_ROWS, PROJECTED_ROWS = 8192, 512
_FINDINGS: Final = {"dead": "dead", "always_on": "always on", "duplicates": "alike in pairs"}

Sums = NDArray[np.float64]


class LayerHealthParams(MethodParams):
    """Parameters of `layer-health`."""

    layers: LayerReferences = Field(
        [], max_length=500, description="Layers with filters, by path, unique name or index; default: all."
    )
    duplicate_cosine: float = Field(
        0.99, gt=0, le=1, description="From which cosine on, of kernels and of answers, two filters are duplicates."
    )


def layer_health(probe: Probe, batches: Iterator[Batch], params: LayerHealthParams, context: Context) -> Numbers:
    """What a slice of the dataset adds up to, for `combine`."""
    layers = _find_layers(probe, params)
    totals: dict[str, _Total] = {}
    paths = [layer.response or layer.path for layer in layers]
    for _, statistics in ask_each(lambda batch: probe.channel_statistics(batch.inputs, paths, _signs(batch)), batches):
        for layer, found in zip(layers, statistics, strict=True):
            totals.setdefault(layer.path, _Total(found)).add(found)
    facts = {layer.path: {"layer": layer.path, "read_at": layer.response, "type": layer.type} for layer in layers}
    numbers: dict[str, Any] = {"layers": [facts[path] | total.pack() for path, total in totals.items()]}
    if context.items[0] == 0:
        # Once for all slices: they do not depend on the pictures.
        numbers["kernel_pairs"] = {path: _alike(probe, path, params.duplicate_cosine) for path in facts}
    return Numbers(None, numbers)


class _Total:
    """Of one layer: sums over pictures, and the extremes."""

    def __init__(self, statistics: ChannelStatistics) -> None:
        channels = statistics.mean.shape[1]
        self.positions = statistics.positions
        self.sums = np.zeros((len(_SUMS), channels))
        self.greatest = np.full(channels, -np.inf)
        self.least = np.full(channels, np.inf)
        self.sketch = np.zeros((SKETCH_SIZE, channels))

    def add(self, statistics: ChannelStatistics) -> None:
        """Take a batch in."""
        fires = (statistics.greatest > 0).astype(np.float64)
        self.sums += np.stack(
            [each.sum(axis=0, dtype=np.float64) for each in (statistics.mean, statistics.zeros, fires)]
        )
        self.greatest = np.maximum(self.greatest, statistics.greatest.max(axis=0))
        self.least = np.minimum(self.least, statistics.least.min(axis=0))
        self.sketch += statistics.sketch

    def pack(self) -> dict[str, Any]:
        """As text, as parts are kept."""
        return {
            "positions": self.positions,
            "sums": pack(self.sums),
            "extremes": pack(np.stack([self.greatest, self.least])),
            "sketch": pack(self.sketch.astype(np.float32)),
        }


def combine(parts: Sequence[Answer], _: Iterable[Any], params: LayerHealthParams) -> Whole:
    """Every layer over all pictures, and how sparse they are by depth."""
    count = sum(part.values["images"] for part in parts)
    # A slice without a readable picture has none.
    slices = zip(*(part.values["layers"] for part in parts if part.values["layers"]), strict=True)
    merged = [_merge(slices_of_one, count) for slices_of_one in slices]
    pairs = parts[0].values["kernel_pairs"]
    layers = [_describe(layer, depth, pairs[layer.path], params) for depth, layer in enumerate(merged)]
    rectified = [layer for layer in layers if layer["rectified"]]
    sparsity = [layer["sparsity"] for layer in rectified]
    numbers = {
        **{kind: sum(len(layer[kind] or ()) for layer in layers) for kind in _FINDINGS},
        "sparsity_by_depth": {
            "layers": [layer["layer"] for layer in rectified],
            "sparsity": sparsity,
            "rank_correlation": _rank_correlation(range(len(sparsity)), sparsity),
        },
        "layers": layers,
    }
    answers = {layer.path: layer.mean.astype(np.float32) for layer in merged}
    return Whole([Bars("sparsity", tuple(map(_bar, layers)))], numbers, answers)


@dataclass(frozen=True)
class _Layer:
    """One layer over all pictures: arrays of a number for each channel; `sketch` (k, c), None where it says nothing."""

    facts: dict[str, str]
    mean: Sums
    zeros: Sums
    fires: Sums
    greatest: Sums
    least: Sums
    sketch: Sums | None

    @property
    def path(self) -> str:
        return self.facts["layer"]

    @property
    def dead(self) -> NDArray[np.bool_]:
        return np.equal(self.greatest, self.least)

    @property
    def is_rectified(self) -> bool:
        return bool(self.least.min() >= 0 and (self.zeros[~self.dead] > 0).any())


def _merge(slices: Sequence[dict[str, Any]], count: int) -> _Layer:
    def unpack_all(name: str) -> Sums:
        return np.stack([unpack(part[name]).astype(np.float64) for part in slices])

    mean, zeros, fires = unpack_all("sums").sum(axis=0) / count
    extremes = unpack_all("extremes")
    enough = min(slices[0]["positions"], SKETCH_POSITIONS) * count >= LEAST_ANSWERS
    return _Layer(
        facts={name: slices[0][name] for name in ("layer", "read_at", "type")},
        mean=mean,
        zeros=zeros,
        fires=fires,
        greatest=extremes[:, 0].max(axis=0),
        least=extremes[:, 1].min(axis=0),
        sketch=unpack_all("sketch").sum(axis=0) if enough else None,
    )


def _describe(layer: _Layer, depth: int, pairs: list[list[float]], params: LayerHealthParams) -> dict[str, Any]:
    always_on = (layer.zeros == 0) & ~layer.dead & layer.is_rectified
    return {
        **layer.facts,
        "depth": depth,
        "channels": len(layer.mean),
        "rectified": layer.is_rectified,
        "mean": float(layer.mean.mean()),
        "max": float(layer.greatest.max()),
        "sparsity": float(layer.zeros.mean()),
        "dead": np.flatnonzero(layer.dead).tolist(),
        "always_on": np.flatnonzero(always_on).tolist(),
        "duplicates": _find_duplicates(layer, pairs, params.duplicate_cosine),
        "by_channel": {
            "mean": layer.mean.tolist(),
            "max": layer.greatest.tolist(),
            "sparsity": layer.zeros.tolist(),
            "fires": layer.fires.tolist(),
        },
    }


def _find_duplicates(layer: _Layer, pairs: list[list[float]], least: float) -> list[dict[str, Any]] | None:
    """None where there are too few answers to tell."""
    if layer.sketch is None:
        return None
    cosines = _cosines(layer.sketch)
    candidates = [(int(one), int(other), cosine) for one, other, cosine in pairs]
    return [
        {"filters": [one, other], "kernel_cosine": kernels, "answer_cosine": float(cosines[one, other])}
        for one, other, kernels in candidates
        if cosines[one, other] >= least and not layer.dead[one] and not layer.dead[other]
    ]


def follow(versions: Sequence[tuple[str, dict[str, Any]]]) -> Scatter:
    """The sparsity of each layer, version by version."""
    layers = range(len(versions[-1][1]["layers"]))
    points = [(float(version), values["layers"][place]["sparsity"]) for place in layers for version, values in versions]
    groups = tuple(versions[-1][1]["layers"][place]["layer"] for place in layers for _ in versions)
    return Scatter("curves", np.asarray(points, np.float32), groups, ("version", "share of zeros"), connected=True)


def _find_layers(probe: Probe, params: LayerHealthParams) -> list[LayerInfo]:
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


def _alike(probe: Probe, layer: str, least: float) -> list[list[float]]:
    """Pairs of filters whose kernels point the same way, most alike first: [filter, filter, cosine]."""
    kernels = probe.kernels(layer)
    # Of a separable convolution the last kernel makes the filters.
    cosines = _cosines(kernels[-1].values.reshape(-1, kernels[-1].values.shape[3])) if kernels else np.zeros((0, 0))
    found = np.flatnonzero(np.triu(cosines >= least, k=1))
    order = np.argsort(-cosines.ravel()[found], kind="stable")[:MAX_PAIRS]
    pairs = zip(*np.unravel_index(found[order], cosines.shape), strict=True)
    return [[int(one), int(other), float(cosines[one, other])] for one, other in pairs]


def _cosines(columns: NDArray[Any]) -> Sums:
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


def _bar(layer: dict[str, Any]) -> Bar:
    found = [f"{len(layer[kind])} {words}" for kind, words in _FINDINGS.items() if layer[kind]]
    nature = [] if layer["rectified"] else ["not rectified"]
    return Bar(layer["layer"], layer["sparsity"], ", ".join([f"{layer['channels']} filters", *nature, *found]))


def _check(probe: Probe, params: LayerHealthParams) -> None:
    _find_layers(probe, params)


LAYER_HEALTH = Method(
    name="layer-health",
    title="Layer health",
    description="Dead, always-on and duplicate filters over a dataset, and how sparse the layers' answers are.",
    kind="job",
    consumes="images",
    params=LayerHealthParams,
    compute=layer_health,
    refuse=refuse_without_kernel,
    check=_check,
    over_images=OverImages(combine, slice=SLICE),
    compared=Compared("of each layer the mean answers of its filters over the dataset"),
    over_versions=follow,
)
