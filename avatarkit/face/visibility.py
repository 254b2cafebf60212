"""What of a face can be seen: eyes behind dark glasses or a hand, and mouths behind a mask."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

SEEN_EYE = 0.05
"""Contrast of iris and white, over the light of the cheek, from which on an open eye counts as seen. Open eyes of 30
portraits have 0.13 to 1.2, shut ones about 0.1, a dim driver's narrow ones 0.06; flat dark glass has next to none."""
CLEAR_SEAM, LIP_REDNESS, LIP_DARKNESS = 0.12, 2.0, 4.0
"""A mouth shows a dark seam between its lips (over the skin's light), or lips that differ from the skin around them
(CIE Lab): a covered one none of these. Seams of 28 portraits with closed lips: 0.17 to 1.05."""
OPEN = 0.12
"""Lips apart by more than this share of the mouth's width are a mouth, whatever their colour."""
_CHEEK_POINTS = np.array([(118, 119, 101), (347, 348, 330)])
# Between the lids: the columns of landmarks without the corners, and how far down from the upper lid.
_HIGH = np.array([lid[1:-1] for lid in lm.UPPER_LIDS])
_LOW = np.array([lid[1:-1] for lid in lm.LOWER_LIDS])
_SHARES = np.linspace(0.25, 0.75, 5)[:, None, None]
_LIPS = (37, 0, 267, 84, 17, 314, 39, 269, 181, 405, 72, 302, 85, 315, 16, 11)
_AROUND = (164, 167, 393, 18, 200, 83, 313, 206, 426, 201, 421)


@dataclass(frozen=True)
class Covered:
    """What of a face is covered, and had better stay as it is."""

    mouth: bool = False
    eyes: bool = False


def covered(picture: NDArray[np.uint8], landmarks: Array) -> Covered:
    """What is covered in a portrait: RGB uint8 (H, W, 3), landmarks (478, 3) in pixels."""
    shut = all(_opening(landmarks, eye) < OPEN for eye in range(2))
    dark = float(eye_contrast(picture, landmarks).max()) < SEEN_EYE
    return Covered(mouth_covered(picture, landmarks), dark and not shut)


def eye_contrast(picture: NDArray[np.uint8], landmarks: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Contrast (2,) between the light and the dark parts of what lies between the lids, over the light of the cheek."""
    places = np.asarray(landmarks[:, :2], np.float64)
    high, low = places[_HIGH], places[_LOW]
    inside = (high[:, None] + _SHARES * (low - high)[:, None]).reshape(2, -1, 2)
    light = _light(picture, np.concatenate([inside, places[_CHEEK_POINTS]], axis=1))
    ordered = np.sort(light[:, : inside.shape[1]], axis=1)
    contrast = _quantile(ordered, 0.85) - _quantile(ordered, 0.1)
    return np.asarray(contrast / np.maximum(light[:, inside.shape[1] :].mean(1), 8.0), np.float32)


def mouth_covered(picture: NDArray[np.uint8], landmarks: Array) -> bool:
    """Whether neither lips nor the seam between them can be seen where they should be: a mask, a hand, a microphone."""
    import cv2

    corners = landmarks[[lm.INNER_LIP_UPPER[0], lm.INNER_LIP_UPPER[-1]], :2]
    width = float(np.linalg.norm(corners[1] - corners[0]))
    if width < 4.0 or float(np.linalg.norm(landmarks[13, :2] - landmarks[14, :2])) > OPEN * width:
        return False
    along = (corners[1] - corners[0]) / width
    across = np.array([-along[1], along[0]])
    a, b = np.arange(-0.2, 0.21, 0.035) * width, np.arange(-0.22, 0.22, 0.011) * width
    middle = landmarks[[13, 14], :2].mean(0)
    light = cv2.blur(_light(picture, middle + a[None, :, None] * along + b[:, None, None] * across), (3, 1))
    dark = cv2.morphologyEx(light, cv2.MORPH_CLOSE, np.ones((15, 1), np.uint8)) - light
    seam = float(np.percentile(dark[12:28].max(0), 30)) / max(float(np.median(light)), 10.0)
    lips, around = (_lab(picture, landmarks[None, list(numbers), :2]) for numbers in (_LIPS, _AROUND))
    differ = np.abs(lips - around)
    return bool(seam < CLEAR_SEAM and differ[1] < LIP_REDNESS and differ[0] < LIP_DARKNESS)


def _quantile(ordered: Pixels, share: float) -> Pixels:
    """As `np.quantile` of the sorted rows (N, n), which takes ten times as long on so few values."""
    below, rest = divmod(share * (ordered.shape[1] - 1), 1.0)
    low, high = ordered[:, int(below)], ordered[:, int(below) + 1]
    return np.asarray(low + np.float32(rest) * (high - low), np.float32)


def _opening(landmarks: Array, eye: int) -> float:
    upper, lower = lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye]
    width = float(np.linalg.norm(landmarks[upper[0], :2] - landmarks[upper[-1], :2]))
    return float(np.linalg.norm(landmarks[upper[4], :2] - landmarks[lower[4], :2])) / max(width, 1e-6)


def _light(picture: NDArray[np.uint8], points: NDArray[np.floating[Any]]) -> Pixels:
    return np.asarray(sample(picture, points).astype(np.float32).mean(2), np.float32)


def _lab(picture: NDArray[np.uint8], points: Array) -> Pixels:
    """Median colour (3,) at points, in CIE Lab."""
    import cv2

    colour = np.median(sample(picture, points).astype(np.float32)[0], axis=0) / np.float32(255.0)
    return np.asarray(cv2.cvtColor(colour[None, None].astype(np.float32), cv2.COLOR_RGB2LAB)[0, 0], np.float32)
