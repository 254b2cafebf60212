"""The refinement: small networks that correct what a warp draws of a face, its mouth and its eyes.

A face net sees the whole face and gives a smooth shift and how much of the detail that resampling took is to be given
back. As both are smooth, the warp's own detail stays. It changes no colours: light that is laid over a face moves
otherwise than its skin, and is seen to. An eye net, at the eyes' own resolution, gives changes of colour under a mask
of their own, in and near openings alone: lids, irises. A mouth net gives smooth changes of light in and near the mouth:
teeth that it knew within a pixel or two it could only draw as their mean, a veil, so the warp's teeth, tongue and
shadow stay. Then it closes the lips a little, or opens them, over teeth that stay where skull and jaw have them. All
end in layers that start at zero: before any training the warp passes unchanged, but for a little of its detail.

Shapes: pictures B x 3 x H x W in [0, 1]; guides B x 3 x H x W in [0, 1], see `guides.py`; poses B x 3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatarkit.errors import UsageError
from avatarkit.systems.refined_warp.maps import (
    EYE_REACH,
    MOUTH_REACH,
    around,
    extents,
    lip_ways,
    lower_part,
    moved,
    smooth,
    spots,
    whole_within,
    window,
    within,
)
from avatarkit.systems.refined_warp.patches import EYE, MOUTH

__all__ = [
    "CORRECTED", "DARKEST", "OPENINGS", "EyeNet", "FaceNet", "MouthNet", "Refinement", "RefinementConfig", "changed",
    "detail",
]  # fmt: skip

CORRECTED = {"face": ("face",), "mouth": ("mouth",), "eye": ("right_eye", "left_eye")}
"""The nets of a refinement, and the patches that each corrects."""
MOST_SHIFT = 0.06
"""The face net moves no pixel farther than this, in halves of its patch (0.075 head units, 7 mm)."""
_EYES = ((-0.28, -0.29), (0.28, -0.29))
"""Where eyes are in a face's patch."""
MOST_GAIN = 2.0
"""Detail is strengthened by at most this share of what `losses.detail` finds, at the parts' resolution. It is never
weakened: blur is the cheapest answer to detail that lies a little beside the truth's, and the worst to look at."""
START_GAIN = 0.15
"""Of detail before any training: about what resampling a moved face takes away, for the first steps not to look for."""
DARKER, LIGHTER = 0.45, 0.6
"""Light of a mouth changes by at most this, in natural logarithms: to 0.64, or 1.8 times. The mean of teeth, gums and
shadow, which is what a net would find, is darker than any tooth."""
MOST_HUE = 0.05
"""And each of its colours, on its own, by this: that mean is redder than any tooth, and lips under another light, laid
over skin, look bruised."""
DARKEST = 8.0 / 255.0
"""Added to colours before their light changes: the black of a cavity has none."""
_LIDS_FADE = 0.4
"""By this share below the least opening that was learned, an eye's corrections have ended."""
OPENINGS = 32
"""Width and height of so many openings are remembered of the mouths that were learned."""
_STRANGE = 0.1
"""A mouth's corrections end as its opening differs from all that were learned, between this much of the patch and twice
that."""
_NONE = -20.0
"""Before a sigmoid: nothing."""
_SLOPE = 0.2
_POSE_RANGE = 2.0
"""Poses count up to this many standard deviations of those learned: beyond, a network would only guess."""


