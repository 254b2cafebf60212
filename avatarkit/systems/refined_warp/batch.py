"""A batch of stored parts through the nets: patches moved a little, corrected, and laid together as a face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from avatarkit.systems.refined_warp.maps import grid
from avatarkit.systems.refined_warp.network import CORRECTED, Refinement, changed, detail
from avatarkit.systems.refined_warp.patches import NAMES
from avatarkit.systems.refined_warp.samples import CHANNELS, PICTURE, part_sizes

__all__ = ["Batch", "Noise", "Refined", "jitter", "noise", "refine"]

PARTS = ("mouth", "right_eye", "left_eye")
_SHIFT, _GROWTH, _TURN = 0.05, 0.05, 0.05
_GUIDES_OFF = 0.02
"""Guides are moved against their pictures by at most this, in halves of a stored part: a pixel or so."""
_POSES_OFF = 0.04
"""Standard deviation of what is added to poses, radians."""
_NET_OF = {patch: net for net, names in CORRECTED.items() for patch in names}


@dataclass(frozen=True)
class Batch:
    """Stored parts. parts: by name, uint8 B x 9 x h x w. matrices: B x 4 x 2 x 3. poses: B x 3.

    extra: by name, uint8 B x 3 x h x w, the same parts of the source, where the nets see them.
    """

    parts: Mapping[str, Tensor]
    matrices: Tensor
    poses: Tensor
    extra: Mapping[str, Tensor] | None = None


@dataclass(frozen=True)
class Refined:
    """By part: what the warp drew, the refined part, the truth, and the guide, B x C x h x w; faces at `PICTURE`."""

    warp: Mapping[str, Tensor]
    result: Mapping[str, Tensor]
    truth: Mapping[str, Tensor]
    guides: Mapping[str, Tensor]


def jitter(count: int, generator: torch.Generator | None) -> Tensor:
    """Small moves of patches (count, 4, 3, 3) in their own coordinates; no generator, no moves."""
    result = torch.eye(3).repeat(count, len(NAMES), 1, 1)
    if generator is None:
        return result
    noise = 2.0 * torch.rand(count, len(NAMES), 4, generator=generator) - 1.0
    angle, scale = _TURN * noise[..., 0], 1.0 + _GROWTH * noise[..., 1]
    result[..., 0, 0] = result[..., 1, 1] = scale * torch.cos(angle)
    result[..., 0, 1], result[..., 1, 0] = -scale * torch.sin(angle), scale * torch.sin(angle)
    result[..., :2, 2] = _SHIFT * noise[..., 2:]
    return result


@dataclass(frozen=True)
class Noise:
    """Errors of a tracker.

    guides: (B, 4, 2), how far guides lie beside their pictures, x and y in halves of a stored part. poses: (B, 3),
    what is added to rotation vectors, radians.
    """

    guides: Tensor
    poses: Tensor


def noise(count: int, generator: torch.Generator) -> Noise:
    """What a tracker may be wrong by, so that the nets' answers do not tremble as it does."""
    guides = _GUIDES_OFF * (2.0 * torch.rand(count, len(NAMES), 2, generator=generator) - 1.0)
    return Noise(guides, _POSES_OFF * torch.randn(count, 3, generator=generator))


def refine(
    net: Refinement, batch: Batch, moves: Tensor, errors: Noise | None = None, *, half: bool = False
) -> Refined:
    """The nets' answer to a batch, its patches moved by `moves`, see `jitter`; `half`: convolutions in bfloat16."""
    device = batch.matrices.device.type
    # Coordinates need every bit, whatever the caller's precision.
    with torch.autocast(device, enabled=False):
        return _refine(net, batch, moves, errors, torch.autocast(device, torch.bfloat16, enabled=half))


