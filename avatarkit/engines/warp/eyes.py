"""Eyes: the eyeball is a layer of its own, seen through the opening between the lids.

Lids close over it instead of squashing it, and the iris slides within it, so it stays round.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.engines.warp.openings import Region, blend, smooth_curve, soft_mask
from avatarkit.face import landmarks as lm
from avatarkit.motion.head import eye_axes, head_frame
from avatarkit.motion.transfer import DriveFrame

Array = NDArray[np.float64]

# The patch of eyeball that is kept, in eye widths from the middle of the eye.
HALF_WIDTH, HALF_HEIGHT = 0.8, 0.55
RIM_SHARE = 0.03
"""Lashes and lid margins reach this far (in eye widths) into the opening; no eyeball is read there."""
STIFFNESS = 0.85
"""The white beside the iris is squeezed at most by this share when the iris moves."""
MIN_PATCH_PX = 48


@dataclass(frozen=True)
class Eyeball:
    """A source's eyeball in eye coordinates: along the eye and across it, in eye widths from its middle.

    patch: RGB float32 (h, w, 3). iris: (2,) centre of the iris. radius: of the iris. drop: what one eye width
    across the eye is in head units, so that a turned head narrows the eye but does not flatten it.
    """

    patch: NDArray[np.float32]
    per_width: float
    iris: Array
    radius: float
    drop: float


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
            middle, along, eye_width = eye_axes(motion.landmarks, eye)
            if gap.max() < 0.6 or eye_width < 3.0 or turned_away(motion.landmarks, eye):
                continue
            outline = np.concatenate([smooth_curve(upper), smooth_curve(lower)[::-1]])
            region = Region.around(outline, 3.0, width, height)
            if region is None:
                continue
            local = eye_coordinates(region, middle, along, eye_width, ball.drop * motion.pose.scale)
            centre = local_point(
                motion.landmarks[lm.IRIS_CENTRES[eye], :2], middle, along, eye_width, ball.drop * motion.pose.scale
            )
            colours = _look(ball, local, centre)
            # A nearly closed eye shows less and less of the ball, without a hard last moment.
            opening = float(np.clip(gap.max() / 2.5, 0.0, 1.0))
            blend(region.of(frame), colours, opening * soft_mask(outline, region, 0.008 * eye_width))


def eye_coordinates(region: Region, middle: Array, along: Array, width: float, height: float) -> NDArray[np.float32]:
    """Eye coordinates (h, w, 2) of a region's pixels: along in units of `width`, across in units of `height` pixels."""
    x, y = region.pixels()
    dx, dy = x - np.float32(middle[0]), y - np.float32(middle[1])
    ax, ay = np.float32(along[0]), np.float32(along[1])
    return np.stack([(dx * ax + dy * ay) / np.float32(width), (dy * ax - dx * ay) / np.float32(height)], axis=2)


def local_point(point: Array, middle: Array, along: Array, width: float, height: float) -> Array:
    offset = point - middle
    return np.array([offset @ along / width, offset @ np.array([-along[1], along[0]]) / height])


def _look(ball: Eyeball, local: NDArray[np.float32], centre: Array) -> NDArray[np.float32]:
    """Colours (h, w, 3) of the eyeball with its iris at `centre`: the iris moves whole, the white gives way."""
    import cv2

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
    grid = (source + np.array([HALF_WIDTH, HALF_HEIGHT], np.float32)) * np.float32(ball.per_width)
    return np.asarray(
        cv2.remap(ball.patch, grid.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )


def turned_away(landmarks: Array, eye: int) -> bool:
    """Whether the eye's opening shows its back, or the bridge of the nose hides its inner corner."""
    outer, inner = landmarks[lm.UPPER_LIDS[eye][0], 0], landmarks[lm.UPPER_LIDS[eye][-1], 0]
    bridge = landmarks[168, 0]
    return bool(inner <= outer or bridge < inner) if eye == 0 else bool(inner >= outer or bridge > inner)


def _eyeball(picture: NDArray[np.uint8], landmarks: Array, eye: int, scale: float) -> Eyeball:
    """Cut the eyeball out of the picture and complete what the lids hide of it."""
    import cv2

    middle, along, width = eye_axes(landmarks, eye)
    drop = width / scale
    per_width = max(width, MIN_PATCH_PX)
    columns, rows = round(2 * HALF_WIDTH * per_width) + 1, round(2 * HALF_HEIGHT * per_width) + 1
    a, b = np.meshgrid(np.arange(columns) / per_width - HALF_WIDTH, np.arange(rows) / per_width - HALF_HEIGHT)
    x = middle[0] + width * (a * along[0] - b * along[1])
    y = middle[1] + width * (a * along[1] + b * along[0])
    grid = np.stack([x, y], axis=2).astype(np.float32)
    patch = cv2.remap(picture, grid, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    centre = local_point(landmarks[lm.IRIS_CENTRES[eye], :2], middle, along, width, width)
    rim = landmarks[list(lm.IRIS_RIMS[eye]), :2] - landmarks[lm.IRIS_CENTRES[eye], :2]
    radius = float(np.clip(np.linalg.norm(rim, axis=1).mean() / width, 0.12, 0.3))
    outline = np.concatenate(
        [landmarks[list(lm.UPPER_LIDS[eye]), :2], landmarks[list(lm.LOWER_LIDS[eye][::-1]), :2]]
    )
    local = np.stack([local_point(p, middle, along, width, width) for p in outline])
    pixels = ((local + [HALF_WIDTH, HALF_HEIGHT]) * per_width).round().astype(np.int32)
    seen = np.zeros((rows, columns), np.uint8)
    cv2.fillPoly(seen, [pixels.reshape(-1, 1, 2)], 1)
    rim_px = max(1, round(RIM_SHARE * per_width))
    seen = cv2.erode(seen, np.ones((2 * rim_px + 1, 3), np.uint8))
    completed = _completed(np.asarray(patch, np.uint8), seen.astype(bool), np.stack([a, b], axis=2), centre, radius)
    return Eyeball(completed, per_width, centre, radius, drop)


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
