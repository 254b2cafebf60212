"""Landmark pictures: faces as coloured lines between their landmarks, which networks read like any picture.

C. Qi et al., "MetaPortrait: Identity-Preserving Talking Head Generation with Fast Personalized Adaptation", CVPR 2023,
section 3.1. Each line has a colour of its own, so that a network can tell which part of the face it is. Here ends lie
between pixels, where the release cuts them to whole ones: at 64 pixels a lid moves by less than one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import UsageError
from avatarkit.face import landmarks as lm
from avatarkit.face.types import LANDMARKS

__all__ = ["LINE_SETS", "SCHEME", "LandmarkLines", "draw_landmarks", "landmark_lines"]

SCHEME = "mediapipe-478"
"""The landmarks that the lines join."""
LINE_SETS = ("dense", "contours", "sparse")
"""dense: all edges of the face's mesh, with the contours over them. contours: the outlines of face, brows, eyes,
irises, nose and lips. sparse: lines between the 68 points of the usual annotation, to measure what density gives."""

_SHIFT = 4  # binary digits of a pixel that OpenCV is given
_FAR_PX = 1 << 14  # ends further out are brought nearer: OpenCV counts in 32 bits

Edge = tuple[int, int]

_NOSE = ((168, 6, 197, 195, 5, 4, 2), (98, 97, 2, 326, 327), (98, 4, 327))
# The mesh's landmarks nearest to the 68 points, line by line.
_SPARSE = (
    (127, 234, 93, 132, 58, 136, 150, 176, 152, 400, 379, 365, 288, 361, 323, 454, 356),
    (70, 63, 105, 66, 107), (336, 296, 334, 293, 300), (168, 197, 5, 4), (75, 97, 2, 326, 305),
    (33, 160, 158, 133, 153, 144, 33), (362, 385, 387, 263, 373, 380, 362),
    (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 61), (78, 82, 13, 312, 308, 317, 14, 87, 78),
)  # fmt: skip


@dataclass(frozen=True)
class LandmarkLines:
    """Which landmarks are joined, in which colours, in the order in which the lines are drawn.

    name: one of `LINE_SETS`. edges: (N, 2) landmark numbers. colours: (N, 3) uint8 RGB, all different, none black.
    """

    name: str
    edges: NDArray[np.int32]
    colours: NDArray[np.uint8]

    @property
    def sha256(self) -> str:
        """Stands for landmarks, edges and colours: networks know the lines of their training alone."""
        digest = hashlib.sha256(SCHEME.encode())
        digest.update(self.edges.astype("<i4").tobytes() + self.colours.tobytes())
        return digest.hexdigest()


@lru_cache(maxsize=len(LINE_SETS))
def landmark_lines(name: str) -> LandmarkLines:
    """A set of lines by name; UsageError where there is none."""
    if name not in LINE_SETS:
        raise UsageError(f"landmark lines {name}: use one of {', '.join(LINE_SETS)}")
    edges = _along(_SPARSE) if name == "sparse" else _contours()
    if name == "dense":
        # What is drawn last is whole: the contours.
        edges = _unique([*sorted(set(_mesh()) - set(edges)), *edges])
    return LandmarkLines(name, np.array(edges, np.int32), _colours(len(edges)))


def draw_landmarks(
    landmarks: NDArray[np.floating[Any]], size: int, lines: LandmarkLines
) -> NDArray[np.uint8]:
    """The landmark picture of one face.

    Args:
        landmarks: (478, 2 or 3) in pixels (x, y) of the picture, pixel centres at integers; finite.
        size: side of the picture. lines: see `landmark_lines`.

    Returns:
        RGB uint8 (size, size, 3), black beside the antialiased lines of one pixel.

    Raises:
        UsageError: other landmarks than `SCHEME`'s.
    """
    import cv2

    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or len(points) != LANDMARKS:
        raise UsageError(f"landmarks {points.shape}: landmark pictures take the {LANDMARKS} of {SCHEME}")
    fixed = np.rint(points[:, :2].clip(-_FAR_PX, _FAR_PX) * (1 << _SHIFT)).astype(int).tolist()
    picture = np.zeros((size, size, 3), np.uint8)
    for (first, second), colour in zip(lines.edges.tolist(), lines.colours.tolist(), strict=True):
        cv2.line(picture, fixed[first], fixed[second], colour, 1, cv2.LINE_AA, _SHIFT)
    return picture


def _contours() -> list[Edge]:
    rings = [lm.FACE_OVAL, *lm.IRIS_RIMS, lm.ring(lm.OUTER_LIP_UPPER, lm.OUTER_LIP_LOWER)]
    rings += [lm.ring(lm.INNER_LIP_UPPER, lm.INNER_LIP_LOWER)]
    rings += [lm.ring(upper, lower) for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True)]
    # A brow is its upper line and its lower one, of five points each.
    brows = [part for brow in lm.BROWS for part in (brow[:5], brow[5:])]
    return _along([*_NOSE, *brows, *((*ring, ring[0]) for ring in rings)])


def _mesh() -> list[Edge]:
    triangles = lm.surface_triangles().tolist()
    return _unique((a, b) for t in triangles for a, b in ((t[0], t[1]), (t[1], t[2]), (t[2], t[0])))


def _along(lines: Iterable[Sequence[int]]) -> list[Edge]:
    return _unique((a, b) for line in lines for a, b in pairwise(line))


def _unique(edges: Iterable[Edge]) -> list[Edge]:
    return list(dict.fromkeys((min(edge), max(edge)) for edge in edges))


def _colours(count: int) -> NDArray[np.uint8]:
    """So many colours of an even grid, without black, in an order that is the same everywhere."""
    levels = next(levels for levels in range(2, 257) if levels**3 > count)
    grid = np.stack(np.meshgrid(*[np.arange(levels)] * 3, indexing="ij"), -1).reshape(-1, 3)
    # The last ones are the brightest; neighbours in the grid must not be neighbours in the face.
    kept = (grid * (255 // (levels - 1)))[-count:].astype(np.uint8)
    order = sorted(range(count), key=lambda number: hashlib.sha256(number.to_bytes(4, "little")).digest())
    return np.ascontiguousarray(kept[np.array(order)], np.uint8)
