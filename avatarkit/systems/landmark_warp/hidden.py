"""The side of a face that the photo does not show: its mirrored and lit other half, seen when the head turns.

A photo taken from the side shows the averted cheek as a sliver, and background where the landmarks reach beyond the
outline. When the head turns towards the viewer, colours for that side come from a frontal texture instead: the
source's own where it is seen well, the twin's, brought to the light around it, where that is seen better.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avatarkit.background.membrane import fill_smooth
from avatarkit.face import landmarks as lm
from avatarkit.face.mirror import MIRROR
from avatarkit.geometry.sampling import sample
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.mesh import Cover, FaceMesh, FacePixels
from avatarkit.systems.protocol import SourceLayers

Array = NDArray[np.float64]
Map = NDArray[np.float32]

SEEN_FROM, SEEN_WELL = 0.25, 0.6
"""A surface is seen from the first of these cosines of its angle to the viewer on, and well from the second."""
BETTER_FROM, BETTER = 0.08, 0.3
"""The twin lends colours from the first difference of their cosines on, and alone from the second."""
APPEARS_FROM, APPEARS = 0.03, 0.2
"""The texture is shown where a surface turns towards the viewer: from the first rise of its cosine on."""
RIM = 0.04
"""No colours are taken from this close to the outline, in head units."""
LIGHT_REACH = 0.15
"""The two sides' light is compared over this many head units."""
MOST_LIGHT = 0.8
"""The twin's colours are multiplied by at most the exponential of this, and at least its inverse."""
LEAST_HIDDEN = 0.05
FEWEST = 12
"""A side is hidden where that many landmarks lend more than half of their colours; fewer are noise of their depth."""
_LIGHT_STEP, _BEYOND_PX = 4, 3.0


