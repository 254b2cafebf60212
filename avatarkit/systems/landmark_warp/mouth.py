"""The inside of the mouth: the source's own where it shows one, drawn teeth and cavity where it does not."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.face import landmarks as lm
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.openings import Region, blend, smooth_curve, soft_mask

Array = NDArray[np.float64]
Colours = NDArray[np.float32]

# Lengths in head units (distance of the outer eye corners, about 9 cm).
TOOTH_WIDTH = 0.085
TEETH_BELOW_LINE = 0.005
"""The upper teeth end this far below the line where the lips meet at rest; they stay with the skull."""
LOWER_TEETH_SHOWN = 0.035
"""The lower teeth stand this far above the lower lip."""
SHOWN_GAP = 0.03
"""A source whose lips are this far apart shows the inside of its mouth."""
TEETH_HALF_ARCH = 0.33
"""Teeth are seen this far to either side of the middle."""


class MouthLayer:
    """Draws the inside of a source's mouth."""

    def __init__(self, picture: NDArray[np.uint8], landmarks: Array) -> None:
        self._picture = picture
        pose = head_frame(landmarks)
        self._scale = pose.scale
        lips = pose.apply_inverse(landmarks[[13, 14]])
        # Of lips that are apart, the lower one has left the line where they would meet.
        self._rest = np.array([*lips.mean(0)[:1], min(lips.mean(0)[1], lips[0, 1] + 0.02), lips.mean(0)[2]])
        upper, lower = landmarks[list(lm.INNER_LIP_UPPER), :2], landmarks[list(lm.INNER_LIP_LOWER), :2]
        self._axes = _axes(upper)
        self._upper, self._lower = _profile(upper, self._axes, self._scale), _profile(lower, self._axes, self._scale)
        gap = float((self._lower[:, 1] - self._upper[:, 1]).max())
        self._shows_inside = gap > SHOWN_GAP
        self._teeth, self._cavity, self._tongue = _palette(picture, landmarks)
        self._split = self._upper_share() if self._shows_inside else 0.0

    def draw(self, frame: NDArray[np.uint8], motion: DriveFrame) -> None:
        """Draw what is seen between the lips into a frame (H, W, 3), in place."""
        upper = motion.landmarks[list(lm.INNER_LIP_UPPER), :2]
        lower = motion.landmarks[list(lm.INNER_LIP_LOWER), :2]
        gap = np.linalg.norm(lower - upper, axis=1).max()
        scale = motion.pose.scale
        if gap < 0.008 * scale:
            return
        outline = np.concatenate([smooth_curve(upper), smooth_curve(lower)[::-1]])
        region = Region.around(outline, 3.0, frame.shape[1], frame.shape[0])
        if region is None:
            return
        axes = _axes(upper)
        along, across = _mouth_coordinates(region, axes, scale)
        below = across - _at(_profile(upper, axes, scale), along)
        above = _at(_profile(lower, axes, scale), along) - across
        colours = self._drawn(*self._in_skull(along, across, axes, motion), below, above)
        if self._shows_inside:
            ratio = float(np.linalg.norm(upper[-1] - upper[0])) / scale / self._width()
            own, share = self._own(along / np.float32(ratio), below, below + above)
            colours += share[..., None] * (own - colours)
        blend(region.of(frame), colours, soft_mask(outline, region, 0.006 * scale))

    def _width(self) -> float:
        return float(self._upper[-1, 0] - self._upper[0, 0])

    def _in_skull(
        self, along: Colours, across: Colours, axes: tuple[Array, Array], motion: DriveFrame
    ) -> tuple[Colours, Colours]:
        """Distances (h, w) from the middle of the dental arch, and below the line where the lips rest."""
        rest = (motion.pose.apply(self._rest)[:2] - axes[0]) / motion.pose.scale
        middle, line = rest @ axes[1], rest @ np.array([-axes[1][1], axes[1][0]])
        narrowed = max(float(np.linalg.norm(motion.pose.rotation[:2, 0])), 0.3)
        sideways = (along - np.float32(middle)) / np.float32(narrowed)
        return np.asarray(sideways, np.float32), np.asarray(across - np.float32(line), np.float32)

    def _drawn(self, sideways: Colours, down: Colours, below: Colours, above: Colours) -> Colours:
        """Teeth, tongue and cavity, (h, w, 3).

        Args:
            sideways, down: place in the skull, in head units; see `_in_skull`.
            below, above: distances to the upper and the lower lip, in head units.
        """
        gap = np.maximum(below + above, 1e-4)
        side = np.clip(np.abs(sideways) / TEETH_HALF_ARCH, 0.0, 1.0)
        colours = np.broadcast_to(self._cavity, (*sideways.shape, 3)).astype(np.float32)
        # The tongue lies on the floor of an open mouth and takes a little light.
        tongue = _ramp(gap, 0.1, 0.28) * _ramp(0.6 - above / gap, 0.0, 0.45) * (1.0 - side) * 0.75
        colours = colours + tongue[..., None] * (self._tongue - colours)
        groove = 1.0 - 0.15 * np.exp(-((_to_nearest(sideways, TOOTH_WIDTH) / 0.007) ** 2))
        scallop = 0.006 * np.abs(np.cos(np.pi * sideways / TOOTH_WIDTH))
        arch = 1.0 - 0.4 * side**2
        upper_edge = TEETH_BELOW_LINE - 0.045 * side**2 + scallop - down
        lower_edge = LOWER_TEETH_SHOWN * arch + scallop - above
        # The lower row hides behind the lip until the jaw drops; both lie in the shadow of the lips.
        for edge, from_lip, light, shown in (
            (lower_edge, above, 0.55, _ramp(gap, 0.15, 0.3) * 0.7),
            (upper_edge, below, 0.95, np.ones_like(gap)),
        ):
            seen = _ramp(edge, 0.0, 0.014) * _ramp(1.0 - side, 0.0, 0.3) * shown
            shade = light * arch * (0.62 + 0.38 * _ramp(from_lip, 0.0, 0.06))
            colours = colours + seen[..., None] * (self._teeth * (shade * groove)[..., None] - colours)
        return np.asarray(colours, np.float32)

    def _own(self, along: Colours, below: Colours, gap: Colours) -> tuple[Colours, Colours]:
        """The source's own inside, and the share (h, w) in which it is used.

        The part that hangs on the upper lip keeps its distance to it, the part that lies on the lower lip to
        that, so that a wider mouth shows more dark, not longer teeth.
        """
        own_top, own_bottom = _at(self._upper, along), _at(self._lower, along)
        own_gap = np.maximum(own_bottom - own_top, 0.0)
        hangs = np.minimum(self._split * own_gap, gap)
        from_bottom = own_gap - (gap - below)
        upper_part = below <= hangs
        depth = np.where(upper_part, below, np.maximum(from_bottom, hangs))
        inside = np.where(upper_part, hangs - below, from_bottom - hangs)
        edge = 0.02
        share = np.where(gap <= own_gap, 1.0, np.clip(inside / edge + 0.5, 0.0, 1.0))
        # Near corners that the source keeps closed there is nothing of its own to show.
        share = share * np.clip(own_gap / 0.02 - 0.3, 0.0, 1.0)
        depth = np.where(gap <= own_gap, below, depth)
        middle, axis = self._axes
        u, v = along * self._scale, (own_top + np.clip(depth, 0.0, own_gap)) * self._scale
        grid = np.stack(
            [middle[0] + u * axis[0] - v * axis[1], middle[1] + u * axis[1] + v * axis[0]], axis=2
        ).astype(np.float32)
        own = sample(self._picture, grid)
        return own.astype(np.float32), share.astype(np.float32)

    def _upper_share(self) -> float:
        """How much of the source's open mouth, from the top, hangs on the upper lip: down to where it turns dark."""
        middle, axis = self._axes
        heights = np.linspace(0.05, 0.95, 19)
        top, bottom = (float(np.interp(0.0, lip[:, 0], lip[:, 1])) for lip in (self._upper, self._lower))
        across = (top + heights * (bottom - top)) * self._scale
        x, y = middle[0] - across * axis[1], middle[1] + across * axis[0]
        rows = np.clip(y.round().astype(int), 0, self._picture.shape[0] - 1)
        columns = np.clip(x.round().astype(int), 0, self._picture.shape[1] - 1)
        light = self._picture[rows, columns].mean(1)
        dark = np.flatnonzero(light < 0.55 * light[:8].max())
        return float(heights[dark[0]]) if len(dark) else 1.0


