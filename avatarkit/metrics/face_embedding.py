"""Whose face it is, as 128 numbers: dlib's ResNet-29, which maps faces of one person near to each other.

The file is dlib's own serialisation: named layers from input to output, plain numbers, no code. Licence of the
weights: public domain (CC0). Reference: D. King, "High Quality Face Recognition with Deep Metric Learning", dlib blog,
2017; K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.geometry.similarity import fit_plane
from avatarkit.weights.adapter import Adapter
from avatarkit.weights.errors import WrongFile
from avatarkit.weights.load import read_bytes

__all__ = ["CHIP_PX", "POINTS", "FaceEmbedding", "ResNet29", "chip_places", "face_chip"]

CHIP_PX = 150
_MEAN = (122.782, 117.001, 104.298)
_GROUPS = ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
"""Width, blocks, and whether the first of them steps down."""
POINTS = (263, 362, 33, 133, 2)
_PLACES = (
    (0.8595674596, 0.2134981538),
    (0.6460604764, 0.2289674388),
    (0.1205750620, 0.2137274526),
    (0.3340850614, 0.2290642403),
    (0.4901123135, 0.6277975317),
)
"""Mean places of dlib's five points in a face of side 1, and the landmarks nearest to them."""
_PADDING = 0.25
_LARGEST = 1 << 27


class _Scaled(nn.Module):
    """A convolution, then a scale and shift for each channel."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding)
        self.scale = nn.Parameter(torch.ones(outputs, 1, 1))
        self.shift = nn.Parameter(torch.zeros(outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x) * self.scale + self.shift
        return y


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which a step down averages and fills with empty channels."""

    def __init__(self, inputs: int, outputs: int, down: bool) -> None:
        super().__init__()
        self.down = down
        self.first = _Scaled(inputs, outputs, 3, 2 if down else 1)
        self.second = _Scaled(outputs, outputs, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x)))
        short = F.avg_pool2d(x, 2) if self.down else x
        rows, columns = (max(a, b) for a, b in zip(y.shape[-2:], short.shape[-2:], strict=True))
        return F.relu(_filled(y, y.shape[1], rows, columns) + _filled(short, y.shape[1], rows, columns))


def _filled(x: Tensor, channels: int, rows: int, columns: int) -> Tensor:
    """Zeros at the right, at the bottom and in further channels."""
    return F.pad(x, (0, columns - x.shape[3], 0, rows - x.shape[2], 0, channels - x.shape[1]))


class ResNet29(nn.Module):
    """Face chips B x 3 x 150 x 150, RGB from 0 to 255, to embeddings B x 128."""

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.stem = _Scaled(3, 32, 7, 2)
        blocks, inputs = [], 32
        for width, count, down in _GROUPS:
            for number in range(count):
                blocks.append(_Block(inputs, width, down and number == 0))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(inputs, 128, bias=False)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, chip_B3HW: Tensor) -> Tensor:
        """Embed them."""
        x = (chip_B3HW - self.get_buffer("mean")) / 256
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        embedded: Tensor = self.last(self.blocks(x).mean(dim=(2, 3)))
        return embedded

    def load(self, data: bytes, where: str | Path) -> None:
        """Fill it from dlib's file; WrongFile where that is another network's, or damaged."""
        layers = _Layers(data, where)
        for scaled in (module for module in self.modules() if isinstance(module, _Scaled)):
            layers.fill("con_4", scaled.conv.weight, scaled.conv.bias)
            layers.fill("affine_", scaled.scale, scaled.shift)
        weight = torch.empty(self.last.in_features, self.last.out_features)
        layers.fill("fc_2", weight, before=2)
        self.last.weight.copy_(weight.T)


