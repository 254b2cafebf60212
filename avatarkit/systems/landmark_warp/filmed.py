"""A face in a film given another expression: only what lies around it is drawn anew, all else is the film's."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.reshape import region_weights
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.engine import Feature, WarpEngine
from avatarkit.systems.landmark_warp.openings import Region
from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]
Picture = NDArray[np.uint8]

REACH = 1.0
"""The face's surroundings give way to its expression over this many head units."""


def expressed(
    frame: Picture, landmarks: Array, wanted: DriveFrame, features: Sequence[Feature], region: str, share: float = 1.0
) -> Picture:
    """A frame with the expression of another moment of the same face.

    Args:
        frame: RGB uint8 (H, W, 3); it is left alone.
        landmarks: (478, 3) of its face, in pixels.
        wanted: the expression, in any pose.
        features: eyes, lids and mouth of the person; see `WarpEngine`.
        region: "mouth", "eyes" or "expression" for both: what follows; the rest of the face stays.
        share: of the way to that expression.
    """
    height, width = frame.shape[:2]
    pose = head_frame(landmarks)
    part = Region.around(landmarks[: lm.MESH, :2], REACH * pose.scale, width, height)
    if part is None or share <= 0.0:
        return frame.copy()
    own = pose.apply_inverse(landmarks)
    mouth, eyes = region_weights(own)
    weights = {"mouth": mouth, "eyes": eyes}.get(region, np.maximum(mouth, eyes))
    change = wanted.pose.apply_inverse(wanted.landmarks) - own
    corner = np.array([part.left, part.top, 0.0])
    pose = replace(pose, translation=pose.translation - corner)
    picture = np.ascontiguousarray(part.of(frame))
    engine = WarpEngine(features)
    whole = np.ones(picture.shape[:2], np.float32)
    engine.prepare(SourceLayers(picture, picture, whole, landmarks - corner, anchored=True, cut_out=False))
    shape = own + share * weights[:, None] * change
    openness = 1.0 + share * (wanted.eye_openness - 1.0)
    drawn, _ = engine.draw(replace(wanted, pose=pose, landmarks=pose.apply(shape), eye_openness=openness))
    result = frame.copy()
    part.of(result)[:] = drawn
    return result
