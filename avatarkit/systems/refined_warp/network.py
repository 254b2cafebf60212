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
from avatarkit.systems.refined_warp.patches import EYE, MOUTH

__all__ = [
    "CORRECTED", "DARKEST", "OPENINGS", "EyeNet", "FaceNet", "MouthNet", "Refinement", "RefinementConfig", "changed",
    "detail", "extents", "grid",
]  # fmt: skip

CORRECTED = {"face": ("face",), "mouth": ("mouth",), "eye": ("right_eye", "left_eye")}
"""The nets of a refinement, and the patches that each corrects."""
MOST_SHIFT = 0.06
"""The face net moves no pixel farther than this, in halves of its patch (0.075 head units, 7 mm)."""
MOST_GAIN = 2.0
"""Detail is strengthened by at most this share of what `losses.detail` finds, at the parts' resolution. It is never
weakened: blur is the cheapest answer to detail that lies a little beside the truth's, and the worst to look at."""
START_GAIN = 0.15
"""Of detail before any training: about what resampling a moved face takes away, for the first steps not to look for."""
DARKER, LIGHTER = 0.3, 0.6
"""Light of a mouth changes by at most this, in natural logarithms: to three quarters, or 1.8 times. The mean of teeth,
gums and shadow, which is what a net would find, is darker than any tooth."""
MOST_HUE = 0.05
"""And each of its colours, on its own, by this: that mean is redder than any tooth, and lips under another light, laid
over skin, look bruised."""
DARKEST = 8.0 / 255.0
"""Added to colours before their light changes: the black of a cavity has none."""
CLOSER, WIDER = 0.065, 0.02
"""Each lip is moved by at most this towards the other and away from it, in halves of a mouth's patch: 3 mm and 1 mm.
Of what would come into view, nothing is known."""
_STILL, _FREE = -0.6, -0.3
"""Rows of a mouth's patch, in halves of it, above which it moves nothing, and below which all it answers: around the
nose's tip, and the upper lip. Farther up are the eyes of a head that nods."""
_LIDS_FADE = 0.4
"""By this share below the least opening that was learned, an eye's corrections have ended."""
OPENINGS = 32
"""Width and height of so many openings are remembered of the mouths that were learned."""
_STRANGE = 0.1
"""A mouth's corrections end as its opening differs from all that were learned, between this much of the patch and twice
that."""
_CLOSED = 0.02
"""What lips count beside what lies between them, for where the middle of a mouth is: nearly nothing of an open one."""
_NONE = -20.0
"""Before a sigmoid: nothing."""
_REACH = 0.033
"""Mouth and eyes are corrected in their openings and near them: by half at so many head units (3 mm) from them, not at
all at twice as many. Colours that are laid over the skin beyond would move otherwise than it."""
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
        shift = MOST_SHIFT * torch.tanh(_smooth(self.shift(coarse), times=3))
        gain = MOST_GAIN * torch.sigmoid(_smooth(self.gain(coarse)))
        window = _window(coarse)
        return shift * window, gain * window


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
        return answer * (1.0 - unknown.clamp(0.0, 1.0)) * _window(answer) * _around(x[:, 3:4], EYE[0])


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
            found = torch.tanh(_smooth(tone.float(), times=2))
            found = F.interpolate(found, scale_factor=4.0, mode="bilinear", align_corners=False)
            light, hue = found[:, :1], found[:, 1:]
            scaled = torch.expm1(_within(light, LIGHTER, DARKER) + MOST_HUE * hue)
            strange = torch.cdist(extents(opening), self.openings).amin(dim=1) / _STRANGE - 1.0
            known = (1.0 - self.familiar * strange.clamp(0.0, 1.0))[:, None, None, None]
            counts = known * _window(scaled)
            scaled = counts * _around(opening, MOUTH[0]) * scaled
            ways = counts * _lower_part(scaled) * _lip_ways(torch.tanh(lips.float()), x[:, 3:5].float())
            stays = F.avg_pool2d(opening * moved(opening, ways), 3, stride=1, padding=1)
            return torch.cat([scaled, ways, stays], dim=1)


def extents(opening: Tensor) -> Tensor:
    """Width and height (B, 2) of masks B x 1 x h x w, in shares of the patch: the longest row, the longest column."""
    return torch.cat([opening.mean(dim=3).amax(dim=2), opening.mean(dim=2).amax(dim=2)], dim=1)


def grid(size: tuple[int, int], like: Tensor) -> Tensor:
    """The pixels (B, h, w, 2) of a patch of a size (width, height), in its own coordinates."""
    x, y = ((torch.arange(side, dtype=torch.float32) + 0.5) * (2.0 / side) - 1.0 for side in size)
    points = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).to(like.device)
    return points.expand(len(like), -1, -1, -1)


