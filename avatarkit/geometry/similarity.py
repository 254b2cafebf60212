"""Similarities in 3-D: `p -> scale * rotation @ p + translation`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.rotation import nearest

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Similarity:
    """A rotation (3, 3), a translation (3,) in pixels and a scale in pixels per unit."""

    rotation: Array
    translation: Array
    scale: float

    def apply(self, points: NDArray[np.floating[Any]]) -> Array:
        """Transform points (..., 3)."""
        result: Array = self.scale * (np.asarray(points, np.float64) @ self.rotation.T) + self.translation
        return result

    def apply_inverse(self, points: NDArray[np.floating[Any]]) -> Array:
        """Transform points (..., 3) back."""
        result: Array = ((np.asarray(points, np.float64) - self.translation) / self.scale) @ self.rotation
        return result


def fit(
    points: NDArray[np.floating[Any]],
    targets: NDArray[np.floating[Any]],
    weights: NDArray[np.floating[Any]] | None = None,
) -> Similarity:
    """The similarity that takes points (N, 3) nearest to targets (N, 3), weighted least squares.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    PAMI 1991, with weights; reflections are excluded.
    """
    p, q = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    w = (
        np.full(len(p), 1.0 / len(p))
        if weights is None
        else np.asarray(weights, np.float64) / np.sum(weights)
    )
    centre_p, centre_q = w @ p, w @ q
    dp, dq = p - centre_p, q - centre_q
    rotation = nearest((dq * w[:, None]).T @ dp)
    spread = float(np.sum(w[:, None] * dp**2))
    scale = float(np.sum(w[:, None] * dq * (dp @ rotation.T))) / max(spread, 1e-12)
    return Similarity(rotation, centre_q - scale * rotation @ centre_p, scale)


def fit_plane(points: NDArray[np.floating[Any]], targets: NDArray[np.floating[Any]]) -> Array:
    """The similarity of the plane that takes points (N, 2) nearest to targets (N, 2), as a matrix (2, 3)."""
    p, q = (np.asarray(values, np.float64) @ np.array([1.0, 1.0j]) for values in (points, targets))
    dp, dq = p - p.mean(), q - q.mean()
    turn = np.vdot(dp, dq) / max(float(np.vdot(dp, dp).real), 1e-12)
    shift = q.mean() - turn * p.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
