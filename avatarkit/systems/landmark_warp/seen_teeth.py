"""What a frame of a person's footage shows of the upper teeth, for a source whose own lips are closed."""

import numpy as np
from numpy.typing import NDArray

from avatarkit.head.coordinates import head_frame
from avatarkit.systems.landmark_warp.coloured_light import eye_white, hue_of_light
from avatarkit.systems.landmark_warp.own_mouth import SHOWN_GAP, OwnMouth
from avatarkit.systems.landmark_warp.skin import skin_colour
from avatarkit.systems.landmark_warp.tooth_plane import ToothPlane, lips_at_rest

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

OTHER_LIGHT = (0.6, 1.6)
"""Colours of teeth follow those of the skin into the source's light by so much."""


def colour_of(frame: Picture, landmarks: Array, picture: Picture, own: Array) -> Array | None:
    """Colour (3,) of the teeth in a frame, in the source's light; None where it shows none.

    Args:
        frame: RGB uint8 (H, W, 3). landmarks: (478, 3) in its pixels. picture, own: the same of the source.
    """
    plane = ToothPlane.of(head_frame(landmarks), lips_at_rest(own, head_frame(own)))
    top, bottom = plane.lips(landmarks)
    if float((bottom[:, 1] - top[:, 1]).max()) <= SHOWN_GAP:
        return None
    skin = skin_colour(frame, landmarks)
    teeth = OwnMouth(frame, plane, top, bottom, hue_of_light(skin, eye_white(frame, landmarks))).teeth
    if teeth is None:
        return None
    light = np.maximum(skin_colour(picture, own), 1.0) / np.maximum(skin, 1.0)
    return np.asarray(teeth * np.clip(light, *OTHER_LIGHT), np.float64)
