"""The plane that latents are looked at in: their own two numbers, or the two directions in which they vary most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.engine.arrays import Array

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """`origin` (units,) and `directions` (2, units), which are orthonormal, or the second zero where there is one unit.

    `explained` is the share of the variance that lies along each.
    """

    origin: Numbers
    directions: Numbers
    explained: tuple[float, float]
    axes: tuple[str, str]
    principal: bool

    def project(self, latents: Array) -> Numbers:
        """(n, units) to places (n, 2)."""
        places: Numbers = (latents - self.origin) @ self.directions.T
        return places

    def lift(self, places: Numbers) -> Array:
        """Places (n, 2) to the latents there, (n, units)."""
        return np.asarray(self.origin + places @ self.directions, np.float32)


def find_plane(latents: Array) -> Plane:
    """The plane of (n, units) latents: of up to two units their own, else that of the two principal components."""
    units = latents.shape[1]
    if units > 2:
        return _principal(latents.astype(np.float64))
    variances = latents.astype(np.float64).var(axis=0)
    shares = np.pad(variances / (variances.sum() or 1.0), (0, 2 - units))
    axes = ("unit 0", "unit 1" if units == 2 else "")
    return Plane(np.zeros(units), np.eye(2)[:, :units], (float(shares[0]), float(shares[1])), axes, principal=False)


def _principal(latents: Numbers) -> Plane:
    """By the smaller of the two matrices of products, that of units or that of pictures."""
    origin = latents.mean(axis=0)
    centred = latents - origin
    total = float((centred**2).sum()) or 1.0
    few = len(latents) < latents.shape[1]
    values, vectors = np.linalg.eigh(centred @ centred.T if few else centred.T @ centred)
    best = np.argsort(-values)[:2]
    directions = (centred.T @ vectors[:, best] if few else vectors[:, best]).T
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    # Of fewer pictures than it takes to span a plane nothing but rounding is left.
    directions = np.where(lengths > 1e-6 * lengths.max(), directions / np.maximum(lengths, 1e-12), 0.0)
    # Either sign would do: the greatest part is positive, so that the same latents give the same picture.
    greatest = directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)]
    directions *= np.where(greatest < 0, -1.0, 1.0)[:, None]
    if len(directions) < 2:
        directions = np.vstack([directions, np.zeros_like(directions)])
    explained = [float(max(value, 0.0) / total) for value in [*values[best], 0.0]]
    axes = tuple(f"principal component {number + 1} ({explained[number]:.0%})" for number in range(2))
    return Plane(origin, directions, (explained[0], explained[1]), (axes[0], axes[1]), principal=True)
