"""S3FD, a face detector: our own definition in the layout of the published state dict, and its decoding.

S. Zhang, X. Zhu, Z. Lei, H. Shi, X. Wang, S. Z. Li, "S3FD: Single Shot Scale-invariant Face Detector", ICCV 2017,
figure 2 and section 3: VGG-16 with its fully connected layers turned into convolutions, six levels of detection with
one square anchor each, four times as large as the level's stride; the first level has three background classes, of
which the likeliest counts ("max-out").
Weights: "s3fd" of the registry, as A. Bulat publishes them for face-alignment (BSD-3-Clause).

Shapes: B pictures of H x W; level k has h = H / 4 / 2^k rows, w columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.face.boxes import Scored
from avatarkit.weights.load import load_into

__all__ = ["S3FD", "decode", "load_s3fd"]

Level = tuple[Tensor, Tensor]

# VGG-16's stages: input channels, output channels, convolutions.
_STAGES = ((3, 64, 2), (64, 128, 2), (128, 256, 3), (256, 512, 3), (512, 512, 3))
_NORMED = {3: 10.0, 4: 8.0, 5: 5.0}  # stage whose features are detected on, and what their norm begins with
_LEVELS = (("conv3_3_norm", 256), ("conv4_3_norm", 512), ("conv5_3_norm", 512), ("fc7", 1024), ("conv6_2", 512),
           ("conv7_2", 256))  # fmt: skip
_BACKGROUNDS = 3  # background classes of the first level
_MEAN_BGR = (104.0, 117.0, 123.0)
_FIRST_STRIDE_PX, _ANCHOR_STRIDES = 4, 4
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
_MOST_BOXES = 1000  # of a picture: a bound on time for pictures and weights that make no sense


class S3FD(nn.Module):
    """Picture to scores and offsets of anchors."""

    def __init__(self) -> None:
        super().__init__()
        for stage, (first, channels, count) in enumerate(_STAGES, 1):
            for number in range(1, count + 1):
                inputs = first if number == 1 else channels
                self.add_module(f"conv{stage}_{number}", nn.Conv2d(inputs, channels, 3, padding=1))
        self.fc6 = nn.Conv2d(512, 1024, 3, padding=3)
        self.fc7 = nn.Conv2d(1024, 1024, 1)
        self.conv6_1 = nn.Conv2d(1024, 256, 1)
        self.conv6_2 = nn.Conv2d(256, 512, 3, stride=2, padding=1)
        self.conv7_1 = nn.Conv2d(512, 128, 1)
        self.conv7_2 = nn.Conv2d(128, 256, 3, stride=2, padding=1)
        for stage, scale in _NORMED.items():
            self.add_module(f"conv{stage}_3_norm", _Norm(_STAGES[stage - 1][1], scale))
        for level, (name, channels) in enumerate(_LEVELS):
            classes = _BACKGROUNDS + 1 if level == 0 else 2
            self.add_module(f"{name}_mbox_conf", nn.Conv2d(channels, classes, 3, padding=1))
            self.add_module(f"{name}_mbox_loc", nn.Conv2d(channels, 4, 3, padding=1))

    def forward(self, image: Tensor) -> list[Level]:
        """Look for faces.

        Args:
            image: B x 3 x H x W float32, RGB in [0, 255], H and W at least 32.

        Returns:
            For each of the six levels the faces' probability, B x h x w in (0, 1), and the anchors' offsets,
            B x 4 x h x w: of the centre (x, y) and of the logarithm of the size, as `decode` reads them.
        """
        mean = image.new_tensor(_MEAN_BGR).view(1, 3, 1, 1)
        return [self._head(level, features) for level, features in enumerate(self._features(image.flip(1) - mean))]

    def _features(self, x: Tensor) -> list[Tensor]:
        """Features of the six levels."""
        found = []
        for stage, (_, _, count) in enumerate(_STAGES, 1):
            for number in range(1, count + 1):
                x = F.relu(self._layer(f"conv{stage}_{number}", x))
            if stage in _NORMED:
                found.append(self._layer(f"conv{stage}_3_norm", x))
            x = F.max_pool2d(x, 2, 2)
        x = F.relu(self.fc7(F.relu(self.fc6(x))))
        found.append(x)
        for stage in (6, 7):
            x = F.relu(self._layer(f"conv{stage}_1", x))
            x = F.relu(self._layer(f"conv{stage}_2", x))
            found.append(x)
        return found

    def _head(self, level: int, features: Tensor) -> Level:
        name, _ = _LEVELS[level]
        classes = self._layer(f"{name}_mbox_conf", features)
        background = classes[:, :-1].amax(1)
        # The softmax over face and background.
        return torch.sigmoid(classes[:, -1] - background), self._layer(f"{name}_mbox_loc", features)

    def _layer(self, name: str, x: Tensor) -> Tensor:
        result: Tensor = self.get_submodule(name)(x)
        return result


class _Norm(nn.Module):
    """Scales each pixel's features to a learnt norm (section 3.2, after ParseNet)."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """Features of any B x C x h x w to the same shape."""
        norm = x.square().sum(1, keepdim=True).sqrt() + 1e-10
        return x / norm * self.weight.view(1, -1, 1, 1)


def load_s3fd(state: Mapping[str, Tensor], where: str | Path = "state dict") -> S3FD:
    """The network with a state dict's weights, ready for evaluation.

    Raises:
        WrongFile: keys missing or left over, or tensors of other shapes; the first few are listed.
    """
    return load_into(S3FD(), state, where, "S3FD")


def decode(levels: Sequence[Level], least_score: float) -> list[Scored]:
    """Boxes of the first picture of a batch, best first and overlapping as they come; the thousand best at most.

    Args:
        levels: what the network gave.
        least_score: of the boxes to return, 0 to 1.

    Returns:
        Boxes in pixels of the network's input, with their probability.
    """
    found: list[Scored] = []
    for number, (scores, offsets) in enumerate(levels):
        stride = _FIRST_STRIDE_PX * 2**number
        anchor = float(_ANCHOR_STRIDES * stride)
        rows, columns = torch.nonzero(scores[0] > least_score, as_tuple=True)
        dx, dy, dw, dh = offsets[0][:, rows, columns].double()
        # An anchor's centre is the middle of its cell; the half takes outer edges to pixel centres.
        x = columns * stride + stride / 2 - 0.5 + dx * _CENTRE_VARIANCE * anchor
        y = rows * stride + stride / 2 - 0.5 + dy * _CENTRE_VARIANCE * anchor
        half_w, half_h = (0.5 * anchor * torch.exp(d * _SIZE_VARIANCE) for d in (dw, dh))
        boxes = torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], 1).tolist()
        probabilities = scores[0][rows, columns].tolist()
        found += [
            ((box[0], box[1], box[2], box[3]), score) for box, score in zip(boxes, probabilities, strict=True)
        ]
    return sorted(found, key=lambda item: -item[1])[:_MOST_BOXES]
