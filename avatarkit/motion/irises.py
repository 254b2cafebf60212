"""Where the irises of a source go under a driver's gaze."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import held
from avatarkit.head.coordinates import eye_axes, gaze

Array = NDArray[np.float64]

GAZE_GAIN = 1.3
"""Trackers report less than an iris' true way; the driver's reported gaze is multiplied by this to give the true one.
The pictures of six drivers, drawn from one of their frames each, are matched best by 1.0 to 1.6; 1.3 is the middle of
that. Irises found in the pictures of seven drivers move 0.9 to 1.15 times what is reported: less, but 1.3 stays, since
the first measure compares what is drawn, and results with 1.1 and with 1.3 have not been compared."""
OWN_GAZE = 0.25
"""The share of an eye's gaze that is its own; the rest is both eyes'. Eyes turn together, trackers' errors do not."""
AVERTED = (0.45, 0.75)
"""Sines of the turns from which on the farther eye's gaze counts less than the nearer one's, and not at all. Against
where irises are in the pictures of eight drivers, trackers err as much in the nearer eye as in the farther one up to 30
degrees."""
WHITE_BELOW, WHITE_ABOVE = 0.07, 0.04
"""In eye widths: how much more white than in the source an eye may show below and above its iris."""
GAZE_LIMIT, EASED_FROM = 0.34, 0.7
"""Irises stay within this share of the eye's width from its middle. They come nearer to it ever slower from the second
share of it on: the corners of no eye hide much of an iris that looks at them."""
HIDDEN_MOST = 0.15
"""Of an iris' radius, as much goes behind a corner."""


class Irises:
    """The irises of one source: where they look, how large they are, what white is around them.

    Args:
        source: (478, 3) landmarks in pixels.
    """

    def __init__(self, source: NDArray[np.floating[Any]]) -> None:
        self.gaze = gaze(source)
        """(2, 2), see `FaceState`."""
        self._width = [max(eye_axes(source, eye)[2], 1e-6) for eye in range(2)]
        around = zip(lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True)
        self._rims = [np.asarray(source[list(rim), :2] - source[centre, :2], np.float64) for centre, rim in around]
        lengths = [float(np.linalg.norm(rim, axis=1).mean()) for rim in self._rims]
        self._radius = [length / width for length, width in zip(lengths, self._width, strict=True)]
        self._white = [
            _white(source, eye, self.gaze[eye], self._radius[eye], eye_axes(source, eye)) for eye in range(2)
        ]

    def place(self, landmarks: Array, change: Array) -> None:
        """Put the iris landmarks where a change (2, 2) of gaze wants them, in the plane of the picture, in place."""
        for eye, (centre, rim) in enumerate(zip(lm.IRIS_CENTRES, lm.IRIS_RIMS, strict=True)):
            middle, along, width = eye_axes(landmarks, eye)
            across = np.array([-along[1], along[0]])
            wanted = self.gaze[eye] + change[eye]
            along_eye = _within_corners(float(wanted[0]), float(self.gaze[eye, 0]), self._radius[eye])
            look = np.array([along_eye, np.clip(wanted[1], -GAZE_LIMIT, GAZE_LIMIT)])
            most = np.maximum(self._white[eye], 0.0) + np.array([WHITE_ABOVE, WHITE_BELOW])
            more = _white(landmarks, eye, look, self._radius[eye], (middle, along, width)) - most
            # Where both sides show too much, the lids are wide open and the iris stays in the middle of it.
            look[1] += np.maximum(more, 0.0) @ [-1.0, 1.0]
            place = middle + width * (look[0] * along + look[1] * across)
            landmarks[centre, :2] = place
            landmarks[list(rim), :2] = place + self._rims[eye] * (width / self._width[eye])


def _within_corners(look: float, own: float, radius: float) -> float:
    """A look along the eye that leaves the iris seen; one as in the source stays. All in eye widths."""
    limit = min(GAZE_LIMIT, max(0.5 - (1.0 - HIDDEN_MOST) * radius, 0.2))
    free = max(EASED_FROM * limit, abs(own))
    room = max(limit - free, 0.05)
    return float(np.copysign(held(abs(look), free, room), look))


def agreed(change: Array, turn: float) -> Array:
    """The true change of both eyes' gaze (2, 2), of the change that a tracker reports.

    Args:
        change: (2, 2) in eye widths. turn: sine of the angle by which the head looks towards smaller x, which hides
            the right eye.
    """
    far = 0.5 * (1.0 - float(np.interp(abs(turn), AVERTED, (0.0, 1.0))))
    both = (np.array([far, 1.0 - far]) if turn > 0.0 else np.array([1.0 - far, far])) @ change
    return np.asarray(GAZE_GAIN * (both + OWN_GAZE * (change - both)), np.float64)


def _white(
    landmarks: NDArray[np.floating[Any]], eye: int, look: Array, radius: float, axes: tuple[Array, Array, float]
) -> Array:
    """White (2,) above and below an iris at `look` (2,), up to the lids, in eye widths; negative where they hide it.

    axes: see `eye_axes`.
    """
    middle, along, width = axes
    heights = []
    for ring in (lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye]):
        offset = (landmarks[list(ring), :2] - middle) / max(width, 1e-6)
        a, b = offset @ along, offset @ np.array([-along[1], along[0]])
        order = np.argsort(a)
        heights.append(float(np.interp(look[0], a[order], b[order])))
    return np.array([look[1] - radius - heights[0], heights[1] - look[1] - radius])
