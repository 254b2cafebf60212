"""MODNet's network, our own definition in the layout of the authors' checkpoints.

Z. Ke, J. Sun, K. Li, Q. Yan, R. W. H. Lau, "MODNet: Real-Time Trimap-Free Portrait Matting via Objective
Decomposition", AAAI 2022, figure 2. The backbone is M. Sandler et al., "MobileNetV2", CVPR 2018, table 2.
Both branches' own heads (`conv_lr`, `conv_hr`) only serve training: they hold weights and are never run.

Shapes: B pictures, sides H and W multiples of 32; "4x" names what has a quarter of the picture's sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.weights.load import load_into

__all__ = ["MODNet", "load_modnet"]

# Expansion, channels, repeats, stride of the first.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _LAST = 32, 1280
_TAPS = {1: 16, 3: 24, 6: 32, 13: 96, 18: _LAST}  # channels by index of the block
_HIGH = 32  # channels of the high-resolution branch
_SQUEEZE = 4


class MODNet(nn.Module):
    """Portrait to matte."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        # Registered twice, as in the checkpoints, which hold its tensors under both names.
        self.lr_branch = _LowResolution(self.backbone)
        self.hr_branch = _HighResolution()
        self.f_branch = _Fusion()

    def forward(self, image: Tensor) -> Tensor:
        """Return the matte.

        Args:
            image: B x 3 x H x W float32, RGB in [-1, 1], H and W multiples of 32.

        Returns:
            B x 1 x H x W float32 in (0, 1).
        """
        enc2x, enc4x, enc32x = self.backbone(image)
        lr8x = self.lr_branch(enc32x)
        hr2x = self.hr_branch(image, enc2x, enc4x, lr8x)
        matte: Tensor = self.f_branch(image, lr8x, hr2x)
        return matte


def load_modnet(state: Mapping[str, Tensor], where: str | Path = "state dict") -> MODNet:
    """Build the network with the weights of a state dict, ready for evaluation.

    Args:
        state: tensors by the checkpoint's key, without a `module.` prefix; every key must be there, no other.
        where: how errors name the state dict.

    Raises:
        WrongFile: keys missing or left over, or tensors of other shapes; the first few are listed.
    """
    return load_into(MODNet(), state, where, "MODNet")


def _resize(features: Tensor, scale: float) -> Tensor:
    return F.interpolate(features, scale_factor=scale, mode="bilinear", align_corners=False)


