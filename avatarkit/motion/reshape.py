"""Changes of a face's shape in head coordinates: proportions, regions, lids and lips."""


from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.easing import fall, held
from avatarkit.motion.columns import Motion

Array = NDArray[np.float64]

LOWER_LID_SHARE = 0.12
"""The part of a blink that the lower lid does."""
MOST_CLOSING = 0.16
"""A source's open lips are brought together by at most this many head units to meet a driver's closed ones."""
LEAST_CLOSING = 1e-6
"""In head units. Less is none; it is far too little to be seen, since lips begin to close at it at once."""
ALL_THE_WAY = 1.0
"""More than any mouth is open."""
UPPER_LIP_SINKS, CORNERS_RISE, CHIN_RISES = 0.05, 0.36, 0.6
"""Shares of a closing mouth: how far the upper lip comes down, the corners and the chin come up; the lower lip does the
rest. By least squares over two drivers who talk, laugh and turn (570 frames)."""
JAW = 0.4
"""From the lower lip to the chin's end, head units."""
WIDEST_MOUTH = (1.25, 1.45)
"""Width of a mouth over the source's: up to the first it passes unchanged, the second is never reached."""
WIDEST_OF_ALL = (0.66, 0.76)
"""The same in head units, for whoever smiles in the photo already: mouths at rest of 28 portraits are 0.42 to 0.57
wide, broad smiles 0.66 to 0.74, the widest of four drivers 0.75."""
WIDEST_OPENING = (0.5, 0.78)
"""The same for how far the lips are apart, over the width of the source's mouth."""
LIP_RANGE = (0.75, 1.25)
"""Thickness of lips over the source's: stretched and pressed lips are thinner, pursed ones thicker."""
BESIDE_FOLLOWS = 0.7
"""How far the lip beside a corner of the mouth does as its neighbour, whose thickness is limited."""
SCALE_RATIO_RANGE = (0.75, 1.35)
"""Range of source over driver proportions that expressions are stretched by."""
_UPPER, _LOWER = list(lm.INNER_LIP_UPPER), list(lm.INNER_LIP_LOWER)
_CORNERS = [lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]]
_JAW_ENDS = [132, 361]
_WIDTH_ENDS, _HEIGHT_ENDS = (127, 356), (10, 2)
"""A face is measured from temple to temple, and from the forehead to below the nose: a chin moves."""


def proportions(source: Array, identity: NDArray[np.floating[Any]]) -> Array:
    """Source over driver width, height and depth (3,) in head coordinates, within sensible limits."""
    (right, left), (top, bottom) = _WIDTH_ENDS, _HEIGHT_ENDS
    driver = np.asarray(identity, np.float64)
    x = np.linalg.norm(source[left] - source[right]) / np.linalg.norm(driver[left] - driver[right])
    y = np.linalg.norm(source[bottom] - source[top]) / np.linalg.norm(driver[bottom] - driver[top])
    return np.clip([x, y, (x + y) / 2.0], *SCALE_RATIO_RANGE)


def mouth_ratio(source: Array, motion: Motion, reference: int) -> float:
    """Source over driver width of the mouth, within the same limits: a small mouth must not gape."""
    driver = motion.identity[motion.shot[reference]] + motion.expression[reference]
    right, left = lm.OUTER_LIP_UPPER[0], lm.OUTER_LIP_UPPER[-1]
    width = float(np.linalg.norm(driver[left] - driver[right]))
    ratio = np.linalg.norm(source[left] - source[right]) / max(width, 1e-6)
    return float(np.clip(ratio, *SCALE_RATIO_RANGE))


