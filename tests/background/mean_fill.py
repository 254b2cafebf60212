"""A small module with LaMa's signature and conditions."""

from __future__ import annotations

import torch


class MeanFill(torch.nn.Module):
    """Fills the hole with the mean of what is known."""

    def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        assert image.shape[1] == 3
        assert mask.shape[1] == 1
        assert image.shape[2:] == mask.shape[2:]
        assert image.shape[2] % 8 == 0
        assert image.shape[3] % 8 == 0
        assert bool(((image >= 0) & (image <= 1)).all())
        assert bool(((mask == 0) | (mask == 1)).all())
        known = 1 - mask
        count = known.sum(dim=[2, 3], keepdim=True).clamp(min=1.0)
        mean = (image * known).sum(dim=[2, 3], keepdim=True) / count
        return image * known + mean * mask
