"""face-alignment as a `FaceTracker`: S3FD finds the faces, 2DFAN-4 their 68 landmarks.

Licence: code and weights BSD-3-Clause (https://github.com/1adrianb/face-alignment); the definitions here are our own.
Input: S3FD takes RGB less a mean colour. 2DFAN-4 takes 256 x 256 RGB in [0, 1], cut around the box's centre moved up by
0.12 of its height, with a side of 200 (w + h) / 195 pixels; black where the picture ends.
Reference: A. Bulat, G. Tzimiropoulos, "How far are we from solving the 2D & 3D Face Alignment problem? (and a dataset
of 230,000 3D facial landmarks)", ICCV 2017; S. Zhang et al., "S3FD", ICCV 2017.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from avatarkit.face.boxes import Box, Scored, cut_out, iou, keep_best, square
from avatarkit.face.search import BESIDE, SMALLEST_FACE_PX
from avatarkit.face.types import Face
from avatarkit.geometry.crop import Crop

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["FaceAlignmentTracker", "landmark_crop"]

_DETECTOR, _LANDMARKS = "s3fd", "2dfan4"
_SHIFT_UP, _SIDE = 0.12, 200.0 / 195.0
_SAME_IOU = 0.3  # as its authors suppress boxes
_LEAST_SCORE_FOLLOWED = 0.3  # where a face was seen already
_LONGEST_PX, _SHORTEST_PX = 960, 64  # sides of what S3FD looks at
_REACH_PX, _FINEST_PX = 24.0, 2400  # faces that it sees; the most that a closer search looks at
_WINDOW, _WINDOW_PX = 2.2, 256  # following: faces per side of the window, and the side as S3FD sees it


class FaceAlignmentTracker:
    """A sparse tracker: 68 landmarks with z = 0, and S3FD's boxes."""

    def __init__(
        self, detector: nn.Module, aligner: nn.Module, device: str = "cpu", *, min_score: float = 0.5
    ) -> None:
        """Take both networks; they are moved to `device` and set to evaluation.

        Args:
            detector: as `s3fd.S3FD`.
            aligner: as `fan.FAN`.
            device: where they run.
            min_score: least confidence of a detection, 0 to 1.
        """
        import torch

        self._device, self._min_score = device, min_score
        self._detector, self._aligner = detector.to(device).eval(), aligner.to(device).eval()
        self._version = str(torch.__version__)

    @classmethod
    def from_registry(cls, device: str = "cpu", *, min_score: float = 0.5) -> FaceAlignmentTracker:
        """Load both networks' weights from the cache after their hashes matched; nothing is downloaded.

        Raises:
            DependencyError: some are missing or damaged; the message says how to get them.
        """
        from avatarkit.face.fan import load_2dfan4
        from avatarkit.face.s3fd import load_s3fd
        from avatarkit.weights.errors import MissingWeights
        from avatarkit.weights.load import load_state_dict, present, require

        missing = [name for name in (_DETECTOR, _LANDMARKS) if not present(name)]
        if len(missing) > 1:
            raise MissingWeights(f"face-alignment has no weights here: avatarkit weights fetch {' '.join(missing)}")
        detector = load_s3fd(load_state_dict(_DETECTOR), require(_DETECTOR))
        aligner = load_2dfan4(load_state_dict(_LANDMARKS), require(_LANDMARKS))
        return cls(detector, aligner, device, min_score=min_score)

    @property
    def name(self) -> str:
        """Name and version for reports."""
        return f"face-alignment (torch {self._version})"

    def detect(
        self, picture: NDArray[np.uint8], *, least_px: float = SMALLEST_FACE_PX, beside: float = BESIDE
    ) -> tuple[Face, ...]:
        """See `FaceTracker.detect`; S3FD sees faces of `_REACH_PX` and more, in a picture reduced accordingly."""
        longest = max(picture.shape[:2])
        coarse = min(longest, _LONGEST_PX)
        boxes = self._boxes(picture, coarse, self._min_score, enlarge=False)
        wanted = max([least_px, *(beside * max(box[2] - box[0], box[3] - box[1]) for box, _ in boxes)])
        fine = min(longest, math.ceil(longest * _REACH_PX / wanted), _FINEST_PX)
        if fine > coarse:
            boxes += self._boxes(picture, fine, self._min_score, enlarge=False)
        found = keep_best(boxes, _SAME_IOU)
        faces = [self._face(picture, box, score) for box, score in found]
        return tuple(sorted(faces, key=lambda face: face.centre[0]))

    def glance(self, part: NDArray[np.uint8]) -> tuple[Box, ...]:
        """See `FaceTracker.glance`."""
        found = self._boxes(part, _WINDOW_PX, self._min_score, enlarge=False)
        return tuple(box for box, _ in keep_best(found, _SAME_IOU))

    def follow(self, frame: NDArray[np.uint8], last: Face) -> Face | None:
        """The same face in the next frame, detected again around its last place."""
        found = cut_out(frame, square(last.box, _WINDOW))
        if found is None:
            return None
        part, left, top = found
        best: Scored | None = None
        for (x0, y0, x1, y1), score in self._boxes(part, _WINDOW_PX, _LEAST_SCORE_FOLLOWED, enlarge=True):
            box = (x0 + left, y0 + top, x1 + left, y1 + top)
            ratio = max(x1 - x0, y1 - y0) / max(last.extent_px, 1e-6)
            same = iou(box, last.box) >= 0.1 and 0.5 < ratio < 2.0
            if same and (best is None or score > best[1]):
                best = box, score
        return None if best is None else self._face(frame, *best)

    def close(self) -> None:
        """Nothing to release: the networks go with the tracker."""

    def _boxes(self, picture: NDArray[np.uint8], side_px: int, least_score: float, *, enlarge: bool) -> list[Scored]:
        """S3FD's boxes in pixels of the picture, looked at with its longer side at most (or just) `side_px`."""
        from avatarkit.face.s3fd import decode

        height, width = picture.shape[:2]
        scale = side_px / max(height, width)
        if not enlarge:
            scale = min(1.0, scale)
        crop = Crop(0.0, 0.0, width, height, scale)
        size = (max(1, crop.shown[0]), max(1, crop.shown[1]))
        seen = _resize(picture, *size)
        # Its last levels need something to look at; what is added lies to the right and below.
        rest = [max(0, _SHORTEST_PX - side) for side in size]
        seen = np.asarray(cv2.copyMakeBorder(seen, 0, rest[1], 0, rest[0], cv2.BORDER_CONSTANT), np.uint8)
        levels = [
            (scores.cpu(), offsets.cpu()) for scores, offsets in self._run(self._detector, _planes(seen))
        ]
        ratio = np.array([width / size[0], height / size[1]] * 2)
        found: list[Scored] = []
        for box, score in decode(levels, least_score):
            left, top, right, bottom = ((np.array(box) + 0.5) * ratio - 0.5).tolist()
            if right > 0 and bottom > 0 and left < width - 1 and top < height - 1:
                found.append(((left, top, right, bottom), score))
        return found

    def _face(self, picture: NDArray[np.uint8], box: Box, score: float) -> Face:
        from avatarkit.face.fan import HEAT_PX, INPUT_PX, peaks

        crop = landmark_crop(box, INPUT_PX)
        heat = self._run(self._aligner, _planes(_show(picture, crop)) / 255)[0]
        places = peaks(heat.cpu()).numpy()
        shown = (places + 0.5) * (INPUT_PX / HEAT_PX) - 0.5
        landmarks = np.zeros((len(shown), 3), np.float32)
        landmarks[:, :2] = crop.to_picture(shown)
        return Face(landmarks, box, score)

    def _run(self, net: nn.Module, planes: Tensor) -> Tensor:
        """What a network says, the same each time."""
        import torch

        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact:
            result: Tensor = net(planes.to(self._device))
        return result


