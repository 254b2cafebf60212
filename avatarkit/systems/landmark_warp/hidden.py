"""The side of a face that the photo does not show: its mirrored and lit other half, seen when the head turns.

A photo taken from the side shows the averted cheek as a sliver, and background where the landmarks reach beyond the
outline. When the head turns towards the viewer, colours for that side come from a frontal texture instead: the
source's own where it is seen well, the twin's, brought to the light around it, where that is seen better. The strips
beside the face (`head_side`) lend its ear and hair; they come into view behind all that the photo itself shows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.face import landmarks as lm
from avatarkit.geometry import easing
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp import head_side
from avatarkit.systems.landmark_warp.lending import Lending, mesh_normals
from avatarkit.systems.landmark_warp.mesh import Cover, FaceMesh, FacePixels
from avatarkit.systems.landmark_warp.openings import rise
from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]
Map = NDArray[np.float32]

APPEARS_FROM, APPEARS = 0.03, 0.2
"""The texture is shown where a surface turns towards the viewer: from the first rise of its cosine on."""
SIDE_APPEARS = (0.03, 0.1)
"""The same for the strips, which come from behind what the photo has before them."""
SIDE_SEEN = (0.36, 0.5)
"""The photo shows a strip itself from the first cosine on; a frontal face shows both at the second."""
BESIDE, HAIR = 0.08, (0.35, 0.6)
"""So it does where it shows hair or an ear this far beside the face, in head units, by the mean of its matte."""
LIGHT_REACH = 0.15
"""The two sides' light is compared over this many head units."""
MOST_LIGHT = 0.8
"""The twin's colours are multiplied by at most the exponential of this, and at least its inverse."""
LEAST_HIDDEN = 0.05
SOLID = (0.4, 0.7)
"""Where the photo has nothing, what comes into view is not there at the first of its weights, and all at the second."""
_LIGHT_STEP, _BEYOND_PX = 4, 3.0


