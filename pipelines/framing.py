"""Which part of the source is drawn, and where the driver's picture lies in it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError, UsageError
from avatarkit.face.landmarks import MESH
from avatarkit.geometry.crop import Crop, head_crop, union, with_head_room
from avatarkit.head.coordinates import head_frame
from avatarkit.head.framing import inside, wanted
from avatarkit.head.square import Square, portrait_square
from avatarkit.motion.columns import Motion
from avatarkit.motion.moment import landmarks_of
from avatarkit.motion.transfer import Framing, Transfer
from avatarkit.pipelines.portrait import Portrait
from avatarkit.pipelines.reenact_config import HEAD, PORTRAIT, ReenactConfig
from avatarkit.systems.protocol import Needs

LEAST_INSIDE = 0.95
"""Share of the face's landmarks that must lie in the square that networks see."""
SUBJECT = 0.5
"""What belongs to the subject, in shares of the matte."""
HEAD_BOX = np.array([[x, y, 0.0] for x in (-1.6, 1.6) for y in (-2.6, 1.5)])
"""Corners of a head with hair or a hat, in head coordinates."""


def chosen_framing(config: ReenactConfig, needs: Needs) -> str:
    """`PORTRAIT` or `HEAD`, as asked for, else as the engine with these needs draws.

    Raises:
        UsageError: a framing that the engine cannot have, or options that place another one.
    """
    if needs.square_px is None and config.framing != HEAD:
        return PORTRAIT
    if config.framing == PORTRAIT:
        raise UsageError(
            "--framing portrait: this engine draws the head's square alone; leave it out (--framing head shows the same"
            " with any engine), or use --paste-back"
        )
    usual = ReenactConfig(None, None, config.output)
    for field in ("crop_scale", "crop_offset", "head_room"):
        if getattr(config, field) != getattr(usual, field):
            option = f"--{field.replace('_', '-')}"
            raise UsageError(f"{option}: the head's square has its own place and size; leave it out")
    return HEAD


def drawn_part(portrait: Portrait, motion: Motion | None, config: ReenactConfig) -> Crop:
    """The part of the picture that is drawn, by the framing; with paste-back all that the head passes over.

    `motion` is the driver's; it is needed with paste-back alone.
    """
    width, height = portrait.size
    if config.framing == HEAD:
        return head_part(portrait.face.landmarks, width, height, None if config.paste_back else config.side)
    crop = head_crop(
        portrait.face.landmarks, width, height, config.side, margin=config.crop_scale, offset=config.crop_offset
    )
    if motion is None:
        return crop
    whole = Crop(0.0, 0.0, float(width), float(height), 1.0)
    path = Transfer(motion, portrait.landmarks, config.motion, framing(motion, portrait, whole, config))
    corners = np.concatenate([path.pose(i).apply(HEAD_BOX)[:, :2] for i in range(len(path))])
    return union(crop, corners, width, height)


def part_around(square: Crop, portrait: Portrait, motion: Motion | None, config: ReenactConfig) -> Crop:
    """With paste-back, what an engine draws that is not bound to the head's square; the square lies inside."""
    wider = drawn_part(portrait, motion, replace(config, framing=PORTRAIT))
    far = (square.left + square.width, square.top + square.height)
    return union(wider, np.array([(square.left, square.top), far]), *portrait.size)


def with_room(
    crop: Crop, portrait: Portrait, room: float, matte: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
) -> Crop:
    """The crop with that share of its side free above the hair, as far as the picture reaches.

    Args:
        matte: the subject's matte (H, W) of the whole picture (H, W, 3).
    """
    width, height = portrait.size
    low, high = portrait.landmarks[:, :2].min(0), portrait.landmarks[:, :2].max(0)
    across = slice(max(0, int(low[0])), max(1, int(high[0]) + 1))
    # Above the face alone: others in the picture may stand higher.
    seen = np.flatnonzero(matte(portrait.picture)[: max(1, int(high[1])), across].max(1) > SUBJECT)
    hair_top = float(seen[0]) if len(seen) else float(low[1])
    return with_head_room(crop, hair_top, float(high[1]), room, width, height)


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
    part = head_part if config.framing == HEAD else head_crop
    window = part(landmarks_of(motion, 0), motion.width, motion.height, max(drawn.shown))
    corner = window.to_crop(np.zeros((1, 2)))[0]
    return Framing(window.scale, float(corner[0]), float(corner[1]))


def head_part(landmarks: NDArray[np.floating[Any]], width: int, height: int, size: int | None) -> Crop:
    """The square of a head in a picture of that size, of whole pixels, shown at `size`; None as it is."""
    window = inside(wanted(head_frame(landmarks)), 0.0, 0.0, width, height)
    side = int(window.side)
    left, top = min(round(window.left), width - side), min(round(window.top), height - side)
    return Crop.square(float(left), float(top), float(side), size or side)


def head_square(portrait: Portrait, size: int, where: str) -> Square:
    """A head as networks see it, `size` pixels a side.

    Raises:
        InputError: the picture, named by `where`, has no room for a square with the face inside.
    """
    square = portrait_square(portrait.picture, portrait.face.landmarks, size)
    face = square.landmarks[:MESH, :2]
    inside = float(((face > -0.5) & (face < size - 0.5)).all(axis=1).mean())
    if inside < LEAST_INSIDE:
        raise InputError(
            f"{where}: the head cannot be framed, the picture's edge cuts the face; use a picture with room"
            " around the head"
        )
    return square