@dataclass(frozen=True)
class HiddenSide:
    """A frontal texture, RGB uint8 (h, w, 3), where the landmarks (468, 2) lie in it, and what it is good for.

    lent: (468,) share of each landmark's surroundings that the photo does not show. normals: (468, 3), in the photo.
    """

    texture: NDArray[np.uint8]
    places: Map
    lent: Array
    normals: Array
    _rotation: Array

    @staticmethod
    def of(source: SourceLayers, mesh: FaceMesh) -> "HiddenSide | None":
        """The hidden side of a source; None where the photo shows both."""
        import cv2

        pose, points = head_frame(source.landmarks), source.landmarks[: lm.MESH]
        normals, twins = _normals(points), MIRROR[: lm.MESH]
        facing = normals[:, 2]
        # Close to its outline a face shows the light behind it, and the landmarks are off by some pixels.
        rim = max(1, round(RIM * pose.scale))
        inner = np.asarray(cv2.erode(source.alpha, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8)), np.float32)
        matte = sample(inner, points[None, :, :2].astype(np.float32))[0].astype(np.float64)
        own = _rise(facing, SEEN_FROM, SEEN_WELL) * matte
        lent = (1.0 - own) * np.maximum(_rise(facing[twins] - facing, BETTER_FROM, BETTER), matte[twins] - matte)
        if np.count_nonzero(lent > 0.5) < FEWEST:
            return None
        frontal = pose.apply_inverse(points) * pose.scale
        frontal[:, :2] -= frontal[:, :2].min(0) - 2.0
        width, height = (int(v) for v in np.ceil(frontal[:, :2].max(0)) + 3)
        cover = Cover.of(frontal[mesh.triangles], (height, width))
        if cover is None:
            return None
        pixels = cover.pixels()
        frontal[:, :2] -= cover.window[1].start, cover.window[0].start
        texture = _texture(source.foreground, points, lent, pixels, mesh.triangles, LIGHT_REACH * pose.scale)
        return HiddenSide(texture, frontal[:, :2].astype(np.float32), lent, normals, pose.rotation)

    def appears(self, rotation: Array) -> float:
        """How much the hidden side turns towards the viewer in a pose: mean rise of its cosine; negative if away."""
        return float(self.lent @ self._gain(rotation)) / float(self.lent.sum())

    def _gain(self, rotation: Array) -> Array:
        return np.asarray(self.normals @ (rotation @ self._rotation.T)[2] - self.normals[:, 2], np.float64)

    def draw(
        self, frame: NDArray[np.uint8], alpha: NDArray[np.uint8], motion: DriveFrame, mesh: FaceMesh, cover: Cover
    ) -> None:
        """Lay the hidden side over a frame (H, W, 3) and its alpha (H, W), in place, where it comes into view."""
        import cv2

        shown = self.lent * _rise(self._gain(motion.pose.rotation), APPEARS_FROM, APPEARS)
        weights = shown.astype(np.float32)[mesh.triangles]
        part = cover.pixels(weights.max(1) > LEAST_HIDDEN)
        if not len(part.places):
            return
        # The outline is softened inwards: what lies beyond it in the texture is no face.
        covered = (cover.numbers > 0).astype(np.float32)
        mask = part.image(part.interpolated(weights)) * np.clip(2.0 * cv2.blur(covered, (3, 3)) - 1.0, 0.0, 1.0)
        x, y = (part.image(part.interpolated(self.places[mesh.triangles, axis])) for axis in (0, 1))
        colours = cv2.remap(self.texture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        under = alpha[part.window].astype(np.float32) * np.float32(1.0 / 255.0) * (1.0 - mask)
        share = (mask / np.maximum(mask + under, 1e-6))[..., None]
        below = frame[part.window].astype(np.float32)
        frame[part.window] = np.round(below + share * (colours - below)).astype(np.uint8)
        alpha[part.window] = np.round(255.0 * (mask + under)).astype(np.uint8)


def _texture(
    colours: NDArray[np.uint8],
    points: Array,
    lent: Array,
    pixels: FacePixels,
    triangles: NDArray[np.int32],
    reach_px: float,
) -> NDArray[np.uint8]:
    """The frontal texture (h, w, 3): the picture's own colours, and where they are lent the lit twin's."""
    import cv2

    covered = pixels.image(np.ones(len(pixels.places), np.float32))
    weight = pixels.image(pixels.interpolated(lent.astype(np.float32)[triangles]))
    own, twin = (
        sample(colours, np.stack([pixels.image(pixels.interpolated(c)) for c in np.moveaxis(corners, 2, 0)], axis=2))
        for corners in (side[triangles, :2].astype(np.float32) for side in (points, points[MIRROR[: lm.MESH]]))
    )
    # Light is smooth: a reduced copy tells as much of it, sooner.
    small = np.s_[::_LIGHT_STEP, ::_LIGHT_STEP]
    known = covered[small] * (weight[small] < 0.1)
    here, there = (_around(side[small].astype(np.float32), known, reach_px / _LIGHT_STEP) for side in (own, twin))
    light = fill_smooth(np.log((here + 4.0) / (there + 4.0)), known)
    gain = np.exp(np.clip(light, -MOST_LIGHT, MOST_LIGHT))
    lit = twin * cv2.resize(gain, covered.shape[::-1], interpolation=cv2.INTER_LINEAR)
    mixed = own + weight[..., None] * (lit - own)
    mixed = np.where(covered[..., None] > 0.0, mixed, _around(mixed.astype(np.float32), covered, _BEYOND_PX))
    return np.asarray(np.clip(np.round(mixed), 0, 255), np.uint8)


def _around(colours: Map, known: Map, reach_px: float) -> Map:
    """The mean colour (h, w, 3) of what is known around each pixel."""
    import cv2

    mass = cv2.GaussianBlur(known, (0, 0), reach_px)
    total = cv2.GaussianBlur(colours * known[..., None], (0, 0), reach_px)
    return np.asarray(total / np.maximum(mass, 1e-4)[..., None], np.float32)


def _normals(points: Array) -> Array:
    """Unit normals (468, 3) of the surface with corners (468, 3); z is 1 where it faces the viewer."""
    triangles = lm.surface_triangles()
    corners = points[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    result = np.zeros_like(points)
    for corner in range(3):
        np.add.at(result, triangles[:, corner], across)
    return np.asarray(result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-9), np.float64)


def _rise(values: Array, start: float, stop: float) -> Array:
    """0 up to `start`, 1 from `stop` on, smooth between."""
    t = np.clip((values - start) / (stop - start), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float64)
