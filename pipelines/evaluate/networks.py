"""What an evaluation measures with, opened once per process: the tracker, and the networks whose weights are here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import DependencyError
from avatarkit.face.landmarks import MESH
from avatarkit.face.open import open_tracker
from avatarkit.face.tracker import FaceTracker
from avatarkit.geometry.similarity import fit_plane
from avatarkit.quality.choice import open_quality
from avatarkit.quality.protocol import QualityModel
from avatarkit.weights.load import present

if TYPE_CHECKING:
    from avatarkit.background.multiclass_matting import MulticlassMatting
    from avatarkit.metrics.face_embedding import FaceEmbedding
    from avatarkit.metrics.inception import InceptionFeatures
    from avatarkit.metrics.lpips import LPIPS

__all__ = ["NOT_MEASURED", "WEIGHTS", "HeadMasks", "Networks"]

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]
Net = TypeVar("Net")
NOT_HERE = "not here"
NOT_MEASURED: Mapping[str, str] = {
    "lpips": "avatarkit weights fetch alexnet lpips-alexnet",
    "identity_distance": "avatarkit weights fetch face-embedding",
    "identity_leak": "avatarkit weights fetch face-embedding",
    "matte_flicker": "avatarkit weights fetch selfie-multiclass",
    "fid": "avatarkit weights fetch inception-fid (and pip install 'avatarkit[evaluate]')",
}
"""Figures that need weights, and the command that brings them."""
WEIGHTS = ("alexnet", "lpips-alexnet", "face-embedding", "selfie-multiclass", "inception-fid", "hyperiqa")
"""Of the registry; figures depend on which are here."""
MASKS_PER_S = 8
"""So often the segmenter looks at a clip; at every frame means change by 0.05 dB at most."""
_MOUTH = 13
_LIKELY = 0.5
_EAR_REACH = 0.35
"""Ears are looked for so far beside the face, in widths of the face."""


class Networks:
    """Tracker and networks; what has no weights here is None, and its figures are left out."""

    def __init__(self, *, lpips: bool, masked: bool, fid: bool) -> None:
        """Open them; lpips, masked and fid: whether those figures are wanted at all."""
        self.tracker: FaceTracker = open_tracker()
        self.quality: QualityModel = open_quality().model
        self.embedding: FaceEmbedding | None = _if_present(_embedding, "face-embedding")
        self.segmenter: MulticlassMatting | None = _if_present(_segmenter, "selfie-multiclass")
        self.lpips: LPIPS | None = _if_present(_lpips, "alexnet", "lpips-alexnet") if lpips else None
        self.inception: InceptionFeatures | None = _if_present(_inception, "inception-fid") if fid else None
        self._masked = masked
        self._looked: tuple[Picture, NDArray[np.float32]] | None = None

    @property
    def choices(self) -> dict[str, str]:
        """What the figures depend on beside the code: tracker and networks with the hashes of their weights."""
        nets = {"lpips": self.lpips, "embedding": self.embedding, "iqa": self.quality, "fid": self.inception}
        chosen = {"tracker": self.tracker.name}
        for name, net in nets.items():
            chosen[name] = f"{net.name} {net.weights_sha256 or ''}".strip() if net is not None else NOT_HERE
        head = "hull of the face" if self.segmenter is None else f"head, seen {MASKS_PER_S} times a second"
        chosen["mask"] = head if self._masked else "raw"
        return chosen

    def close(self) -> None:
        """Release the tracker."""
        self.tracker.close()

    def landmarks(self, picture: Picture) -> Points | None:
        """Landmarks (478, 3) of the largest face in pixels; None without one."""
        faces = self.tracker.detect(picture)
        return max(faces, key=lambda face: face.extent_px).landmarks.astype(np.float64) if faces else None

    def classes(self, picture: Picture) -> NDArray[np.float32]:
        """Likelihoods (6, 256, 256) of the segmenter's classes; the same picture again costs nothing."""
        assert self.segmenter is not None
        if self._looked is None or self._looked[0] is not picture:
            self._looked = picture, self.segmenter.classes(picture)
        return self._looked[1]

    def person(self, picture: Picture) -> NDArray[np.float32]:
        """Matte of the person at the picture's size, as the segmenter sees it; no snapping to edges steadies it."""
        import cv2

        small = np.asarray(1 - self.classes(picture)[0], np.float32)
        return np.asarray(cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.float32)


