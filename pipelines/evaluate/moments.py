"""What shows between two successive frames, or in one alone without a target: flicker, specks, seams, quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from avatarkit.metrics.artefacts import compensated_difference, flow_map, matte_difference, specks_per_million
from avatarkit.metrics.blemishes import Blemishes, blemishes, mirrored_share
from avatarkit.pipelines.evaluate.networks import Networks, Picture, Points

__all__ = ["Moments"]

LEAST_LEVELS = 0.05
"""Mean grey levels of difference below which a driver stands still, and a ratio to it says nothing."""
LEAST_MATTE = 1e-4

Pair = tuple[Picture, Picture]


class Moments:
    """Gathers successive frames of an output, and of its driver at the same moments."""

    def __init__(self, nets: Networks) -> None:
        self._nets = nets
        self._specks: list[tuple[float, float]] = []
        self._differences: list[tuple[float, float]] = []
        self._mattes: list[tuple[float, float]] = []
        self._quality: list[float] = []
        self._blemishes: list[Blemishes] = []
        self._mirrored: list[float] = []

    def add(self, output: Pair, driver: Pair) -> None:
        """Take in two frames of each, RGB uint8 (H, W, 3) of one size."""
        own, theirs = ((*frames, flow_map(*frames)) for frames in (output, driver))
        self._specks.append((specks_per_million(*own), specks_per_million(*theirs)))
        self._differences.append((compensated_difference(*own), compensated_difference(*theirs)))
        self._quality.append(float(self._nets.quality.score(output[0][None])[0]))
        if self._nets.segmenter is not None:
            # The driver's first: masks have just been made of that frame.
            steady = self._flicker(*theirs)
            self._mattes.append((self._flicker(*own), steady))

    def look(self, output: Picture, landmarks: Points) -> None:
        """Take in one frame of the output for what shows without another to compare with."""
        self._blemishes.append(blemishes(output, landmarks))
        self._mirrored.append(mirrored_share(output))

    def figures(self) -> dict[str, float | None]:
        """specks_excess_ppm: per million pixels, above the driver's. flicker, matte_flicker: ratios to the driver's.

        None without a moment, or against a driver that stands still. iqa: mean score.
        """
        if not self._specks:
            return {}
        figures: dict[str, float | None] = {
            "iqa": float(np.mean(self._quality)),
            "specks_excess_ppm": float(np.subtract(*np.mean(self._specks, axis=0))),
            "flicker": _ratio(self._differences, LEAST_LEVELS),
        }
        if self._mattes:
            figures["matte_flicker"] = _ratio(self._mattes, LEAST_MATTE)
        return figures

    def faults(self, source: tuple[Picture, Points] | None) -> dict[str, float | None]:
        """mirrored, seams and holes in percent, those in the face above the source's own; None without a source."""
        if not self._blemishes:
            return {}
        figures: dict[str, float | None] = {"mirrored": 100 * float(np.mean(self._mirrored))}
        if source is None:
            return figures | dict.fromkeys(Blemishes._fields)
        above = 100 * (np.mean(self._blemishes, axis=0) - blemishes(*source))
        return figures | dict(zip(Blemishes._fields, above.tolist(), strict=True))

    def _flicker(self, first: Picture, second: Picture, flow: NDArray[np.float32]) -> float:
        return matte_difference(self._nets.person(first), self._nets.person(second), flow)


def _ratio(pairs: list[tuple[float, float]], least: float) -> float | None:
    own, driver = np.mean(pairs, axis=0)
    return float(own / driver) if driver > least else None
