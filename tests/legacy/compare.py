"""A file of Keras 2 through the service, beside what Keras 2 said of the same picture (`write`)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any, Literal

import numpy as np

from service.errors import ConvscopeError, LayerNotDrawableError, LayerNotSpatialError
from service.keras.compute.probe import KerasProbe
from service.keras.files.loading import load_probe
from service.keras.graph.replay import infer, replay
from tests.oracle import weigh

# Of the largest value. In half precision a rounding alone is more.
TOLERANCE, HALF_PRECISION = 1e-5, 2e-3
# The largest of a thousand equal classes: of scores that a sigmoid drives below it, the difference itself counts.
_LEAST_SCORE = 1e-3
Verdict = Literal["exact", "refused", "wrong"]


@dataclass(frozen=True)
class Finding:
    """`error` is the largest of all, `detail` where it is, or why the file was refused."""

    file: Path
    verdict: Verdict
    detail: str
    error: float = 0.0
    repairs: tuple[str, ...] = ()


def compare(file: Path, *, thorough: bool) -> Finding:
    """Load one file and compare the output and layers; `thorough`: what the service's own graphs say of them too."""
    try:
        probe = load_probe(file)
    except ConvscopeError as refusal:
        return Finding(file, "refused", refusal.detail)
    with np.load(file.with_suffix(".npz")) as stored:
        known = dict(stored)
    try:
        errors = dict(_errors(probe, known)) | (dict(_errors_of_service(probe, known)) if thorough else {})
    except ConvscopeError as refusal:
        return Finding(file, "wrong", refusal.detail, 1.0, probe.network_info.repairs)
    worst = max(errors, key=lambda key: errors[key])
    half = any("float16" in layer.dtype_policy.name for layer in probe._network.layers)
    verdict: Verdict = "exact" if errors[worst] <= (HALF_PRECISION if half else TOLERANCE) else "wrong"
    return Finding(file, verdict, worst, errors[worst], probe.network_info.repairs)


def first_outputs(network: Any, image: Any) -> dict[str, Any]:
    """What every layer says of one picture, by path, at its first call; "" is the network's own output."""
    found: dict[str, Any] = {}

    def note(site: Any, node: Any, args: Any, kwargs: Any) -> Any:
        answer = infer(node, args, kwargs)
        if not isinstance(answer, list | tuple):
            found.setdefault(site.path, answer)
        return answer

    (found[""],) = replay(network, [image[None]], note)
    return {path: np.asarray(values, np.float32)[0] for path, values in found.items()}


def _errors(probe: KerasProbe, known: dict[str, Any]) -> Iterator[tuple[str, float]]:
    found = first_outputs(probe._network, known["image"])
    yield "output", _error(found[""], known["scores"], least=_LEAST_SCORE)
    for key, expected in known.items():
        kind, _, layer = key.partition(":")
        if kind == "maps":
            yield key, _error(found[layer.replace("/", "_")], expected)


def _errors_of_service(probe: KerasProbe, known: dict[str, Any]) -> Iterator[tuple[str, float]]:
    image = known["image"]
    if probe.network_info.classes == known["scores"].size:
        yield "scores", _error(probe.scores(image).values, known["scores"], least=_LEAST_SCORE)
    for key, expected in known.items():
        kind, _, name = key.partition(":")
        if kind == "maps":
            yield f"served {key}", _error_of_drawn(probe, image, name.replace("/", "_"), expected)
    if "evidence" in known:
        yield f"Grad-CAM at {known['layer']}", _error_of_heat(probe, image, known)


def _error_of_heat(probe: KerasProbe, image: Any, known: dict[str, Any]) -> float:
    """Of what is summed up: where channels cancel each other out, the rounding of both is left."""
    try:
        (gradients,) = probe.gradients_of([image], [0], layer=str(known["layer"]).replace("/", "_"))
    except LayerNotSpatialError:
        return 0.0
    heat = weigh(gradients.activations, gradients.gradients)
    weights = np.abs(gradients.gradients.mean(axis=(0, 1), keepdims=True))
    terms = float(weigh(np.abs(gradients.activations), weights).max())
    return min(_error(heat, way, least=terms) for way in (known["evidence"], known["evidence"].T))


def _error_of_drawn(probe: KerasProbe, image: Any, layer: str, expected: Any) -> float:
    """Of a layer as the service turns it, in whichever way; none where it refuses, as it cannot know which way."""
    try:
        (found,) = probe.activations(image, [layer])
    except LayerNotDrawableError:
        return 0.0
    ways = [expected.transpose(way) for way in permutations(range(3))]
    return min(_error(found.values, way) for way in ways)


def _error(found: Any, expected: Any, *, least: float = 1e-30) -> float:
    """The largest difference over the largest magnitude, or over `least` where that is more."""
    value = np.asarray(found, np.float32)
    if value.shape != expected.shape:
        return float("inf")
    return float(np.abs(value - expected).max() / max(np.abs(expected).max(), least))