def _axes(upper: Array) -> tuple[Array, Array]:
    """Middle (2,) between the mouth corners and the unit vector (2,) from the right corner to the left one."""
    along = upper[-1] - upper[0]
    return (upper[0] + upper[-1]) / 2.0, along / max(float(np.linalg.norm(along)), 1e-6)


def _mouth_coordinates(region: Region, axes: tuple[Array, Array], scale: float) -> tuple[Colours, Colours]:
    """Along the mouth and across it (down), (h, w) each, in head units from its middle."""
    middle, axis = axes
    x, y = region.pixels()
    dx, dy = (x - np.float32(middle[0])) / np.float32(scale), (y - np.float32(middle[1])) / np.float32(scale)
    ax, ay = np.float32(axis[0]), np.float32(axis[1])
    return np.asarray(dx * ax + dy * ay, np.float32), np.asarray(dy * ax - dx * ay, np.float32)


def _profile(points: Array, axes: tuple[Array, Array], scale: float) -> Array:
    """A lip's edge (N, 2) as along, across in head units, with along rising."""
    middle, axis = axes
    offset = (points - middle) / scale
    profile = np.stack([offset @ axis, offset @ np.array([-axis[1], axis[0]])], axis=1)
    return np.asarray(profile[np.argsort(profile[:, 0])], np.float64)


