"""Other people's networks without their weights: a random MODNet, a small module with LaMa's signature."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avatarkit.background.lama import LaMaInpainter
from avatarkit.background.modnet import MODNetMatting
from avatarkit.background.modnet_net import MODNet


class MeanFill(torch.nn.Module):
    """LaMa's signature and conditions; fills the hole with the mean of what is known."""

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


@pytest.fixture(scope="session")
def lama_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lama") / "mean-fill.pt"
    torch.jit.script(MeanFill()).save(str(path))
    return path


@pytest.fixture(scope="session")
def lama(lama_path: Path) -> LaMaInpainter:
    return LaMaInpainter.from_file(lama_path)


@pytest.fixture(scope="session")
def modnet() -> MODNetMatting:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODNetMatting(MODNet())