def _refine(net: Refinement, batch: Batch, moves: Tensor, errors: Noise | None, brief: torch.autocast) -> Refined:
    sizes = part_sizes(net.config)
    pose = net.pose(batch.poses if errors is None else batch.poses + errors.poses)
    stored = {name: tensor.float() / 255.0 for name, tensor in batch.parts.items()}
    own = _square(batch.matrices)
    patch = own @ moves  # what the nets see, in pixels of the drawn picture
    views: dict[str, Tensor] = {}
    inner: dict[str, Tensor] = {}
    for number, name in enumerate(NAMES):
        width, height = sizes[name]
        there = stored[name].shape
        # From patch coordinates to those of the stored part, which has a margin.
        margin = own.new_tensor([width / there[3], height / there[2], 1.0])
        inner[name] = torch.diag(margin) @ torch.linalg.inv(own[:, number])
        places = _through(inner[name] @ patch[:, number], grid((width, height), own))
        beside = places if errors is None else places + errors.guides[:, number, None, None]
        pictures, guides = stored[name][:, : CHANNELS["guide"].start], stored[name][:, CHANNELS["guide"]]
        views[name] = torch.cat([_sampled(pictures, places), _sampled(guides, beside)], dim=1)
    seen = F.avg_pool2d(views["face"], PICTURE)
    with brief:
        shift, gain = net.face(_inputs(seen, batch, "face"), pose)
    shift, gain = shift.float(), gain.float()
    face = patch[:, 0]

    def drawn(name: str, at: Tensor) -> Tensor:
        """A stored part at places (B, h, w, 2) of the face's patch, as the face net corrects it."""
        places = _through(inner[name] @ face, _moved(at, shift))
        # By cubics, as frames are: what linear resampling blurs, the gain would be learned to give back.
        corrected = _sampled(stored[name][:, CHANNELS["warp"]], places, mode="bicubic")
        return corrected + _sampled(gain, at) * detail(corrected)

    whole = grid(sizes["face"], face)
    result = {"face": drawn("face", whole)}
    for name in PARTS:
        out, own_grid = torch.linalg.inv(face) @ patch[:, NAMES.index(name)], grid(sizes[name], face)
        inside = _through(torch.linalg.inv(out), whole)
        seen = drawn(name, _through(out, own_grid))
        part: torch.nn.Module = getattr(net, _NET_OF[name])
        x = torch.cat([seen, views[name][:, CHANNELS["guide"]]], dim=1)
        with brief:
            answer = part(_inputs(x, batch, name, ready=True), pose)
        answer = answer.float()
        result[name] = changed(seen, answer)
        result["face"] = changed(result["face"], _sampled(answer, inside, padding="zeros"))
        if answer.shape[1] > 3:
            # With their new colours lips are taken from elsewhere, over what stays between them.
            ways, stays = answer[:, 3:5], answer[:, 5:]
            for picture, at in ((name, own_grid), ("face", inside)):
                taken = _moved(at, ways, padding="zeros")
                lips = changed(drawn(picture, _through(out, taken)), _sampled(answer, taken, padding="zeros"))
                still = result[picture]
                result[picture] = lips + _sampled(stays, at, padding="zeros") * (still - lips)
    return Refined(
        {name: view[:, CHANNELS["warp"]] for name, view in views.items()},
        result,
        {name: view[:, CHANNELS["truth"]] for name, view in views.items()},
        {name: view[:, CHANNELS["guide"]] for name, view in views.items()},
    )


def _inputs(view: Tensor, batch: Batch, name: str, *, ready: bool = False) -> Tensor:
    """What a net sees: colours and guide, and the source's part where it is given."""
    x = view if ready else torch.cat([view[:, CHANNELS["warp"]], view[:, CHANNELS["guide"]]], dim=1)
    if batch.extra is not None:
        x = torch.cat([x, batch.extra[name].float() / 255.0], dim=1)
    return x


def _square(matrices: Tensor) -> Tensor:
    last = matrices.new_tensor([0.0, 0.0, 1.0]).expand(*matrices.shape[:-2], 1, 3)
    return torch.cat([matrices, last], dim=-2)


def _through(matrix: Tensor, points: Tensor) -> Tensor:
    """Points (B, h, w, 2) moved by matrices (B, 3, 3)."""
    return torch.einsum("bij,bhwj->bhwi", matrix[:, :2, :2], points) + matrix[:, None, None, :2, 2]


def _moved(places: Tensor, ways: Tensor, *, padding: str = "border") -> Tensor:
    """Places (B, h, w, 2) moved by what a map of ways (B, 2, h, w) says there."""
    return places + _sampled(ways, places, padding=padding).permute(0, 2, 3, 1)


def _sampled(picture: Tensor, places: Tensor, *, padding: str = "border", mode: str = "bilinear") -> Tensor:
    return F.grid_sample(picture, places, mode=mode, padding_mode=padding, align_corners=False)
