"""Colour jitter of batches: one linear change of colours per sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avatarkit.devices import constant

__all__ = ["DRIVER_COLORS", "PAIR_COLORS", "ColorStrength", "change_colors", "color_change"]

DRAWS = 7
"""Numbers that one sample's change takes."""

_LUMA = (0.299, 0.587, 0.114)
# NTSC's YIQ: lightness, and two axes of colour in whose plane a hue is an angle.
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
_FROM_YIQ = np.linalg.inv(_YIQ).tolist()


@dataclass(frozen=True)
class ColorStrength:
    """How far colours may change, each to either side.

    brightness, contrast, saturation, gain: as shares of what they are; gain is each colour's own.
    hue_turns: in turns of the colour circle.
    """

    brightness: float
    contrast: float
    saturation: float
    gain: float
    hue_turns: float


PAIR_COLORS = ColorStrength(brightness=0.15, contrast=0.15, saturation=0.2, gain=0.05, hue_turns=0.02)
"""Of both frames of a pair: another camera (choice)."""
DRIVER_COLORS = ColorStrength(brightness=0.4, contrast=0.4, saturation=0.7, gain=0.25, hue_turns=0.1)
"""Of what the expression encoder sees: colours must not tell it who it is (choice)."""


def color_change(draws: Tensor, strength: ColorStrength) -> tuple[Tensor, Tensor]:
    """Matrices (B, 3, 3) and offsets (B, 3) of colours, from draws (B, 7) in [0, 1); 0.5 changes nothing."""
    signed = 2 * draws - 1
    brightness = 1 + strength.brightness * signed[:, 0]
    contrast = 1 + strength.contrast * signed[:, 1]
    saturation = (1 + strength.saturation * signed[:, 2])[:, None, None]
    angle = 2 * math.pi * strength.hue_turns * signed[:, 3]
    gains = torch.diag_embed(1 + strength.gain * signed[:, 4:7])
    grey = constant(_LUMA, draws).expand(3, 3)
    dull = saturation * torch.eye(3, dtype=draws.dtype, device=draws.device) + (1 - saturation) * grey
    # About mid grey, not about a picture's own mean: two frames of a pair must change alike.
    matrix = (brightness * contrast)[:, None, None] * (_hue(angle) @ dull @ gains)
    return matrix, (brightness * (1 - contrast) / 2)[:, None].expand(-1, 3)


def change_colors(image: Tensor, change: tuple[Tensor, Tensor]) -> Tensor:
    """Colours of B x 3 x H x W pictures in [0, 1] changed by `color_change`, cut to [0, 1]."""
    matrix, offset = change
    changed = torch.einsum("bij,bjhw->bihw", matrix, image) + offset[:, :, None, None]
    return changed.clamp(0, 1)


def _hue(angle: Tensor) -> Tensor:
    """Turns of the colour circle, (B, 3, 3); greys stay."""
    to_yiq, back = constant(_YIQ, angle), constant(_FROM_YIQ, angle)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    item, zero = torch.ones_like(angle), torch.zeros_like(angle)
    rows = (item, zero, zero, zero, cosine, -sine, zero, sine, cosine)
    turn = torch.stack(rows, dim=1).reshape(-1, 3, 3)
    turned: Tensor = back @ turn @ to_yiq
    return turned