class _Layers:
    """The layers of a serialised network, one after another."""

    def __init__(self, data: bytes, where: str | Path) -> None:
        self._data, self._where, self._at = data, where, 0

    def fill(self, tag: str, *targets: Tensor | None, before: int = 0) -> None:
        """Copy the next layer's numbers into tensors, in their order; `before` integers stand before them."""
        name = tag.encode()
        place = self._data.find(bytes([1, len(name)]) + name, self._at)
        if place < 0:
            raise WrongFile(f"{self._where}: is not dlib's face recognition network: a layer {tag} is missing")
        self._at = place + 2 + len(name)
        for _ in range(before):
            self._integer()
        tensors = [target for target in targets if target is not None]
        wanted = sum(tensor.numel() for tensor in tensors)
        version, *sides = (self._integer() for _ in range(5))
        count = int(np.prod(sides, dtype=np.float64)) if all(0 <= side <= _LARGEST for side in sides) else -1
        if version != 2 or count != wanted or self._at + 4 * count > len(self._data):
            raise WrongFile(
                f"{self._where}: is not dlib's face recognition network: layer {tag} has {count} numbers, not {wanted}"
            )
        values = torch.from_numpy(np.frombuffer(self._data, "<f4", count, self._at).copy())
        self._at += 4 * count
        with torch.no_grad():
            for tensor, part in zip(tensors, torch.split(values, [tensor.numel() for tensor in tensors]), strict=True):
                tensor.copy_(part.view_as(tensor))

    def _integer(self) -> int:
        """A length and sign in one byte, then so many bytes, lowest first."""
        head = self._data[self._at : self._at + 1]
        length = head[0] & 0x7F if head else 0
        if not 1 <= length <= 8 or self._at + 1 + length > len(self._data):
            raise WrongFile(f"{self._where}: is cut off or damaged")
        value = int.from_bytes(self._data[self._at + 1 : self._at + 1 + length], "little")
        self._at += 1 + length
        return -value if head[0] & 0x80 else value


class FaceEmbedding(Adapter):
    """Embeddings of faces in pictures; distances below about 0.6 are mostly of one person."""

    name = "dlib-resnet29"
    weights_name = "face-embedding"

    def __init__(self, net: ResNet29, device: str = "cpu") -> None:
        self.net, self._device = net.to(device), device

    @classmethod
    def _load(cls, source: str | Path, path: Path, device: str) -> FaceEmbedding:
        net = ResNet29()
        net.load(read_bytes(source), path)
        return cls(net, device)

    @torch.no_grad()
    def embed(
        self, pictures: list[NDArray[np.uint8]], landmarks: list[NDArray[np.floating[Any]]], batch: int = 16
    ) -> NDArray[np.float32]:
        """Embeddings (N, 128) of one face in each picture.

        Args:
            pictures: RGB uint8 (H, W, 3). landmarks: (478, 2 or 3) of the face, pixels of its picture.
        """
        chips = [face_chip(picture, points) for picture, points in zip(pictures, landmarks, strict=True)]
        codes = [self._embedded(part) for part in _parts(chips, batch)]
        return np.concatenate(codes) if codes else np.zeros((0, 128), np.float32)

    def _embedded(self, chips: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
        stacked = torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float().to(self._device)
        embedded: NDArray[np.float32] = self.net(stacked).cpu().numpy()
        return embedded


def _parts(chips: list[NDArray[np.uint8]], size: int) -> Iterator[list[NDArray[np.uint8]]]:
    for first in range(0, len(chips), size):
        yield chips[first : first + size]


def chip_places() -> NDArray[np.float64]:
    """Where the landmarks `POINTS` lie in a chip, (5, 2) pixels."""
    places: NDArray[np.float64] = (np.array(_PLACES) + _PADDING) / (1 + 2 * _PADDING) * CHIP_PX
    return places


def face_chip(picture: NDArray[np.uint8], landmarks: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """The face as the network wants it, RGB uint8 (150, 150, 3): eyes level, its five points at their mean places."""
    import cv2

    matrix = fit_plane(np.asarray(landmarks, np.float64)[list(POINTS), :2], chip_places())
    # Much larger faces are averaged while they shrink, so that nothing aliases.
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    reduce = max(1, int(0.5 / max(scale, 1e-6)))
    if reduce > 1:
        small = picture[: picture.shape[0] // reduce * reduce, : picture.shape[1] // reduce * reduce]
        picture = cv2.resize(small, None, fx=1 / reduce, fy=1 / reduce, interpolation=cv2.INTER_AREA).astype(np.uint8)
        matrix = matrix @ np.array([[reduce, 0, (reduce - 1) / 2], [0, reduce, (reduce - 1) / 2], [0, 0, 1]])
    chip = cv2.warpAffine(picture, matrix, (CHIP_PX, CHIP_PX), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(chip, np.uint8)
