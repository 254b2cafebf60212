"""Maps over a part's patch: what is smooth in them, where they count, and the ways of lips. All B x C x h x w."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from avatarkit.geometry.easing import eased

__all__ = [
    "CLOSER", "EYE_REACH", "MOUTH_REACH", "WIDER", "around", "extents", "grid", "lip_ways", "lower_part", "moved",
    "smooth", "spots", "whole_within", "window", "within",
]  # fmt: skip

CLOSER, WIDER = 0.065, 0.02
"""Each lip is moved by at most this towards the other and away from it, in halves of a mouth's patch: 3 mm and 1 mm.
Of what would come into view, nothing is known."""
_STILL, _FREE = -0.6, -0.3
"""Rows of a mouth's patch, in halves of it, above which it moves nothing, and below which all it answers: around the
nose's tip, and the upper lip. Farther up are the eyes of a head that nods."""
_CLOSED = 0.02
"""What lips count beside what lies between them, for where the middle of a mouth is: nearly nothing of an open one."""
_SPOT = (0.15, 0.4)
"""Distances, in halves of a face's patch, up to which a part is moved as a whole, and from which it is not. Two eyes
lie far enough apart for their shares to add up to no more than 1."""
MOUTH_REACH, EYE_REACH = 0.033, 0.012
"""Mouth and eyes are corrected in their openings and near them: by half at so many head units (3 mm, 1 mm) from them,
not at all at twice as many. Colours that are laid over the skin beyond would move otherwise than it, and lids on which
a net lays what it saw on average blink less than the driver's."""


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


def smooth(x: Tensor, times: int = 1) -> Tensor:
    """Blurred by a binomial of 5 pixels, so that nothing but the smooth is left."""
    kernel = x.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    channels = x.shape[1]
    for _ in range(times):
        padded = F.pad(x, (2, 2, 2, 2), mode="replicate")
        rows = F.conv2d(padded, kernel.view(1, 1, 1, 5).repeat(channels, 1, 1, 1), groups=channels)
        x = F.conv2d(rows, kernel.view(1, 1, 5, 1).repeat(channels, 1, 1, 1), groups=channels)
    return x


def lip_ways(lips: Tensor, guide: Tensor) -> Tensor:
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
    moves = within(lips, CLOSER, WIDER)
    ways = share * (moves[:, 1:, None] * lower - moves[:, :1, None] * (1.0 - lower))
    return torch.stack([torch.zeros_like(ways), ways], dim=1)


def within(x: Tensor, above: float, below: float) -> Tensor:
    """From -1 to 1 becomes from `-below` to `above`. Two clamped halves have no gradient at 0, where all nets start."""
    return torch.where(x >= 0.0, above * x, below * x)


def around(inside: Tensor, units: float, reach: float) -> Tensor:
    """1 within a mask B x 1 x h x w, `units` wide, falling smoothly to 0 at twice `reach` from it, in such units."""
    pixels = round(reach / units * inside.shape[-1])
    half = pixels // 2
    # By rows, then by columns, in a tenth of the time.
    for tall in (False, True):
        inside = F.max_pool2d(inside, *_line(pixels, tall=tall))
    for tall in (False, True, False, True):
        size, stride, padding = _line(half, tall=tall)
        inside = F.avg_pool2d(inside, size, stride, padding, count_include_pad=False)
    return inside


def spots(x: Tensor, centres: Sequence[tuple[float, float]]) -> Tensor:
    """Where parts lie of B x C x h x w, around their centres in the patch's own coordinates: N x h x w.

    1 near a centre, falling smoothly to 0 at some distance from it, see `_SPOT`.
    """
    places = grid((x.shape[-1], x.shape[-2]), x[:1])[0]
    far = torch.linalg.vector_norm(places - places.new_tensor(centres)[:, None, None], dim=-1)
    return _eased((_SPOT[1] - far) / (_SPOT[1] - _SPOT[0]))


def whole_within(ways: Tensor, parts: Tensor) -> Tensor:
    """Ways (B, 2, h, w) that are each part's mean within it, see `spots`: what lies there keeps its shape."""
    means = torch.einsum("bchw,nhw->bnc", ways, parts / parts.sum(dim=(1, 2), keepdim=True))
    return ways * (1.0 - parts.sum(dim=0)) + torch.einsum("bnc,nhw->bchw", means, parts)


def _line(reach: int, *, tall: bool) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """Kernel, stride and padding of a pool over so many pixels to either side, of a column or a row."""
    kernel, padding = (2 * reach + 1, 1), (reach, 0)
    return (kernel, 1, padding) if tall else (kernel[::-1], 1, padding[::-1])


def _eased(share: Tensor) -> Tensor:
    """0 below 0, 1 above 1, smooth between."""
    return eased(share.clamp(0.0, 1.0))


def lower_part(x: Tensor) -> Tensor:
    """0 above, 1 below the nose in B x C x h x w of a mouth's patch: 1 x 1 x h x 1."""
    place = (torch.arange(x.shape[-2], device=x.device, dtype=x.dtype) + 0.5) * (2.0 / x.shape[-2]) - 1.0
    return _eased((place - _STILL) / (_FREE - _STILL))[None, None, :, None]


def window(x: Tensor) -> Tensor:
    """1 within, falling smoothly to 0 at the edges of B x C x h x w: 1 x 1 x h x w."""

    def side(length: int) -> Tensor:
        place = (torch.arange(length, device=x.device, dtype=x.dtype) + 0.5) / length
        return _eased(torch.minimum(place, 1.0 - place) / 0.14)

    return (side(x.shape[-2])[:, None] * side(x.shape[-1])[None])[None, None]
