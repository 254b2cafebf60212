"""What the refinement learns from: parts of what the warp draws, of the truth, and of where things are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.geometry.rotation import to_vector
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.protocol import Drawn, SourceLayers
from avatarkit.systems.refined_warp.guides import guide
from avatarkit.systems.refined_warp.network import RefinementConfig
from avatarkit.systems.refined_warp.patches import NAMES, Patch, patches

__all__ = [
    "CHANNELS", "MARGIN", "PICTURE", "Sample", "opening", "part_sizes", "sample", "shapes", "source_parts", "warped",
]  # fmt: skip

MARGIN = 1.125
"""Stored parts are this much larger than patches, so that training can move its patches a little."""
CHANNELS = {"warp": slice(0, 3), "truth": slice(3, 6), "guide": slice(6, 9)}
PICTURE = 2
"""Faces are stored, and judged, at this multiple of the size that the face net sees."""


@dataclass(frozen=True)
class Sample:
    """One moment.

    parts: by name, uint8 (h, w, 9), see `CHANNELS`. matrices: float32 (4, 2, 3), the patches of the drawn picture.
    pose: float32 (3,), the head's rotation vector.
    """

    parts: Mapping[str, NDArray[np.uint8]]
    matrices: NDArray[np.float32]
    pose: NDArray[np.float32]


def shapes(config: RefinementConfig) -> dict[str, tuple[int, int]]:
    """Width and height of each stored part."""
    sizes = part_sizes(config)
    return {name: (2 * round(w * MARGIN / 2), 2 * round(h * MARGIN / 2)) for name, (w, h) in sizes.items()}


def grown(patch: Patch, size: tuple[int, int], stored: tuple[int, int]) -> Patch:
    """The patch with its margin: exactly as much larger as the stored size is."""
    factor = np.array([stored[0] / size[0], stored[1] / size[1], 1.0])
    return Patch(patch.matrix * factor)


def warped(engine: WarpEngine, asked: DriveFrame, shown: DriveFrame) -> Drawn:
    """What the warp engine draws of a motion, with colours wherever a patch looks; `shown` is the motion as eased."""
    face = patches(shown.landmarks, shown.pose)[NAMES.index("face")]
    return Drawn(*engine.draw(asked, shown, Patch(face.matrix * [MARGIN, MARGIN, 1.0]).corners))


def sample(
    config: RefinementConfig,
    drawn: Drawn,
    shown: DriveFrame,
    truth: NDArray[np.uint8],
    places: tuple[Patch, ...],
) -> Sample:
    """Cut a moment.

    Args:
        drawn: the warp's frame and alpha. shown: the motion that it shows. truth: the true picture. places: the
            patches of the head in the truth, in its pixels.
    """
    alpha = drawn.alpha if drawn.alpha is not None else np.full(drawn.frame.shape[:2], 255, np.uint8)
    own = patches(shown.landmarks, shown.pose)
    parts: dict[str, NDArray[np.uint8]] = {}
    for name, size, stored, here, there in zip(
        NAMES, part_sizes(config).values(), shapes(config).values(), own, places, strict=True
    ):
        here, there = grown(here, size, stored), grown(there, size, stored)
        pictures = here.cut(drawn.frame, stored), there.cut(truth, stored)
        parts[name] = np.concatenate([*pictures, guide(name, here, shown.landmarks, alpha, stored)], axis=2)
    matrices = np.stack([patch.matrix for patch in own]).astype(np.float32)
    return Sample(parts, matrices, to_vector(shown.pose.rotation).astype(np.float32))


def opening(stored: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
    """Of stored eyes or mouths (N, h, w, 9) the masks (N, height, width) of what lies between lids or lips, 0 to 1.

    `size`: width and height of the patch without its margin.
    """
    width, height = size
    top, left = (stored.shape[1] - height) // 2, (stored.shape[2] - width) // 2
    found = stored[:, top : top + height, left : left + width, CHANNELS["guide"].start]
    return found.astype(np.float32) / np.float32(255.0)


def source_parts(config: RefinementConfig, source: SourceLayers) -> dict[str, NDArray[np.uint8]] | None:
    """The source's own parts (h, w, 3), as nets for any source see them; None for nets of one person."""
    if not config.extra:
        return None
    sizes = {**part_sizes(config), "face": (config.face, config.face)}
    own = patches(np.asarray(source.landmarks, np.float64), head_frame(source.landmarks))
    return {name: patch.cut(source.picture, sizes[name]) for name, patch in zip(NAMES, own, strict=True)}


def part_sizes(config: RefinementConfig) -> dict[str, tuple[int, int]]:
    """Width and height of each part as stored, without its margin."""
    face = config.face * PICTURE
    return {"face": (face, face), "mouth": (config.mouth,) * 2, "right_eye": config.eye, "left_eye": config.eye}
