"""What is drawn beside a person's own skin must look like it: its fine texture, its usual colour, how sharp it is."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import eye_axes, head_frame
from avatarkit.quality.effective_resolution import edge_blur_px
from avatarkit.systems.landmark_warp.openings import Region

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

PATCHES = (151, 9, 50, 280, 101, 330)
"""Landmarks on open skin: forehead, cheeks."""
BLUR = 0.05
"""Detail is finer than this, in eye widths."""
STRONGEST = 14.0
"""Detail beyond these levels is a mole, a wrinkle or a strand, and is cut to them."""

GRAIN_PX, LEAST_GRAIN = 1.0, 1.2
"""Grain is finer than this standard deviation; so many levels of it are seen."""
MOUTH, BLUR_REACH = (1, 13, 17), 0.3
"""How sharp a picture is, is seen at nostrils and lips: around these landmarks, so far in head units."""
MOST_BLUR = 0.012
"""In head units: teeth that are blurred more are no teeth."""


def skin_colour(picture: NDArray[np.uint8], landmarks: Array) -> Pixels:
    """The usual colour (3,) of the face's open skin."""
    height, width = picture.shape[:2]
    points = landmarks[[*PATCHES, 118, 347, 205, 425], :2].round().astype(int)
    x, y = np.clip(points[:, 0], 0, width - 1), np.clip(points[:, 1], 0, height - 1)
    return np.asarray(np.median(picture[y, x].astype(np.float32), axis=0), np.float32)


def skin_detail(picture: NDArray[np.uint8], landmarks: Array, eye: int, shape: tuple[int, int], scale: float) -> Pixels:
    """Fine texture of open skin as differences of light, (h, w), to be added to smooth colours beside an eye.

    Of the places where a face usually shows open skin, the calmest is taken: hair, spectacles and edges are not calm.

    Args:
        shape: h and w wanted. scale: pixels of the result for a pixel of the picture.
    """
    import cv2

    rows, columns = shape
    _, along, width = eye_axes(landmarks, eye)
    across = np.array([-along[1], along[0]])
    side = 0.45 * width
    count = max(8, round(2 * side * scale))
    steps = (np.arange(count) - (count - 1) / 2.0) / scale
    best, least = np.zeros((count, count), np.float32), np.inf
    for number in PATCHES:
        centre = landmarks[number, :2]
        low, high = centre - 1.5 * side, centre + 1.5 * side
        if low.min() < 0 or high[0] >= picture.shape[1] or high[1] >= picture.shape[0]:
            continue
        points = centre + steps[None, :, None] * along + steps[:, None, None] * across
        light = sample(picture, points).astype(np.float32).mean(2)
        detail = light - cv2.GaussianBlur(light, (0, 0), max(BLUR * width * scale, 0.8))
        unrest = float(np.percentile(np.abs(detail), 95))
        if unrest < least:
            best, least = np.asarray(detail, np.float32), unrest
    best = np.clip(best - best.mean(), -STRONGEST, STRONGEST)
    # Turned over at its edges, the texture has no seams.
    down, right = -(-rows // count), -(-columns // count)
    tile = np.concatenate([best, best[::-1]]) if down > 1 else best
    tile = np.concatenate([tile, tile[:, ::-1]], axis=1) if right > 1 else tile
    return np.tile(tile, (down, right))[:rows, :columns].astype(np.float32)


def film_grain(picture: NDArray[np.uint8], landmarks: Array, shape: tuple[int, int]) -> Pixels | None:
    """What a picture's noise multiplies light by, (h, w) in its pixels, around 1; None where it hardly has any.

    It is the finest part of open skin, finer than pores and freckles of a sharp picture.
    """
    import cv2

    detail = skin_detail(picture, landmarks, 0, shape, 1.0)
    fine = detail - np.asarray(cv2.GaussianBlur(detail, (0, 0), GRAIN_PX), np.float32)
    light = max(float(skin_colour(picture, landmarks).mean()), 1.0)
    if float(fine.std()) < LEAST_GRAIN:
        return None
    return np.asarray(1.0 + np.clip(fine / np.float32(light), -0.3, 0.3), np.float32)


def blur_around_mouth(picture: NDArray[np.uint8], landmarks: Array) -> float:
    """How blurred a picture is around the mouth, a standard deviation in head units: what is drawn there is so, too."""
    import cv2

    scale = head_frame(landmarks).scale
    region = Region.around(landmarks[list(MOUTH), :2], BLUR_REACH * scale, picture.shape[1], picture.shape[0])
    if region is None:
        return 0.0
    part = cv2.cvtColor(np.ascontiguousarray(region.of(picture)), cv2.COLOR_RGB2GRAY)
    return min(edge_blur_px(np.asarray(part, np.float32)) / scale, MOST_BLUR)
