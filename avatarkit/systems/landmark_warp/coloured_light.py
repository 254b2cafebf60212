"""The colour of the light that falls on a face: evenings, stages and screens tint teeth as they tint skin."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from avatarkit.face import landmarks as lm
from avatarkit.systems.landmark_warp.openings import Region, fill

Array = NDArray[np.float64]

WHITEST = 80
"""Per cent of what lies between the lids that is no lighter than the whites of the eyes, in each channel."""
SKIN = ((1.0, 1.5), (0.9, 1.3))
"""Red over green and green over blue of skin in white light, from the palest to the darkest: 48 photos."""
WHITES = ((0.93, 1.25), (0.85, 1.2))
"""The same of the whites of eyes, which are pink and lie in the shade of lashes."""
WITH_BLUE = 0.7
"""Step from green to red over that from blue to green in warm and cold light."""
STRONGEST = 1.6
"""Light farther from white leaves one channel black, and says nothing of colours."""


def eye_white(picture: NDArray[np.uint8], landmarks: Array) -> Array:
    """Colour (3,) of the whites of the eyes, black without any."""
    result = []
    for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        outline = landmarks[[*upper, *lower[::-1]], :2]
        region = Region.around(outline, 0.0, picture.shape[1], picture.shape[0])
        if region is None:
            continue
        part = region.of(picture)
        colours = part[fill(outline - [region.left, region.top], part.shape[:2]) > 0]
        if len(colours):
            result.append(np.percentile(colours, WHITEST, axis=0))
    return np.mean(result, axis=0) if result else np.zeros(3)


def hue_of_light(skin: ArrayLike, white: ArrayLike) -> Array:
    """Light by channels (3,), 1 on average: 1 each where skin and eyes may be those of a face in white light.

    Skin alone cannot tell: in white light it is of many colours. Where the whites of the eyes leave their usual colours
    the same way, the light does, by the smaller of both.

    Args:
        skin: (3,) its usual colour. white: (3,) that of the eyes.
    """
    of_skin, of_white = _aside(np.asarray(skin, np.float64), SKIN), _aside(np.asarray(white, np.float64), WHITES)
    same = of_skin * of_white > 0.0
    steps = np.where(same, np.sign(of_white) * np.minimum(np.abs(of_skin), np.abs(of_white)), 0.0)
    if steps[1] * of_white[0] > 0.0:
        # Light that lacks blue has red to spare, and the other way round; skin may be too pale or dark to tell.
        with_blue = np.sign(steps[1]) * min(WITH_BLUE * abs(steps[1]), abs(of_white[0]))
        steps[0] = max(steps[0], with_blue, key=abs)
    to_green, to_blue = np.exp(np.clip(steps, -np.log(STRONGEST), np.log(STRONGEST)))
    hue = np.array([to_green, 1.0, 1.0 / to_blue])
    return np.asarray(hue / hue.mean(), np.float64)


def _aside(colour: Array, usual: tuple[tuple[float, float], ...]) -> Array:
    """Logarithms (2,) of red over green and green over blue, over the nearest usual ones."""
    shares = np.maximum(colour[:2], 1.0) / np.maximum(colour[1:], 1.0)
    least, most = np.transpose(usual)
    return np.asarray(np.log(shares / np.clip(shares, least, most)), np.float64)