class HeadMasks:
    """Where masked figures are measured: face, ears and hair of a clip's pictures, one after the other.

    The segmenter takes longer than all else of a frame, so it looks at a picture `MASKS_PER_S` times a second; between,
    what it saw moves, turns and grows with the face. Without its weights: the hull of the face's landmarks.
    """

    def __init__(self, nets: Networks, rate: Fraction) -> None:
        """rate: of the clip, frames a second."""
        self._nets, self._stride = nets, max(1, round(rate / MASKS_PER_S))
        self._seen: tuple[int, NDArray[np.float32], Points] | None = None

    def mask(self, number: int, picture: Picture, points: Points) -> NDArray[np.float32]:
        """Mask (H, W) of 0 and 1 of the clip's frame of that number, with its landmarks (478, 2 or 3) in pixels."""
        height, width = picture.shape[:2]
        if self._nets.segmenter is None:
            return face_hull(points, height, width)
        if self._seen is None or number - self._seen[0] >= self._stride:
            self._seen = number, self._nets.classes(picture), points
        _, classes, before = self._seen
        return head_mask(moved(classes, before, points, height, width), points, height, width)


def moved(
    classes: NDArray[np.float32], before: Points, points: Points, height: int, width: int
) -> NDArray[np.float32]:
    """Likelihoods (6, h, w) of a picture (height, width) moved as its face did, from landmarks to landmarks."""
    import cv2

    if before is points:
        return classes
    size = classes.shape[:0:-1]
    grid = np.divide(size, (width, height))
    step = fit_plane(*((item[:, :2] + 0.5) * grid - 0.5 for item in (before, points)))
    layers = [cv2.warpAffine(layer, step, size, borderMode=cv2.BORDER_REPLICATE) for layer in classes]
    return np.stack([np.asarray(layer, np.float32) for layer in layers])


def face_hull(points: NDArray[np.floating[Any]], height: int, width: int) -> NDArray[np.float32]:
    """The convex hull of landmarks (N, 2 or 3) as a mask (H, W) of 0 and 1."""
    import cv2

    mask = np.zeros((height, width), np.uint8)
    hull = cv2.convexHull(np.round(points[:, :2]).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, [1])
    return mask.astype(np.float32)


def head_mask(
    classes: NDArray[np.floating[Any]], points: NDArray[np.floating[Any]], height: int, width: int
) -> NDArray[np.float32]:
    """Face, ears and hair as a mask (H, W) of 0 and 1.

    Hair and the face's skin as the segmenter sees them, the hull of the landmarks, and skin that it takes for the
    body's beside the face and above the mouth: the ears.

    Args:
        classes: (6, h, w) likelihoods, see `multiclass_matting.CLASSES`, of the whole picture.
        points: landmarks (478, 2 or 3) in pixels of the picture.
    """
    import cv2

    hair, body, skin = (
        cv2.resize(np.asarray(classes[number], np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        for number in (1, 2, 3)
    )
    head = np.asarray(hair + skin > _LIKELY)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    face = points[:MESH, :2]
    (left, top), (right, _) = face.min(axis=0), face.max(axis=0)
    reach = _EAR_REACH * (right - left)
    beside = (x > left - reach) & (x < right + reach) & (y > top) & (y < points[_MOUTH, 1])
    head |= beside & (body + skin > _LIKELY)
    return np.maximum(head.astype(np.float32), face_hull(points, height, width))


def _if_present(open_net: Callable[[], Net], *weights: str) -> Net | None:
    if not all(present(name) for name in weights):
        return None
    try:
        return open_net()
    except DependencyError:
        return None


def _lpips() -> LPIPS:
    from avatarkit.metrics.lpips import LPIPS

    return LPIPS.from_registry()


def _embedding() -> FaceEmbedding:
    from avatarkit.metrics.face_embedding import FaceEmbedding

    return FaceEmbedding.from_registry()


def _segmenter() -> MulticlassMatting:
    from avatarkit.background.multiclass_matting import MulticlassMatting

    return MulticlassMatting.from_registry()


def _inception() -> InceptionFeatures:
    from avatarkit.metrics.inception import InceptionFeatures

    return InceptionFeatures.from_registry()


def embedded(embedding: FaceEmbedding, samples: Sequence[tuple[Picture, Points]]) -> NDArray[np.floating[Any]]:
    """Codes (N, 128) of faces given as pictures with landmarks."""
    return embedding.embed([picture for picture, _ in samples], [points for _, points in samples])
