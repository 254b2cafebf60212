"""Which part of the source is drawn, and where the driver's picture lies in it."""

import numpy as np

from avatarkit.errors import InputError
from avatarkit.face.landmarks import MESH
from avatarkit.geometry.crop import Crop, head_crop, union
from avatarkit.head.square import Square, portrait_square
from avatarkit.motion.columns import Motion
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.transfer import Framing, Transfer
from avatarkit.pipelines.reenact_config import ReenactConfig
from avatarkit.pipelines.source import Portrait

LEAST_INSIDE = 0.95
"""Share of the face's landmarks that must lie in the square that networks see."""
HEAD_BOX = np.array([[x, y, 0.0] for x in (-1.6, 1.6) for y in (-2.6, 1.5)])
"""Corners of a head with hair or a hat, in head coordinates."""


def drawn_part(portrait: Portrait, motion: Motion | None, config: ReenactConfig) -> Crop:
    """The part of the picture that is drawn: head and shoulders, with paste-back all that the head passes over.

    `motion` is the driver's; it is needed with paste-back alone.
    """
    width, height = portrait.size
    crop = head_crop(
        portrait.face.landmarks, width, height, config.side, margin=config.crop_scale, offset=config.crop_offset
    )
    if motion is None:
        return crop
    whole = Crop(0.0, 0.0, float(width), float(height), 1.0)
    path = Transfer(motion, portrait.landmarks, config.motion, framing(motion, portrait, whole, config))
    corners = np.concatenate([path.pose(i).apply(HEAD_BOX)[:, :2] for i in range(len(path))])
    return union(crop, corners, width, height)


def framing(motion: Motion, portrait: Portrait, drawn: Crop, config: ReenactConfig) -> Framing:
    """Where the driver's picture lies in what the engine draws, for absolute motion.

    With paste-back the driver's frame fills the source's; else the crop around the driver's head, in its first
    frame, becomes the crop around the source's.
    """
    if config.paste_back:
        width, height = portrait.size
        scale = min(width / motion.width, height / motion.height)
        left, top = (width - scale * motion.width) / 2.0, (height - scale * motion.height) / 2.0
        half = (scale - 1.0) / 2.0
        return Framing(scale, left + half - drawn.left, top + half - drawn.top)
    window = head_crop(landmarks_of(motion, 0), motion.width, motion.height, max(drawn.shown))
    corner = window.to_crop(np.zeros((1, 2)))[0]
    return Framing(window.scale, float(corner[0]), float(corner[1]))


def drawn_square(portrait: Portrait, size: int, config: ReenactConfig) -> tuple[Square, Crop]:
    """The source's head as networks see it, `size` pixels a side, and the part of the picture that it shows.

    Raises:
        InputError: the picture has no room for a square with the face inside.
    """
    square, result = portrait_square(portrait.picture, portrait.face.landmarks, size)
    face = square.landmarks[:MESH, :2]
    inside = float(((face > -0.5) & (face < size - 0.5)).all(axis=1).mean())
    if inside < LEAST_INSIDE:
        raise InputError(
            f"{config.source}: the head cannot be framed, the picture's edge cuts the face; use a picture with room"
            " around the head"
        )
    width, height = portrait.size
    side = float(int(result.width))
    left, top = min(round(result.left), width - side), min(round(result.top), height - side)
    shown = int(side) if config.paste_back else config.side
    return square, Crop.square(left, top, side, shown)