@dataclass(frozen=True)
class RefinementConfig:
    """Sizes.

    face, mouth: sides of their patches, pixels; eye: width and height of an eye's. widths: of a net's three levels.
    extra: further input channels of a part: 3 for the same part of the source, 0 where one person is learned.
    """

    face: int = 128
    mouth: int = 128
    eye: tuple[int, int] = (96, 64)
    widths: tuple[int, int, int] = (32, 48, 64)
    extra: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that the levels cannot halve."""
        sides = (self.face, self.mouth, *self.eye)
        if any(side % 8 or not 32 <= side <= 512 for side in sides):
            raise UsageError(f"refinement patches of {sides} px: use multiples of 8 from 32 to 512")
        if any(width % 8 or not 8 <= width <= 512 for width in self.widths) or self.extra not in (0, 3):
            raise UsageError(f"refinement widths {self.widths}, extra {self.extra}: use multiples of 8; 0 or 3")


class _Trunk(nn.Module):
    """A U-Net of three levels over a picture at half its size, up to the second level again; skips are added."""

    def __init__(self, inputs: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        one, two, three = widths
        self.enter = nn.Conv2d(4 * inputs, one, 3, padding=1)
        self.first = nn.Conv2d(one, one, 3, padding=1)
        self.down = nn.Conv2d(one, two, 4, stride=2, padding=1)
        self.second = nn.Conv2d(two, two, 3, padding=1)
        self.deeper = nn.Conv2d(two, three, 4, stride=2, padding=1)
        self.third = nn.Conv2d(three, three, 3, padding=1)
        self.pose = nn.Linear(3, three)
        self.rise = nn.Conv2d(three, two, 3, padding=1)
        self.fourth = nn.Conv2d(two, two, 3, padding=1)

    def forward(self, x: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """Features at a quarter of the size, and those at half of it that have not seen them."""
        a = _bent(self.enter(F.pixel_unshuffle(x, 2)))
        a = a + _bent(self.first(a))
        b = _bent(self.down(a))
        b = b + _bent(self.second(b))
        c = _bent(self.deeper(b) + self.pose(pose)[:, :, None, None])
        c = c + _bent(self.third(c))
        b = b + F.interpolate(_bent(self.rise(c)), scale_factor=2.0, mode="nearest")
        return b + _bent(self.fourth(b)), a


class _FineTrunk(_Trunk):
    """The same U-Net, with the first level."""

    def __init__(self, inputs: int, widths: tuple[int, int, int]) -> None:
        super().__init__(inputs, widths)
        one, two, _ = widths
        self.higher = nn.Conv2d(two, one, 3, padding=1)
        self.fifth = nn.Conv2d(one, one, 3, padding=1)

    def fine(self, x: Tensor, pose: Tensor) -> Tensor:
        """Features at a half of the size."""
        b, a = self.forward(x, pose)
        a = a + F.interpolate(_bent(self.higher(b)), scale_factor=2.0, mode="nearest")
        return a + _bent(self.fifth(a))


def detail(picture: Tensor) -> Tensor:
    """What a blur of one pixel takes away from B x C x H x W."""
    kernel = picture.new_tensor([0.25, 0.5, 0.25])
    channels = picture.shape[1]
    whole = (kernel[:, None] * kernel).expand(channels, 1, 3, 3)
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    return picture - F.conv2d(padded, whole, groups=channels)


class FaceNet(nn.Module):
    """Smooth corrections of a face: a shift (B x 2 x S/4 x S/4) and the gain of detail (B x 1 x S/4 x S/4)."""

    def __init__(self, config: RefinementConfig) -> None:
        """Build it; its answers are zero but for the gain."""
        super().__init__()
        self.trunk = _Trunk(6 + config.extra, config.widths)
        self.shift = _zeroed(nn.Conv2d(config.widths[1], 2, 3, padding=1))
        self.gain = _zeroed(nn.Conv2d(config.widths[1], 1, 3, padding=1))
        assert self.gain.bias is not None
        self.gain.bias.data.fill_(math.log(START_GAIN / (MOST_GAIN - START_GAIN)))

    def forward(self, x: Tensor, pose: Tensor) -> tuple[Tensor, Tensor]:
        """The shift in halves of the patch, and the gain."""
        coarse, _ = self.trunk(x, pose)
        shift = MOST_SHIFT * torch.tanh(smooth(self.shift(coarse), times=3))
        gain = MOST_GAIN * torch.sigmoid(smooth(self.gain(coarse)))
        inside = window(coarse)
        # An eye is moved as a whole: lids that were moved apart, and back, by what a net guesses of each moment would
        # blink less like the driver's.
        return whole_within(shift * inside, spots(coarse, _EYES)), gain * inside


class EyeNet(nn.Module):
    """What is added to the colours of an eye, B x 3 x h x w: nothing where lids are closer than any that were learned.

    Of a person who never blinks in the footage a net learns that what lies between the lids is an eye, and would open
    lids that the warp has closed.
    """

    least_open: Tensor

    def __init__(self, config: RefinementConfig) -> None:
        """Build it; its answer is zero. `least_open`: share of the patch that lies between the most closed lids."""
        super().__init__()
        self.trunk = _FineTrunk(6 + config.extra, config.widths)
        self.colours = _zeroed(nn.Conv2d(config.widths[0], 12, 3, padding=1))
        self.mask = nn.Conv2d(config.widths[0], 4, 3, padding=1)
        self.register_buffer("least_open", torch.zeros(()))

    def forward(self, x: Tensor, pose: Tensor) -> Tensor:
        """The answer, nothing at the patch's edges, nor far from the opening."""
        fine = self.trunk.fine(x, pose)
        answer = F.pixel_shuffle(self.colours(fine), 2) * torch.sigmoid(F.pixel_shuffle(self.mask(fine), 2))
        seen = x[:, 3:4].mean(dim=(1, 2, 3), keepdim=True)
        unknown = (self.least_open - seen) / (_LIDS_FADE * self.least_open + 1e-6)
        return answer * (1.0 - unknown.clamp(0.0, 1.0)) * window(answer) * around(x[:, 3:4], EYE[0], EYE_REACH)


