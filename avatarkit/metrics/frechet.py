"""Frechet distance between two sets of features, seen as Gaussians: FID, where the features are Inception's.

Reference: M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium",
NeurIPS 2017. With features of another network the figure is our own, and is never called FID.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError

__all__ = ["Gaussian", "frechet_distance"]

Array = NDArray[np.float64]


class Gaussian:
    """Mean and covariance of features that come one after another; nothing else is kept.

    Attributes:
        count: samples seen.
    """

    def __init__(self, length: int) -> None:
        """Take the length of a feature."""
        self.count = 0
        self._sum = np.zeros(length)
        self._outer = np.zeros((length, length))

    def add(self, features: NDArray[np.floating[Any]]) -> None:
        """Take in features (N, length)."""
        values = np.asarray(features, np.float64)
        self.count += len(values)
        self._sum += values.sum(axis=0)
        self._outer += values.T @ values

    @property
    def mean(self) -> Array:
        """(length,)."""
        return np.asarray(self._sum / max(self.count, 1), np.float64)

    @property
    def covariance(self) -> Array:
        """(length, length), unbiased; UsageError for fewer than two samples."""
        if self.count < 2:
            raise UsageError(f"a covariance of {self.count} samples: at least two are needed")
        mean = self.mean
        return np.asarray((self._outer - self.count * np.outer(mean, mean)) / (self.count - 1), np.float64)


def frechet_distance(mean: Array, covariance: Array, other_mean: Array, other_covariance: Array) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)): 0 for equal Gaussians, without an upper bound; lower is nearer.

    The root's trace is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric: no root of
    a matrix that is not, and no imaginary part to drop.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    shared = np.linalg.eigvalsh(root @ other_covariance @ root).clip(min=0)
    apart = mean - other_mean
    return float(apart @ apart + np.trace(covariance) + np.trace(other_covariance) - 2 * np.sqrt(shared).sum())