def region_weights(shape: Array) -> tuple[Array, Array]:
    """Weights (478,) of the mouth region and of the eye region, 1 inside and falling smoothly to 0 around it."""
    lips = shape[[*lm.OUTER_LIP_UPPER, *lm.OUTER_LIP_LOWER], :2]
    eyes = shape[[i for lids in (*lm.UPPER_LIDS, *lm.LOWER_LIDS) for i in lids], :2]
    points = shape[:, :2]
    to_lips = np.linalg.norm(points[:, None] - lips[None], axis=2).min(1)
    to_eyes = np.linalg.norm(points[:, None] - eyes[None], axis=2).min(1)
    # What lies below the lips is the jaw, and moves with the mouth wherever it is.
    below = np.clip((points[:, 1] - lips[:, 1].mean()) / 0.3, 0.0, 1.0)
    return np.maximum(fall(to_lips, 0.3, 0.6), below), fall(to_eyes, 0.12, 0.3)


def with_lids(shape: Array, source: Array, openness: Array) -> Array:
    """The shape with its lids at the given share of the source's lid distance; creases follow half-way.

    Lids are set from one number each instead of from the driver's lid offsets: eyes differ so much in form that
    offsets would leave them half open, or turn the lids inside out.
    """
    result = shape.copy()
    for eye in range(2):
        upper, lower = list(lm.UPPER_LIDS[eye][1:-1]), list(lm.LOWER_LIDS[eye][1:-1])
        corners = [lm.UPPER_LIDS[eye][0], lm.UPPER_LIDS[eye][-1]]
        moved = (shape[corners] - source[corners]).mean(0)
        gap = source[upper] - source[lower]
        low = source[lower] + moved + LOWER_LID_SHARE * (1.0 - openness[eye]) * gap
        high = low + openness[eye] * gap
        above, below = list(lm.UPPER_CREASES[eye]), list(lm.LOWER_CREASES[eye])
        result[above] = 0.5 * (shape[above] + source[above] + moved + 0.6 * (high - source[upper] - moved))
        result[below] = 0.5 * (shape[below] + source[below] + moved + 0.6 * (low - source[lower] - moved))
        result[upper], result[lower] = high, low
    return result


def closing_lips(source: Array, reference: Array) -> Array:
    """Offsets (478, 3) that bring the source's lips as close together as the driver's are in its reference frame.

    Without them a source photographed with its mouth open would speak with its mouth ajar and never close it.
    """
    wanted = max(float((reference[_LOWER, 1] - reference[_UPPER, 1]).max()), 0.0)
    return lips_closer(source, min(_gap(source) - wanted, MOST_CLOSING))


def with_mouth_within(shape: Array, source: Array, mouth: Array) -> Array:
    """The shape with a mouth no wider and no more open than the source's face allows; small motions pass unchanged."""
    width = float(np.linalg.norm(source[_CORNERS[1]] - source[_CORNERS[0]]))
    now = float(np.linalg.norm(shape[_CORNERS[1]] - shape[_CORNERS[0]]))
    result = shape.copy()
    free = max(min(WIDEST_MOUTH[0] * width, WIDEST_OF_ALL[0]), width)
    most = max(min(WIDEST_MOUTH[1] * width, WIDEST_OF_ALL[1]), 1.04 * free)
    kept = float(held(now, free, most - free)) / max(now, 1e-6)
    if kept < 1.0:
        middle = shape[_CORNERS].mean(0)
        result[:, 0] += (kept - 1.0) * mouth * (shape[:, 0] - middle[0])
    gap, own = _gap(shape), _gap(source) / width
    # A source that gapes shows how far it can.
    free, most = max(WIDEST_OPENING[0], own), max(WIDEST_OPENING[1], 1.2 * own)
    return result + lips_closer(result, gap - width * float(held(gap / width, free, most - free)))


