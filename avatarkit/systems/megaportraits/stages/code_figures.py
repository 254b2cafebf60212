"""What the motion codes carry: figures that tell a model that heeds its driver's expression from one that does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from avatarkit.head.regions import EYES, MOUTH, region_mask
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.stages.drive import drive, encode, motion_code
from avatarkit.training.figures import l1

__all__ = ["code_figures", "collapsed"]

LEAST_CHANGE = 0.001
"""Change of the output by another expression below which codes count as collapsed: a quarter of a grey level."""


def code_figures(base: Base, shown: Mapping[str, Any], z_d: Tensor, predicted: Tensor) -> dict[str, Tensor]:
    """Figures per sample, (B,).

    same_cosine, other_cosine: of the driver's code with that of the source, and with that of another person.
    z_spread: RMS difference per component between the driver's code and another person's; z_motion: and the source's.
    z_change: change of the output, L1 inside the driver's matte, when it is drawn with the source's expression;
    other_z_change: with another person's; pose_change: in the source's pose.
    mouth_error, lid_error: L1 between output and driver around mouth and eyes; *_unmoved: when the output has the
    source's expression.

    Args:
        shown: the batch. z_d: code of its drivers. predicted: the output, (B, 3, S, S).
    """
    source, driver, other = shown["source"], shown["driver"], shown["other_driver"]
    z_s = motion_code(base, source["image"], source["head"])
    z_other = motion_code(base, other["image"], other["head"])
    code = encode(base, source, z_s)
    unmoved = drive(base, code, driver, z_s).image
    changed = drive(base, code, driver, z_other).image
    still = drive(base, code, source, z_d).image
    target, matte = driver["image"], driver["matte"]
    result = {
        "same_cosine": F.cosine_similarity(z_d, z_s),
        "other_cosine": F.cosine_similarity(z_d, z_other),
        "z_spread": (z_d - z_other).square().mean(dim=1).sqrt(),
        "z_motion": (z_d - z_s).square().mean(dim=1).sqrt(),
        "z_change": l1(predicted, unmoved, matte),
        "other_z_change": l1(predicted, changed, matte),
        "pose_change": l1(predicted, still, matte),
    }
    for name, parts in (("mouth_error", MOUTH), ("lid_error", EYES)):
        region = region_mask(driver["landmarks"], parts, *target.shape[-2:])
        result[name] = l1(predicted, target, region)
        result[f"{name}_unmoved"] = l1(unmoved, target, region)
    return result


def collapsed(figures: Mapping[str, float]) -> str | None:
    """What is wrong with a run's validation figures and what to do, or None."""
    change = figures.get("z_change")
    if change is None or change >= LEAST_CHANGE:
        return None
    return (
        f"the output hardly heeds the driver's expression: another one changes it by {change:.5f} (usual: more than"
        f" {LEAST_CHANGE}), codes of two people have a cosine of {figures['other_cosine']:.4f}; if this lasts, raise"
        " --set mouth and --set eyes, lower loss.cycle, or begin it later with --set cycle_from"
    )