class MouthNet(nn.Module):
    """What a mouth is changed by, B x 6 x h x w: the share of its colours that is added to them (3), see `changed`,
    from how far beside it each pixel is taken then (2, in halves of the patch), and the share of it that stays in its
    place: what lies between the lips before and after (1).

    Nothing changes where the opening is like none that was learned: asked for a shout by somebody who only ever
    talked, a net would make up lips and a light for it.
    """

    openings: Tensor
    familiar: Tensor

    def __init__(self, config: RefinementConfig) -> None:
        """Build it; its answer is zero.

        `openings`: width and height of some that were learned, see `extents`; they count where `familiar` is 1.
        """
        super().__init__()
        self.trunk = _Trunk(6 + config.extra, config.widths)
        self.tone = _zeroed(nn.Conv2d(config.widths[1], 4, 3, padding=1))
        self.lips = _zeroed(nn.Conv2d(config.widths[1], 2, 3, padding=1))
        self.register_buffer("openings", torch.zeros(OPENINGS, 2))
        self.register_buffer("familiar", torch.zeros(()))

    def forward(self, x: Tensor, pose: Tensor) -> Tensor:
        """The answer, nothing at the patch's edges; changes of colour end near the opening."""
        coarse, _ = self.trunk(x, pose)
        tone, lips = self.tone(coarse), self.lips(coarse).mean(dim=(2, 3))
        # Factors near 1, and places, need more bits than bfloat16 has.
        with torch.autocast(x.device.type, enabled=False):
            opening = x[:, 3:4].float()
            found = torch.tanh(smooth(tone.float()))
            found = F.interpolate(found, scale_factor=4.0, mode="bilinear", align_corners=False)
            light, hue = found[:, :1], found[:, 1:]
            scaled = torch.expm1(within(light, LIGHTER, DARKER) + MOST_HUE * hue)
            strange = torch.cdist(extents(opening), self.openings).amin(dim=1) / _STRANGE - 1.0
            known = (1.0 - self.familiar * strange.clamp(0.0, 1.0))[:, None, None, None]
            counts = known * window(scaled)
            scaled = counts * around(opening, MOUTH[0], MOUTH_REACH) * scaled
            ways = counts * lower_part(scaled) * lip_ways(torch.tanh(lips.float()), x[:, 3:5].float())
            stays = F.avg_pool2d(opening * moved(opening, ways), 3, stride=1, padding=1)
            return torch.cat([scaled, ways, stays], dim=1)


def changed(colours: Tensor, answer: Tensor) -> Tensor:
    """Colours B x 3 x h x w after the answer of an `EyeNet` or `MouthNet` at the same places, not moved."""
    if answer.shape[1] == 3:
        return colours + answer
    return colours + (colours + DARKEST) * answer[:, :3]


class Refinement(nn.Module):
    """The three nets, and the poses, lids and lips that they learned from.

    Attributes:
        config: its sizes.
    """

    pose_mean: Tensor
    pose_spread: Tensor

    def __init__(self, config: RefinementConfig) -> None:
        """Build it; the caller has seeded torch."""
        super().__init__()
        self.config = config
        self.face = FaceNet(config)
        self.mouth = MouthNet(config)
        self.eye = EyeNet(config)
        self.register_buffer("pose_mean", torch.zeros(3))
        self.register_buffer("pose_spread", torch.ones(3))

    @torch.no_grad()
    def silence(self, part: str) -> None:
        """Let "face", "mouth" or "eye" change nothing from now on."""
        net = getattr(self, part)
        last = {"face": ("shift", "gain"), "mouth": ("tone", "lips"), "eye": ("colours",)}
        for layer in (getattr(net, name) for name in last[part]):
            layer.weight.zero_()
            layer.bias.zero_()
        if part == "face":
            net.gain.bias.fill_(_NONE)

    def pose(self, pose: Tensor) -> Tensor:
        """Poses (B, 3), rotation vectors, in units of what was learned."""
        return ((pose - self.pose_mean) / self.pose_spread).clamp(-_POSE_RANGE, _POSE_RANGE)


def _bent(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)


def _zeroed(conv: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
