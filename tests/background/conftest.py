"""Other people's networks without their weights: a random MODNet, a small module with LaMa's signature.

Torch is imported by the fixtures: the other methods are also tested where it is not installed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from avatarkit.background.lama import LaMaInpainter
from avatarkit.background.modnet import MODNetMatting


@pytest.fixture(scope="session")
def lama_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    from .mean_fill import MeanFill

    path = tmp_path_factory.mktemp("lama") / "mean-fill.pt"
    torch.jit.script(MeanFill()).save(str(path))
    return path


@pytest.fixture(scope="session")
def lama(lama_path: Path) -> LaMaInpainter:
    return LaMaInpainter.from_file(lama_path)


@pytest.fixture(scope="session")
def modnet() -> MODNetMatting:
    torch = pytest.importorskip("torch")
    from avatarkit.background.modnet_net import MODNet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODNetMatting(MODNet())