def with_lips_of(shape: Array, source: Array) -> Array:
    """The shape with lips about as thick as the source's: the skin around them gives way, their opening stays."""
    result = shape.copy()
    for rows in (lm.UPPER_LIP_ROWS, lm.LOWER_LIP_ROWS):
        # Beside the corners of the mouth lips taper off, and lie aslant.
        numbers = np.array(rows)[:, 2:-2]
        own = source[numbers] - source[numbers[-1]]
        now = shape[numbers] - shape[numbers[-1]]
        # Towards the outline; less than nothing where a lip is turned inside out.
        outwards = np.sign(own[0, :, 1])
        own_height, height = np.abs(own[0, :, 1]), outwards * now[0, :, 1]
        wanted = np.clip(height, LIP_RANGE[0] * own_height, LIP_RANGE[1] * own_height)
        # What a thin lip lacks is shared out to its rows as they lie in the source; a thick one is pressed together. So
        # a row moves by nothing where the limit is met, wherever it lies between.
        share = own[:-1, :, 1] / np.where(own_height > 1e-6, own[0, :, 1], 1.0)
        pressed = now[:-1, :, 1] * (wanted / np.where(height > wanted, height, 1.0) - 1.0)
        moved = np.where(height > wanted, pressed, outwards * share * (wanted - height))
        result[numbers[:-1], 1] += moved
        # What lies beside goes along: alone it would stand out as a flap.
        for beside, near in ((1, 0), (-2, -1)):
            result[np.array(rows)[:-1, beside], 1] += BESIDE_FOLLOWS * moved[:, near]
    return result


def _gap(shape: Array) -> float:
    return float(np.maximum(shape[_LOWER, 1] - shape[_UPPER, 1], 0.0).max())


def lips_closer(shape: Array, closing: float) -> Array:
    """Offsets (478, 3) that bring lips closer by `closing`, as a jaw does that rises: the chin and the sides follow."""
    gap = np.maximum(shape[_LOWER, 1] - shape[_UPPER, 1], 0.0)
    most, result = float(gap.max()), np.zeros_like(shape)
    if min(closing, most) < LEAST_CLOSING:
        return result
    closing = min(closing, most)
    open_here = gap / most
    corners = shape[_CORNERS]
    low, height = float(shape[_LOWER, 1].max()), float(corners[:, 1].mean())
    # Never above the line on which the lips meet: a scream would become a grin.
    meet = float(shape[_UPPER, 1].min()) + UPPER_LIP_SINKS * closing
    rise = min(CORNERS_RISE * closing, max(height - meet, 0.0))
    upper = UPPER_LIP_SINKS * closing * open_here - rise * (1.0 - open_here)
    lower = upper - closing * open_here
    aside = np.abs(shape[:, 0] - corners[:, 0].mean()) / np.abs(corners[:, 0].mean() - shape[_JAW_ENDS, 0]).mean()
    jaw = -closing * np.interp(shape[:, 1], (low, low + JAW), (1.0 - UPPER_LIP_SINKS, CHIN_RISES))
    jaw *= np.cos(0.5 * np.pi * np.minimum(aside, 1.0)) * fall(height - shape[:, 1], -0.2, 0.15)
    # Skin goes with the lip next to it, further on with the jaw.
    across = np.argsort(shape[_UPPER, 0])
    line = 0.5 * (shape[_UPPER, 1] + shape[_LOWER, 1])
    above, below, middle = (
        np.interp(shape[:, 0], shape[_UPPER, 0][across], values[across]) for values in (upper, lower, line)
    )
    inner = shape[[*_UPPER, *_LOWER], :2]
    near = fall(np.linalg.norm(shape[:, None, :2] - inner[None], axis=2).min(1), 0.02, 0.25)
    result[:, 1] = near * np.where(shape[:, 1] > middle, below, above) + (1.0 - near) * jaw
    # A lip goes as a whole, also beside the corners, where its outline lies aside of its edge.
    result[np.array(lm.UPPER_LIP_ROWS), 1], result[np.array(lm.LOWER_LIP_ROWS), 1] = upper, lower
    return result


def with_lips_apart(shape: Array) -> Array:
    """The shape with no inner upper-lip point below its partner on the lower lip: closed lips meet in the middle."""
    result = shape.copy()
    upper, lower = list(lm.INNER_LIP_UPPER[1:-1]), list(lm.INNER_LIP_LOWER[1:-1])
    overlap = np.maximum(result[upper, 1] - result[lower, 1], 0.0)
    result[upper, 1] -= overlap / 2.0
    result[lower, 1] += overlap / 2.0
    return result