def moved(picture: Tensor, ways: Tensor) -> Tensor:
    """A picture of a patch (B, C, h, w), each pixel taken from as far beside it as `ways` (B, 2, h, w) says."""
    places = grid((picture.shape[3], picture.shape[2]), picture) + ways.permute(0, 2, 3, 1)
    return F.grid_sample(picture, places, padding_mode="border", align_corners=False)


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


def _smooth(x: Tensor, times: int = 1) -> Tensor:
    """Blurred by a binomial of 5 pixels, so that nothing but the smooth is left."""
    kernel = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    channels = x.shape[1]
    for _ in range(times):
        padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
        rows = F.conv2d(padded, kernel.view(1, 1, 1, 5).repeat(channels, 1, 1, 1), groups=channels)
        x = F.conv2d(rows, kernel.view(1, 1, 5, 1).repeat(channels, 1, 1, 1), groups=channels)
    return x


def _lip_ways(lips: Tensor, guide: Tensor) -> Tensor:
    """Ways (B, 2, h, w) by which lips are moved towards each other in the middle, less towards the corners.

    lips: (B, 2), upper and lower: 1 as far as they may, -1 as far apart. guide: what lies between the lips, and the
    lips with it (B, 2, h, w).

    Ways that were free in every place crumpled lips, and drew mouths aslant: a net that only knows a minute of footage
    finds such things in it.
    """
    x, y = grid((guide.shape[3], guide.shape[2]), guide).unbind(dim=-1)
    opening, around = guide.unbind(dim=1)
    columns = around.amax(dim=1)
    width = columns.sum(dim=1).clamp(min=1.0)
    middle = ((columns * x[:, 0]).sum(dim=1) / width)[:, None, None]
    along = (x - middle) / (width / guide.shape[3])[:, None, None]
    share = (1.0 - along.square()).clamp(min=0.0).square()
    # Upper and lower lip part in the middle of what lies between them, closed lips in their own; columns beyond the
    # lips have no middle, and none is asked for.
    inside = opening + _CLOSED * around
    seen = inside.sum(dim=1, keepdim=True)
    line = (inside * y).sum(dim=1, keepdim=True) / seen.clamp(min=_CLOSED)
    height = (2.0 * opening.sum(dim=1, keepdim=True) + 4.0) / guide.shape[2]
    lower = _eased((y - line) / height + 0.5)
    moves = _within(lips, CLOSER, WIDER)
    ways = share * (moves[:, 1:, None] * lower - moves[:, :1, None] * (1.0 - lower))
    return torch.stack([torch.zeros_like(ways), ways], dim=1)


def _within(x: Tensor, above: float, below: float) -> Tensor:
    """From -1 to 1 becomes from `-below` to `above`. Two clamped halves have no gradient at 0, where all nets start."""
    return torch.where(x >= 0.0, above * x, below * x)


def _around(inside: Tensor, units: float) -> Tensor:
    """1 within a mask B x 1 x h x w, falling smoothly to 0 at twice `_REACH` from it; it is `units` wide."""
    reach = round(_REACH / units * inside.shape[-1])
    half = reach // 2
    # By rows, then by columns, in a tenth of the time.
    for tall in (False, True):
        inside = F.max_pool2d(inside, *_line(reach, tall=tall))
    for tall in (False, True, False, True):
        size, stride, padding = _line(half, tall=tall)
        inside = F.avg_pool2d(inside, size, stride, padding, count_include_pad=False)
    return inside


def _line(reach: int, *, tall: bool) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """Kernel, stride and padding of a pool over so many pixels to either side, of a column or a row."""
    kernel, padding = (2 * reach + 1, 1), (reach, 0)
    return (kernel, 1, padding) if tall else (kernel[::-1], 1, padding[::-1])


def _eased(share: Tensor) -> Tensor:
    """0 below 0, 1 above 1, smooth between."""
    share = share.clamp(0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _lower_part(x: Tensor) -> Tensor:
    """0 above, 1 below the nose in B x C x h x w of a mouth's patch: 1 x 1 x h x 1."""
    place = (torch.arange(x.shape[-2], device=x.device, dtype=x.dtype) + 0.5) * (2.0 / x.shape[-2]) - 1.0
    return _eased((place - _STILL) / (_FREE - _STILL))[None, None, :, None]


def _window(x: Tensor) -> Tensor:
    """1 within, falling smoothly to 0 at the edges of B x C x h x w: 1 x 1 x h x w."""

    def side(length: int) -> Tensor:
        place = (torch.arange(length, device=x.device, dtype=x.dtype) + 0.5) / length
        return _eased(torch.minimum(place, 1.0 - place) / 0.14)

    return (side(x.shape[-2])[:, None] * side(x.shape[-1])[None])[None, None]
