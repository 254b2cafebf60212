"""What will look bad, told before a frame is drawn: one line for each thing, with what to do about it."""

from collections.abc import Iterator

import numpy as np

from avatarkit.face.types import FaceChoice
from avatarkit.geometry.crop import Crop
from avatarkit.geometry.rotation import to_euler_deg
from avatarkit.head.coordinates import eye_opening, head_frame, mouth_opening
from avatarkit.motion.columns import Motion
from avatarkit.motion.transfer import Transfer
from avatarkit.pipelines.portrait import Portrait
from avatarkit.pipelines.reenact_config import HEAD, ReenactConfig
from avatarkit.pipelines.source import Source
from avatarkit.systems.protocol import SourceLayers

SHUT_EYES = 0.12
"""Lid distance over eye width below which a source's eyes count as shut."""
OPEN_MOUTH = 0.12
"""Lip distance over mouth width above which a source's mouth counts as open."""
TURNED_DEG = 30.0
"""A source turned by more shows too little of the other half of its face."""
FURTHEST_DEG = 45.0
"""A head turned by more, from the camera, shows what the source does not."""
ENLARGED = 2.0
"""A source shown larger than this looks soft."""
OFTEN = 0.02
"""Shares of the driver's frames below this are not worth a line."""
STILL = 1e-4
"""Eyes that move less than this, in eye widths, were not seen: a tracker's noise alone is more."""
CUT = 0.1
"""A head counts as cut off where an edge shows more of it than this share of the face's height."""


def about_source(portrait: Portrait, crop: Crop, config: ReenactConfig) -> Iterator[str]:
    """What the source itself makes hard, a line each; `crop` is the part of it that is drawn."""
    name, points = config.source_name, portrait.landmarks
    if any(portrait.border.sides):
        yield f"{name}: has a plain border, which is left out (--paste-back keeps the picture whole)"
    if portrait.faces > 1 and config.face == FaceChoice():
        x, y = np.add(portrait.face.centre, (portrait.border.left, portrait.border.top))
        yield (
            f"{name}: {portrait.faces} faces; the largest, at {x:.0f},{y:.0f}, is used"
            " (choose with --face or --face-at, see avatarkit doctor --faces)"
        )
    if float(eye_opening(points[:, :2]).max()) < SHUT_EYES:
        yield f"{name}: the eyes are shut and cannot be opened; use a picture with open eyes"
    if mouth_opening(points[:, :2]) > OPEN_MOUTH:
        close = "" if config.motion.close_mouth else "; --close-mouth starts from closed lips, and"
        yield f"{name}: the mouth is open{close or ';'} a picture with closed lips gives better speech"
    if portrait.covered.mouth:
        yield f"{name}: something covers the mouth, which stays as it is; use a picture that shows the lips"
    if portrait.covered.eyes:
        yield f"{name}: the eyes are behind dark glasses, and stay as they are; use a picture that shows them"
    pose = head_frame(points)
    yaw_deg, pitch_deg, _ = to_euler_deg(pose.rotation)
    turned_deg = max(abs(yaw_deg), abs(pitch_deg))
    if turned_deg > TURNED_DEG:
        yield (
            f"{name}: the head is turned away by {turned_deg:.0f} degrees, and what it does not show is a guess;"
            " use a frontal picture"
        )
    if crop.scale > ENLARGED:
        yield (
            f"{name}: the face is {portrait.face.extent_px:.0f} px high and shown {crop.scale:.1f} times as large,"
            f" which looks soft; use a larger picture, or --size {max(64, int(config.side / crop.scale) // 2 * 2)}"
        )


def about_motion(motion: Motion, transfer: Transfer, config: ReenactConfig) -> Iterator[str]:
    """What the driver asks of the source beyond what can be drawn well, a line each."""
    name, count = config.driver_name, len(motion)
    lost = motion.missing / count
    if lost > OFTEN:
        yield (
            f"{name}: no face in {100 * lost:.0f} % of the frames; motion there is made up"
            " (see --on-missing), or choose another part (--start, --end)"
        )
    eyes = np.concatenate([motion.eye_opening, motion.gaze.reshape(count, -1)], axis=1)
    if config.driver is not None and count > 1 and float(np.ptp(eyes, axis=0).max()) < STILL:
        yield f"{name}: the eyes cannot be seen (dark glasses?), and the source's rest; use a driver that shows them"
    turned_deg = np.abs([to_euler_deg(transfer.pose(i).rotation)[:2] for i in range(count)]).max(1)
    far = float((turned_deg > FURTHEST_DEG).mean())
    if far > OFTEN:
        worst = int(turned_deg.argmax())
        yield (
            f"{name}: turns the head by up to {turned_deg[worst]:.0f} degrees (at {float(worst / motion.rate):.1f} s),"
            f" and {100 * far:.0f} % of the frames show more of it than the picture does; lower --strength"
        )


def about_layers(source: Source, config: ReenactConfig) -> Iterator[str]:
    """What the drawn part of the source lacks, a line each."""
    sides = _cut_sides(source.layers)
    if not sides:
        return
    crop, width = source.crop, source.portrait.size[0]
    inside = {"top": crop.top > 0, "left": crop.left > 0, "right": crop.left + crop.width < width}
    beyond = all(inside[side] for side in sides)
    if beyond and config.framing == HEAD:
        return
    what = "a larger --crop-scale" if beyond else "a picture with room around the head"
    yield (
        f"{config.source_name}: the head reaches the {' and the '.join(sides)} of what is drawn, and what lies beyond"
        f" is missing when it moves; use {what}, or less motion (--strength 0.5)"
    )


def _cut_sides(layers: SourceLayers) -> list[str]:
    """The sides at which the subject's head, from chin to crown, is cut off; none without a matte."""
    if not layers.cut_out:
        return []
    low, high = layers.landmarks[:, :2].min(0), layers.landmarks[:, :2].max(0)
    head, face = layers.alpha > 0.5, float(high[1] - low[1])
    rows = slice(0, max(1, round(float(high[1]) - 0.25 * face)))
    edges = {"top": head[0], "left": head[rows, 0], "right": head[rows, -1]}
    return [side for side, edge in edges.items() if int(edge.sum()) > CUT * face]