@dataclass(frozen=True)
class HiddenSide:
    """A frontal texture, RGBA uint8 (h, w, 4), where the points (N, 2) lie in it, and what it is good for.

    The points are the 468 landmarks of the mesh, then those of the strips beside it. lending: what of the face the
    photo does not show. sides: of the strips.
    """

    texture: NDArray[np.uint8]
    places: Map
    lending: Lending
    sides: tuple["_Side", ...]
    _rotation: Array

    @staticmethod
    def of(source: SourceLayers, mesh: FaceMesh) -> "HiddenSide | None":
        """The hidden side of a source; None where the photo shows both."""
        pose, face = head_frame(source.landmarks), source.landmarks[: lm.MESH]
        lending = Lending.of(source.alpha, face, pose)
        if lending is None:
            return None
        points = np.concatenate([face, head_side.points(face, pose)])
        strips = head_side.triangles()
        frontal = pose.apply_inverse(points) * pose.scale
        frontal[:, :2] -= frontal[:, :2].min(0) - 2.0
        width, height = (int(v) for v in np.ceil(frontal[:, :2].max(0)) + 3)
        triangles = np.concatenate([lm.surface_triangles(), lm.opening_triangles(), *strips])
        cover = Cover.of(frontal[triangles], (height, width))
        if cover is None:
            return None
        pixels = cover.pixels()
        frontal[:, :2] -= pixels.window[1].start, pixels.window[0].start
        borrowed = np.concatenate([lending.lent, np.ones(head_side.NUMBER)])
        across = np.concatenate([lending.twins, head_side.twins()])
        texture = _texture(source, points, across, borrowed, pixels, triangles, LIGHT_REACH * pose.scale)
        sides = _sides(source, points, lending.lent, strips)
        return HiddenSide(texture, frontal[:, :2].astype(np.float32), lending, sides, pose.rotation)

    def appears(self, rotation: Array) -> float:
        """How much the hidden side turns towards the viewer in a pose: mean rise of its cosine; negative if away."""
        return self._mean(self._gain(rotation))

    def _appearing(self, rotation: Array) -> Array:
        """How far the texture is shown at each landmark (468,) in a pose."""
        gain = self._gain(rotation)
        # What a nose hides comes out from behind it as the whole side turns, wherever it faces itself.
        gain += self.lending.spoiled * np.maximum(self._mean(gain) - gain, 0.0)
        return self.lending.lent * easing.rise(gain, APPEARS_FROM, APPEARS)

    def _gain(self, rotation: Array) -> Array:
        return _gain(self.lending.normals, rotation @ self._rotation.T)

    def _mean(self, values: Array) -> float:
        return float(self.lending.lent @ values) / float(self.lending.lent.sum())

    def reach_px(self, motion: DriveFrame) -> float:
        """How far beyond the face's landmarks something may be drawn in a pose."""
        return head_side.LONGEST * motion.pose.scale if self._strips(motion.pose.rotation) else 0.0

    def _strips(self, rotation: Array) -> list[tuple[NDArray[np.intp], float]]:
        """The strips that are seen in a pose: their triangles, and the share of their length that has come out."""
        turn = rotation @ self._rotation.T
        shares = [(side, float(easing.rise(_gain(side.normal, turn), *SIDE_APPEARS))) for side in self.sides]
        return [(side.triangles, share) for side, share in shares if share > LEAST_HIDDEN]

    def draw(
        self, frame: NDArray[np.uint8], alpha: NDArray[np.uint8], motion: DriveFrame, mesh: FaceMesh, cover: Cover
    ) -> None:
        """Lay the hidden side over a frame (H, W, 3) and its alpha (H, W), in place, where it comes into view.

        Args:
            motion: in pixels of that frame. mesh, cover: the face, and what it covers of the frame.
        """
        import cv2

        for strip, grown in self._strips(motion.pose.rotation):
            self._draw_strip(frame, alpha, motion, strip, grown)
        corners = mesh.over(self._appearing(motion.pose.rotation).astype(np.float32))
        part = cover.pixels(corners.max(1) > LEAST_HIDDEN)
        if not len(part.places):
            return
        colours = np.asarray(cv2.cvtColor(self._colours(part, mesh.over(self.places)), cv2.COLOR_RGBA2RGB), np.uint8)
        mask, colours = _with_rim(part.image(part.interpolated(corners)), colours)
        before = alpha[part.window].astype(np.float32) * np.float32(1.0 / 255.0)
        # Where the photo has nothing a veil would hang in the air: there it is all or next to nothing.
        mask = before * mask + (1.0 - before) * rise(mask, *SOLID)
        _add(frame[part.window], alpha[part.window], before * (1.0 - mask), colours, mask)

    def _draw_strip(
        self,
        frame: NDArray[np.uint8],
        alpha: NDArray[np.uint8],
        motion: DriveFrame,
        strip: NDArray[np.intp],
        grown: float,
    ) -> None:
        """Lay ear and hair of a side behind a frame (H, W, 3) with its alpha (H, W), in place."""
        import cv2

        points = np.concatenate([motion.landmarks[: lm.MESH], head_side.points(motion.landmarks, motion.pose, grown)])
        cover = Cover.of(points[strip], (alpha.shape[0], alpha.shape[1]))
        if cover is None:
            return
        part = cover.pixels(within=alpha[cover.window] < 255)
        if not len(part.places):
            return
        colours = self._colours(part, self.places[strip])
        scale = np.float32(1.0 / 255.0)
        before = alpha[part.window].astype(np.float32) * scale
        edge = np.concatenate([np.ones(lm.MESH), head_side.FULL]).astype(np.float32)
        mask = part.image(part.interpolated(edge[strip])) * colours[..., 3] * scale
        colours = np.asarray(cv2.cvtColor(colours, cv2.COLOR_RGBA2RGB), np.uint8)
        _add(frame[part.window], alpha[part.window], before, colours, mask * (1.0 - before))

    def _colours(self, part: FacePixels, corners: Map) -> NDArray[np.uint8]:
        """RGBA (h, w, 4) of pixels of a frame that triangles with corners (T, 3, 2) in the texture cover."""
        import cv2

        x, y = (part.image(part.interpolated(corners[..., axis])) for axis in (0, 1))
        drawn = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(drawn, np.uint8)


@dataclass(frozen=True)
class _Side:
    """A strip that the photo hides: its triangles (T, 3), and its mean normal (3,) in the photo."""

    triangles: NDArray[np.intp]
    normal: Array


def _sides(
    source: SourceLayers, points: Array, lent: Array, strips: tuple[NDArray[np.intp], ...]
) -> tuple[_Side, ...]:
    """Those of both sides that the photo hides."""
    beside = head_side.matte_beside(source.alpha, points[: lm.MESH], BESIDE)
    result = []
    for strip, ears, matte in zip(strips, head_side.EARS, beside, strict=True):
        normal = mesh_normals(points, strip)[np.unique(strip)].mean(0)
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        share = (1.0 - easing.rise(normal[2], *SIDE_SEEN)) * (1.0 - easing.rise(matte, *HAIR))
        share = share * easing.rise(lent[ears].mean(), 0.3, 0.7)
        # A strip that is half hidden is there or not: no ear is half transparent.
        if share > 0.5:
            result.append(_Side(strip, normal))
    return tuple(result)


