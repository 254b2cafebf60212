"""What a frame of a person's footage shows of the upper teeth, for a source whose own lips are closed."""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class SourceLight:
    """What the teeth of other frames are told by: where lips meet at rest, and (3,) the skin's colour in a source."""

    rest: Array
    skin: NDArray[np.float32]

    @staticmethod
    def of(picture: Picture, landmarks: Array) -> "SourceLight":
        """Of a source, RGB uint8 (H, W, 3), landmarks (478, 3) in its pixels."""
        return SourceLight(lips_at_rest(landmarks, head_frame(landmarks)), skin_colour(picture, landmarks))

    def teeth_in(self, frame: Picture, landmarks: Array) -> Array | None:
        """Colour (3,) of the teeth in a frame, in the source's light; None where it shows none.

        Args:
            frame: RGB uint8 (H, W, 3). landmarks: (478, 3) in its pixels.
        """
        plane = ToothPlane.of(head_frame(landmarks), self.rest)
        top, bottom = plane.lips(landmarks)
        if float((bottom[:, 1] - top[:, 1]).max()) <= SHOWN_GAP:
            return None
        skin = skin_colour(frame, landmarks)
        teeth = OwnMouth(frame, plane, top, bottom, hue_of_light(skin, eye_white(frame, landmarks))).teeth
        if teeth is None:
            return None
        light = np.maximum(self.skin, 1.0) / np.maximum(skin, 1.0)
        return np.asarray(teeth * np.clip(light, *OTHER_LIGHT), np.float64)
