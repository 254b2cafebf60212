"""Eyes: the eyeball is a layer of its own, seen through the opening between the lids.

Lids close over it instead of squashing it, and the iris slides within it, so it stays round.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.eye_frame import HALF_HEIGHT, HALF_WIDTH, EyeFrame, EyePatch, turned_away
from avatarkit.systems.landmark_warp.openings import Region, blend, fill, smooth_curve, soft_mask

Array = NDArray[np.float64]

RIM_SHARE = 0.03
"""Lashes and lid margins reach this far (in eye widths) into the opening; no eyeball is read there."""
STIFFNESS = 0.85
"""The white beside the iris is squeezed at most by this share when the iris moves."""


@dataclass(frozen=True)
class Eyeball:
    """A source's eyeball, completed behind its lids; centre (2,) and radius of the iris in eye widths."""

    patch: EyePatch
    iris: Array
    radius: float


class EyeLayer:
    """Draws both eyes of a source."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        scale = head_frame(landmarks).scale
        self._eyes = [_eyeball(picture, landmarks, eye, scale) for eye in range(2)]

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw the eyes into a frame (H, W, 3), in place; a closed or averted eye is left to the lids."""
        height, width = frame.shape[:2]
        for eye, ball in enumerate(self._eyes):
            upper = motion.landmarks[list(lm.UPPER_LIDS[eye]), :2]
            lower = motion.landmarks[list(lm.LOWER_LIDS[eye]), :2]
            gap = (lower - upper)[:, 1]
            eye_frame = EyeFrame.of(motion.landmarks, eye, ball.patch.drop * motion.pose.scale)
            if gap.max() < 0.6 or eye_frame.width < 3.0 or turned_away(motion.landmarks, eye):
                continue
            outline = np.concatenate([smooth_curve(upper), smooth_curve(lower)[::-1]])
            region = Region.around(outline, 3.0, width, height)
            if region is None:
                continue
            centre = eye_frame.local(motion.landmarks[lm.IRIS_CENTRES[eye], :2])
            colours = _look(ball, eye_frame.of_region(region), centre)
            # A nearly closed eye shows less and less of the ball, without a hard last moment.
            opening = float(np.clip(gap.max() / 2.5, 0.0, 1.0))
            blend(region.of(frame), colours, np.float32(opening) * soft_mask(outline, region, 0.008 * eye_frame.width))


def _look(ball: Eyeball, local: NDArray[np.float32], centre: Array) -> NDArray[np.float32]:
    """Colours (h, w, 3) of the eyeball with its iris at `centre`: the iris moves whole, the white gives way."""
    core = 1.15 * ball.radius
    free = max(0.62 - abs(float(ball.iris[0])) - core, 0.12)
    shift = centre - ball.iris
    length = float(np.linalg.norm(shift))
    if length > 1e-9:
        shift = shift * min(1.0, STIFFNESS * free / length)
    now = (ball.iris + shift).astype(np.float32)
    distance = np.linalg.norm(local - now, axis=2)
    share = np.clip(1.0 - (distance - core) / free, 0.0, 1.0)[..., None]
    source = local - share * shift.astype(np.float32)
    return ball.patch.at(source)


def _eyeball(picture: NDArray[np.uint8], landmarks: Array, eye: int, scale: float) -> Eyeball:
    """Cut the eyeball out of the picture and complete what the lids hide of it."""
    import cv2

    patch = EyePatch.cut(picture, landmarks, eye, scale)
    frame = EyeFrame.of(landmarks, eye)
    centre = frame.local(landmarks[lm.IRIS_CENTRES[eye], :2])
    rim = frame.local(landmarks[list(lm.IRIS_RIMS[eye]), :2]) - centre
    radius = float(np.clip(np.linalg.norm(rim, axis=1).mean(), 0.12, 0.3))
    outline = frame.local(landmarks[[*lm.UPPER_LIDS[eye], *lm.LOWER_LIDS[eye][::-1]], :2])
    seen = fill((outline + np.array([HALF_WIDTH, HALF_HEIGHT])) * patch.per_width, patch.pixels.shape[:2])
    rim_px = max(1, round(RIM_SHARE * patch.per_width))
    clear = np.asarray(cv2.erode(seen, np.ones((2 * rim_px + 1, 3), np.uint8)), bool)
    whole = _completed(patch.pixels.round().astype(np.uint8), clear, patch.local, centre, radius)
    return Eyeball(replace(patch, pixels=whole), centre, radius)


def _completed(
    patch: NDArray[np.uint8], seen: NDArray[np.bool_], local: Array, centre: Array, radius: float
) -> NDArray[np.float32]:
    """The patch with the hidden part of the iris mirrored from its visible half, and the white spread outwards."""
    import cv2

    if np.count_nonzero(seen) < 12:
        return patch.astype(np.float32)
    distance = np.linalg.norm(local - centre, axis=2)
    iris = distance < 1.02 * radius
    result = patch.copy()
    if np.count_nonzero(seen & ~iris) >= 12:
        # The white next to the iris is darkened by its edge: only what lies clear of it is spread.
        unknown = ~(seen & (distance > 1.15 * radius))
        white = cv2.inpaint(patch, unknown.astype(np.uint8), 3, cv2.INPAINT_TELEA)
        result[~seen & ~iris] = white[~seen & ~iris]
    step = local[0, 1, 0] - local[0, 0, 0]
    rows, columns = np.nonzero(iris & ~seen)
    opposite_y = np.round((2 * centre[1] - local[rows, columns, 1] - local[0, 0, 1]) / step).astype(int)
    for mirror_x in (False, True):
        want_x = 2 * centre[0] - local[rows, columns, 0] if mirror_x else local[rows, columns, 0]
        opposite_x = np.round((want_x - local[0, 0, 0]) / step).astype(int)
        good = (opposite_y >= 0) & (opposite_y < patch.shape[0]) & (opposite_x >= 0) & (opposite_x < patch.shape[1])
        good[good] = seen[opposite_y[good], opposite_x[good]]
        result[rows[good], columns[good]] = patch[opposite_y[good], opposite_x[good]]
        rows, columns, opposite_y = rows[~good], columns[~good], opposite_y[~good]
    if len(rows):
        left = np.zeros(seen.shape, np.uint8)
        left[rows, columns] = 1
        result = np.asarray(cv2.inpaint(result, left, 3, cv2.INPAINT_TELEA), np.uint8)
    return result.astype(np.float32)
