"""A look at a reenactment before it is made: the source, the neutral frame and six of the driver's extremes."""

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.motion.columns import TRACKED, Motion
from avatarkit.pipelines.render import fitted

Picture = NDArray[np.uint8]
COLUMNS, LARGEST_CELL_PX = 4, 512
FRAMES = 7
"""Frames that are drawn for a preview."""


def moments(motion: Motion, neutral: int) -> list[tuple[str, int]]:
    """Names and numbers of the frames worth a look: neutral, and the ends of turn, nod, mouth and lids."""
    seen = np.flatnonzero(motion.state == TRACKED)
    angles = np.array([to_euler_deg(motion.rotation[i]) for i in seen])
    wanted = (
        ("left", angles[:, 0]), ("right", -angles[:, 0]), ("up", angles[:, 1]), ("down", -angles[:, 1]),
        ("mouth", -motion.mouth_opening[seen]), ("lids", motion.eye_opening[seen].mean(1)),
    )  # fmt: skip
    return [("neutral", neutral), *((name, int(seen[np.argmin(cost)])) for name, cost in wanted)]


def preview_sheet(
    source: Picture, shown: list[tuple[str, int]], frames: Iterator[Picture], rate: Fraction
) -> Picture:
    """The source and the frames `shown`, each with its name and time, RGB uint8 with four cells a row.

    Args:
        source: what is drawn of it at rest, RGB.
        shown: names and numbers of frames, as `moments` gives them.
        frames: the finished frames in that order, RGB or RGBA.
        rate: of the driver, frames per second.
    """
    side = min(LARGEST_CELL_PX, max(source.shape[:2]))
    cells = [_labelled(source, "source", side)]
    for (name, number), frame in zip(shown, frames, strict=True):
        cells.append(_labelled(frame, f"{name} {float(number / rate):.2f} s", side))
    rows = [np.concatenate(cells[i : i + COLUMNS], axis=1) for i in range(0, len(cells), COLUMNS)]
    return np.concatenate(rows, axis=0)


def _labelled(picture: Picture, text: str, side: int) -> Picture:
    cell = fitted(np.ascontiguousarray(picture[..., :3]), side)
    scale = side / 640.0
    for color, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        place = (round(0.02 * side), round(0.97 * side))
        cv2.putText(cell, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, color, thickness, cv2.LINE_AA)
    return cell
