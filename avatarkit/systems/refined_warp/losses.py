"""What is asked of refined parts: near the truth in colours and to the eye, and as rich in detail as it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from avatarkit.systems.refined_warp.batch import PARTS, Refined
from avatarkit.systems.refined_warp.network import detail

__all__ = ["Perceptual", "RefinementLosses", "calm_loss", "detail_loss", "part_errors", "part_losses", "pyramid_loss"]

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Distances (B,) of pictures B x 3 x H x W in [0, 1], with gradients: LPIPS where its weights are here."""
OPENING = 3.0
"""Openings count so many times more than the skin around them, beside the one time of all pixels."""


@dataclass(frozen=True)
class RefinementLosses:
    """Weights of the losses. matching: of the discriminator's features; calm: see `calm_loss`; 0 leaves a loss out."""

    l1: float = 8.0
    calm: float = 16.0
    perceptual: float = 3.0
    detail: float = 100.0
    adversarial: float = 0.03
    matching: float = 0.5


def detail_loss(result: Tensor, truth: Tensor) -> Tensor:
    """How far the local strength of detail is from the truth's, wherever each line lies: a blurred picture pays."""
    fine = [detail(picture.mean(dim=1, keepdim=True)).abs() for picture in (result, truth)]
    ours, theirs = (F.avg_pool2d(picture, 8, stride=4) for picture in fine)
    return (ours - theirs).abs().mean()


def calm_loss(refined: Refined) -> Tensor:
    """How far errors differ between two moments that follow each other: a scalar, the sum over the parts.

    Moments come in pairs, the first two, the next two, and so on. An error that stays is not seen as one; one that
    comes and goes is, and so is a change of the truth's that is not followed.
    """
    found: list[Tensor] = []
    for name in ("face", *PARTS):
        errors, guide = refined.result[name] - refined.truth[name], refined.guides[name]
        inside = guide[:, 2:] * (guide[:, 1:2] if name == "face" else 1.0 + OPENING * guide[:, :1])
        counts = torch.minimum(inside[::2], inside[1::2])
        found.append((counts * (errors[::2] - errors[1::2]).abs()).sum() / (3.0 * counts.sum() + 1.0))
    return torch.stack(found).sum()


def pyramid_loss(result: Tensor, truth: Tensor) -> Tensor:
    """Distances (B,) over a Laplacian pyramid of four levels, finer ones counting more: a stand-in for LPIPS."""
    total = result.new_zeros(len(result))
    for level in range(4):
        smaller = [F.avg_pool2d(picture, 2) for picture in (result, truth)]
        bands = [
            picture - F.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
            for picture, small in zip((result, truth), smaller, strict=True)
        ]
        total = total + 2.0**-level * (bands[0] - bands[1]).abs().mean(dim=(1, 2, 3))
        result, truth = smaller
    return 4.0 * total


def part_losses(refined: Refined, perceptual: Perceptual) -> dict[str, Tensor]:
    """The losses but the adversarial ones, without their weights, each the sum over the parts; scalars."""
    losses: dict[str, list[Tensor]] = {"l1": [], "perceptual": [], "detail": []}
    for name in ("face", *PARTS):
        guide = refined.guides[name]
        # Beyond the subject's outline nothing is drawn that would be seen.
        result, truth = (guide[:, 2:] * picture[name] for picture in (refined.result, refined.truth))
        losses["l1"].append(_colours(result, truth, guide, coarse=name == "face"))
        losses["detail"].append(detail_loss(result, truth))
        losses["perceptual"].append(perceptual(*_looked_at(name, guide, result, truth)).mean())
    return {name: torch.stack(values).sum() for name, values in losses.items()}


def _looked_at(name: str, guide: Tensor, result: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """What the eye compares of two pictures of a part: of the face its oval and a little around it.

    Hair, neck and shoulders do not lie where the truth's do, and nothing that is learned here could move them: to the
    eye they would outweigh the face.
    """
    if name != "face":
        return result, truth
    side = guide.shape[-1]
    # An eighth of a patch at each side holds no face; what is left is still halved four times.
    edge, reach = 8 * round(side / 64), side // 24
    middle = slice(edge, side - edge)
    # By rows, then by columns: the whole square would cost a tenth of a step.
    oval = F.avg_pool2d(guide[:, 1:2], (1, 2 * reach + 1), stride=1, padding=(0, reach))
    oval = 2.0 * F.avg_pool2d(oval, (2 * reach + 1, 1), stride=1, padding=(reach, 0))
    seen = oval.clamp(max=1.0)[..., middle, middle]
    return seen * result[..., middle, middle], seen * truth[..., middle, middle]


def _colours(result: Tensor, truth: Tensor, guide: Tensor, *, coarse: bool) -> Tensor:
    """L1 of pictures, openings counting more.

    Of the whole face (`coarse`) a quarter of the size is compared: hair and pores that do not lie where the truth's do
    would otherwise be blurred away.
    """
    counts = guide[:, 2:] * (1.0 + OPENING * guide[:, :1])
    if coarse:
        result, truth, counts = (F.avg_pool2d(picture, 4) for picture in (result, truth, counts))
    return (counts * (result - truth).abs()).sum() / (3.0 * counts.sum() + 1.0)


def part_errors(refined: Refined, perceptual: Perceptual) -> dict[str, Tensor]:
    """Errors (B,) of refined parts, and of the warp's under "warp/...": L1 of each part, and what the eye sees."""
    errors: dict[str, Tensor] = {}
    for name in ("face", *PARTS):
        guide = refined.guides[name]
        truth = guide[:, 2:] * refined.truth[name]
        # The seams of teeth that the warp paints are none of the person's detail.
        own = 1.0 - guide[:, :1] if name == "mouth" else 1.0
        for label, pictures in (("", refined.result), ("warp/", refined.warp)):
            result = guide[:, 2:] * pictures[name].clamp(0.0, 1.0)
            seen = _looked_at(name, guide, result, truth)
            errors[f"{label}{name}/l1"] = (seen[0] - seen[1]).abs().mean(dim=(1, 2, 3))
            errors[f"{label}{name}/perceptual"] = perceptual(*seen)
            strengths = [(own * detail(picture).square()).mean(dim=(1, 2, 3)) for picture in (result, truth)]
            errors[f"{label}{name}/detail"] = strengths[0] / (strengths[1] + 1e-9)
    return errors