class _Backbone(nn.Module):
    """MobileNetV2 without its classifier; gives its features at 1/2, 1/4 and 1/32."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Sequential(*_conv_bn_relu(3, _STEM, 3, stride=2))]
        channels = _STEM
        for expansion, width, repeats, stride in _STAGES:
            for repeat in range(repeats):
                blocks.append(_InvertedResidual(channels, width, expansion, 1 if repeat else stride))
                channels = width
        blocks.append(nn.Sequential(*_conv_bn_relu(channels, _LAST, 1)))
        self.model = nn.ModuleDict({"features": nn.Sequential(*blocks)})

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        taps = {}
        features = image
        for index, block in enumerate(self.model["features"].children()):
            features = block(features)
            taps[index] = features
        return taps[1], taps[3], taps[18]


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = _conv_bn_relu(inputs, hidden, 1) if expansion > 1 else []
        layers += _conv_bn_relu(hidden, hidden, 3, stride=stride, groups=hidden)
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.conv(features)
        return features + out if self.skips else out


def _conv_bn_relu(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True)]


class _HalfNorm(nn.Module):
    """Normalises the first half of the channels over the batch and the second half over each picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bnorm = nn.BatchNorm2d(channels // 2)
        self.inorm = nn.InstanceNorm2d(channels - channels // 2)

    def forward(self, features: Tensor) -> Tensor:
        first, second = torch.tensor_split(features, [self.bnorm.num_features], dim=1)
        return torch.cat([self.bnorm(first), self.inorm(second)], dim=1)


class _Conv(nn.Module):
    """Convolution that keeps the size, then, unless `bare`, the mixed normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, bare: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, stride, size // 2)]
        if not bare:
            layers += [_HalfNorm(outputs), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.layers(features)
        return out


class _SqueezeExcitation(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // _SQUEEZE, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channels // _SQUEEZE, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        weight: Tensor = self.fc(features.mean(dim=(2, 3)))
        return features * weight[:, :, None, None]


class _LowResolution(nn.Module):
    """Where the person is: 1/32 features to 32 channels at 1/8."""

    def __init__(self, backbone: _Backbone) -> None:
        super().__init__()
        self.backbone = backbone
        self.se_block = _SqueezeExcitation(_LAST)
        self.conv_lr16x = _Conv(_LAST, _TAPS[13], 5)
        self.conv_lr8x = _Conv(_TAPS[13], _TAPS[6], 5)
        self.conv_lr = _Conv(_TAPS[6], 1, 3, bare=True)

    def forward(self, enc32x: Tensor) -> Tensor:
        lr16x = self.conv_lr16x(_resize(self.se_block(enc32x), 2))
        lr8x: Tensor = self.conv_lr8x(_resize(lr16x, 2))
        return lr8x


class _HighResolution(nn.Module):
    """Where its edge is: 32 channels at 1/2."""

    def __init__(self) -> None:
        super().__init__()
        self.tohr_enc2x = _Conv(_TAPS[1], _HIGH, 1)
        self.conv_enc2x = _Conv(_HIGH + 3, _HIGH, 3, stride=2)
        self.tohr_enc4x = _Conv(_TAPS[3], _HIGH, 1)
        self.conv_enc4x = _Conv(2 * _HIGH, 2 * _HIGH, 3)
        self.conv_hr4x = nn.Sequential(
            _Conv(3 * _HIGH + 3, 2 * _HIGH, 3), _Conv(2 * _HIGH, 2 * _HIGH, 3), _Conv(2 * _HIGH, _HIGH, 3)
        )
        self.conv_hr2x = nn.Sequential(
            _Conv(2 * _HIGH, 2 * _HIGH, 3),
            _Conv(2 * _HIGH, _HIGH, 3),
            _Conv(_HIGH, _HIGH, 3),
            _Conv(_HIGH, _HIGH, 3),
        )
        self.conv_hr = nn.Sequential(_Conv(_HIGH + 3, _HIGH, 3), _Conv(_HIGH, 1, 1, bare=True))

    def forward(self, image: Tensor, enc2x: Tensor, enc4x: Tensor, lr8x: Tensor) -> Tensor:
        enc2x = self.tohr_enc2x(enc2x)
        hr4x = self.conv_enc2x(torch.cat([_resize(image, 1 / 2), enc2x], 1))
        hr4x = self.conv_enc4x(torch.cat([hr4x, self.tohr_enc4x(enc4x)], 1))
        hr4x = self.conv_hr4x(torch.cat([hr4x, _resize(lr8x, 2), _resize(image, 1 / 4)], 1))
        hr2x: Tensor = self.conv_hr2x(torch.cat([_resize(hr4x, 2), enc2x], 1))
        return hr2x


class _Fusion(nn.Module):
    """Both joined into the matte."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_lr4x = _Conv(_TAPS[6], _HIGH, 5)
        self.conv_f2x = _Conv(2 * _HIGH, _HIGH, 3)
        self.conv_f = nn.Sequential(_Conv(_HIGH + 3, _HIGH // 2, 3), _Conv(_HIGH // 2, 1, 1, bare=True))

    def forward(self, image: Tensor, lr8x: Tensor, hr2x: Tensor) -> Tensor:
        lr2x = _resize(self.conv_lr4x(_resize(lr8x, 2)), 2)
        f2x = self.conv_f2x(torch.cat([lr2x, hr2x], 1))
        return torch.sigmoid(self.conv_f(torch.cat([_resize(f2x, 2), image], 1)))
