"""Stand-ins for S3FD and 2DFAN-4 that know the answer: they ask another tracker and say it as the networks would."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from avatarkit.face.fan import HEAT_PX, INPUT_PX
from avatarkit.face.tracker import FaceTracker
from avatarkit.face.types import SPARSE_LANDMARKS

# The mesh points nearest to the 68 landmarks of 300-W.
JAW = (234, 93, 132, 58, 172, 136, 150, 176, 152, 400, 379, 365, 397, 288, 361, 323, 454)
BROWS = (70, 63, 105, 66, 107, 336, 296, 334, 293, 300)
NOSE = (168, 6, 195, 4, 98, 97, 2, 326, 327)
EYES = (33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380)
MOUTH = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
MESH_OF_68 = (*JAW, *BROWS, *NOSE, *EYES, *MOUTH)


def plant_box(levels: list[tuple[Tensor, Tensor]], box: tuple[float, float, float, float], score: float) -> None:
    """Write a box, in pixels of the input, into S3FD's levels where that network would say it."""
    width, height = box[2] - box[0], box[3] - box[1]
    number = min(max(round(math.log2(max(width, height) / 16)), 0), len(levels) - 1)
    stride = 4 * 2**number
    scores, offsets = levels[number]
    x, y = (box[0] + box[2] + 1) / 2, (box[1] + box[3] + 1) / 2
    column, row = min(int(x / stride), scores.shape[2] - 1), min(int(y / stride), scores.shape[1] - 1)
    scores[0, row, column] = score
    centre = (x - (column + 0.5) * stride, y - (row + 0.5) * stride)
    offsets[0, :2, row, column] = torch.tensor(centre) / (0.1 * 4 * stride)
    offsets[0, 2:, row, column] = torch.tensor([math.log(side / (4 * stride)) / 0.2 for side in (width, height)])


def empty_levels(height: int, width: int) -> list[tuple[Tensor, Tensor]]:
    """What S3FD gives for a picture without faces."""
    shapes = [(max(1, height // (4 * 2**k)), max(1, width // (4 * 2**k))) for k in range(6)]
    return [(torch.zeros(1, h, w), torch.zeros(1, 4, h, w)) for h, w in shapes]


class KnowingDetector(nn.Module):
    """In place of S3FD."""

    def __init__(self, teacher: FaceTracker) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, image: Tensor) -> list[tuple[Tensor, Tensor]]:
        assert image.shape[:2] == (1, 3)
        assert image.min() >= 0
        assert min(image.shape[2:]) >= 64
        picture = image[0].permute(1, 2, 0).numpy().astype(np.uint8)
        levels = empty_levels(*picture.shape[:2])
        for face in self.teacher.detect(np.ascontiguousarray(picture), least_px=24.0):
            plant_box(levels, face.box, face.score)
        return levels


def heat_of(places: np.ndarray, sigma: float = 1.0) -> Tensor:
    """Heat maps (1, N, 64, 64) with a Gaussian at each place (N, 2), in their pixels."""
    y, x = np.mgrid[:HEAT_PX, :HEAT_PX]
    square = (x - places[:, 0, None, None]) ** 2 + (y - places[:, 1, None, None]) ** 2
    return torch.from_numpy(np.exp(-square / (2 * sigma**2)).astype(np.float32))[None]


class KnowingAligner(nn.Module):
    """In place of 2DFAN-4."""

    def __init__(self, teacher: FaceTracker) -> None:
        super().__init__()
        self.teacher = teacher

    def forward(self, crop: Tensor) -> Tensor:
        assert crop.shape == (1, 3, INPUT_PX, INPUT_PX)
        assert crop.max() <= 1
        picture = np.rint(crop[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        faces = self.teacher.detect(np.ascontiguousarray(picture))
        if not faces:
            return torch.zeros(1, SPARSE_LANDMARKS, HEAT_PX, HEAT_PX)
        largest = max(faces, key=lambda face: face.extent_px)
        places = largest.landmarks[list(MESH_OF_68), :2].astype(np.float64)
        return heat_of((places + 0.5) * (HEAT_PX / INPUT_PX) - 0.5)