def _gain(normals: Array, turn: Array) -> Array:
    """By how much the cosine of normals (..., 3) to the viewer rises in a turn (3, 3)."""
    return np.asarray(normals @ turn[2] - normals[..., 2], np.float64)


def _add(frame: NDArray[np.uint8], alpha: NDArray[np.uint8], kept: Map, colours: NDArray[np.uint8], mask: Map) -> None:
    """Join colours (h, w, 3) that are seen by a mask (h, w) to a part of a frame that is seen by `kept`, in place."""
    import cv2

    # What is there by less than half a level is not.
    some = mask > np.float32(0.5 / 255.0)
    np.copyto(frame, cv2.blendLinear(frame, colours, kept, mask), where=some[..., None])
    alpha[:] = np.round(np.float32(255.0) * (mask + kept))


def _with_rim(mask: Map, colours: NDArray[np.uint8]) -> tuple[Map, NDArray[np.uint8]]:
    """A mask (h, w) and colours (h, w, 3) that reach two pixels farther, the last one softly.

    Inside nothing shows through, nor in the first pixel around it: there the frame is softened across its edge, and
    holds some of what the photo has in this place.
    """
    import cv2

    grown = np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8)), np.float32)
    soft = np.asarray(cv2.blur(grown, (3, 3)), np.float32)
    inside = (mask > 0.0).view(np.uint8)
    share = np.asarray(cv2.boxFilter(inside, cv2.CV_32F, (5, 5), normalize=False), np.float32)
    within = cv2.bitwise_and(colours, colours, mask=inside)
    total = np.asarray(cv2.boxFilter(within, cv2.CV_32F, (5, 5), normalize=False), np.float32)
    # A narrow rim is all that changes of a large window.
    rim = np.flatnonzero((inside == 0) & (soft > 0.0))
    full, shares = np.take(grown, rim), np.maximum(np.take(share, rim), 1.0)
    mask, colours = mask.copy(), colours.copy()
    mask.reshape(-1)[rim] = np.where(full > 0.0, full, np.take(soft, rim))
    colours.reshape(-1, 3)[rim] = np.round(np.take(total.reshape(-1, 3), rim, axis=0) / shares[:, None])
    return mask, colours


def _texture(
    source: SourceLayers,
    points: Array,
    twins: NDArray[np.intp],
    lent: Array,
    pixels: FacePixels,
    triangles: NDArray[np.intp],
    reach_px: float,
) -> NDArray[np.uint8]:
    """The frontal texture (h, w, 4): the picture's colours, where they are lent the lit twin's; the twin's alpha."""
    import cv2

    covered = pixels.image(np.ones(len(pixels.places), np.float32))
    weight = pixels.image(pixels.interpolated(lent.astype(np.float32)[triangles]))
    here, there = (
        np.stack([pixels.image(pixels.interpolated(c)) for c in np.moveaxis(corners, 2, 0)], axis=2)
        for corners in (side[triangles, :2].astype(np.float32) for side in (points, points[twins]))
    )
    own, twin = sample(source.foreground, here), sample(source.foreground, there)
    height, width = source.alpha.shape
    # Where the picture cuts the twin off, it ends softly.
    inside = np.minimum(there, np.array([width - 1, height - 1]) - there).min(2)
    alpha = sample(source.alpha, there) * np.clip(inside / max(0.5 * reach_px, 1.0), 0.0, 1.0)
    # Light is smooth: a reduced copy tells as much of it, sooner.
    small = np.s_[::_LIGHT_STEP, ::_LIGHT_STEP]
    known = covered[small] * (weight[small] < 0.1)
    ours, theirs = (_around(side[small].astype(np.float32), known, reach_px / _LIGHT_STEP) for side in (own, twin))
    light = fill_smooth(np.log((ours + 4.0) / (theirs + 4.0)), known)
    gain = np.exp(np.clip(light, -MOST_LIGHT, MOST_LIGHT))
    lit = twin * cv2.resize(gain, covered.shape[::-1], interpolation=cv2.INTER_LINEAR)
    mixed = own + weight[..., None] * (lit - own)
    mixed = np.where(covered[..., None] > 0.0, mixed, _around(mixed.astype(np.float32), covered, _BEYOND_PX))
    return np.asarray(np.clip(np.round(np.dstack([mixed, 255.0 * alpha])), 0, 255), np.uint8)


def _around(colours: Map, known: Map, reach_px: float) -> Map:
    """The mean colour (h, w, 3) of what is known around each pixel."""
    import cv2

    mass = cv2.GaussianBlur(known, (0, 0), reach_px)
    total = cv2.GaussianBlur(colours * known[..., None], (0, 0), reach_px)
    return np.asarray(total / np.maximum(mass, 1e-4)[..., None], np.float32)