def landmark_crop(box: Box, size_px: int) -> Crop:
    """What 2DFAN-4 sees of a face with this box, in whole pixels of the picture, shown at `size_px`."""
    width, height = box[2] - box[0], box[3] - box[1]
    side = max(2, round((width + height) * _SIDE))
    x = (box[0] + box[2]) / 2.0 + 0.5
    y = (box[1] + box[3]) / 2.0 + 0.5 - _SHIFT_UP * height
    return Crop.square(float(round(x - side / 2.0)), float(round(y - side / 2.0)), float(side), size_px)


def _show(picture: NDArray[np.uint8], crop: Crop) -> NDArray[np.uint8]:
    """The crop as shown, black where the picture ends."""
    height, width = picture.shape[:2]
    left, top, side = round(crop.left), round(crop.top), round(crop.width)
    window = np.zeros((side, side, 3), np.uint8)
    inside = np.s_[max(0, top) : min(height, top + side), max(0, left) : min(width, left + side)]
    part = picture[inside]
    row, column = max(0, -top), max(0, -left)
    window[row : row + part.shape[0], column : column + part.shape[1]] = part
    return _resize(window, *crop.shown)


def _resize(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Average down, bilinear up."""
    shrinks = width <= picture.shape[1] and height <= picture.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=interpolation), np.uint8)


def _planes(picture: NDArray[np.uint8]) -> Tensor:
    """A picture (H, W, 3) as 1 x 3 x H x W float32 in [0, 255]."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))).float()[None]