def _at(profile: Array, along: Colours) -> Colours:
    """Across-coordinate of a lip's edge above or below each place along the mouth."""
    return np.interp(along, profile[:, 0], profile[:, 1]).astype(np.float32)


def _ramp(values: NDArray[np.floating[Any]], start: float, stop: float) -> NDArray[np.floating[Any]]:
    t = np.clip((values - start) / (stop - start), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def _to_nearest(along: Colours, width: float) -> Colours:
    """Distance to the nearest gap between teeth; the middle of the mouth is one."""
    return np.asarray(along - width * np.round(along / width), np.float32)


def _palette(picture: NDArray[np.uint8], landmarks: Array) -> tuple[Colours, Colours, Colours]:
    """Colours (3,) of teeth, cavity and tongue that suit the picture's light, and its colour or lack of it."""
    height, width = picture.shape[:2]

    def colour_at(indices: tuple[int, ...]) -> Array:
        points = landmarks[list(indices), :2].round().astype(int)
        x, y = np.clip(points[:, 0], 0, width - 1), np.clip(points[:, 1], 0, height - 1)
        return np.asarray(np.median(picture[y, x], axis=0), np.float64)

    skin = colour_at((50, 101, 118, 280, 330, 347, 205, 425))
    lips = colour_at((0, 37, 267, 17, 84, 314, 40, 270))
    light = float(skin.mean())
    tint = skin / max(light, 1.0)
    # Teeth are nearly white, but keep a part of the light's colour; they stay below the skin's highlights.
    teeth = min(1.05 * light + 25.0, 225.0) * (0.65 + 0.35 * tint) * np.array([1.0, 0.985, 0.94])
    # Flesh lit from within is redder than the skin outside.
    cavity = 0.16 * (0.4 * skin + 0.6 * lips) * np.array([1.2, 0.9, 0.88])
    tongue = 0.55 * (0.4 * skin + 0.6 * lips) * np.array([1.1, 0.85, 0.85])
    grey = float(np.ptp(skin) + np.ptp(lips)) < 12.0
    result = [c.mean() * np.ones(3) if grey else c for c in (teeth, cavity, tongue)]
    return result[0].astype(np.float32), result[1].astype(np.float32), result[2].astype(np.float32)
