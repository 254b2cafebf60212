"""Other people's networks without their weights: a random MODNet, a small module with LaMa's signature.

Torch is imported by the fixtures: the other methods are also tested where it is not installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from avatarkit.background.lama import LaMaInpainter
from avatarkit.background.modnet import MODNetMatting
from avatarkit.background.multiclass_matting import MulticlassMatting
from avatarkit.weights import cache, load, lock

SHARED = Path(os.environ.get("AVATARKIT_SHARED") or Path(__file__).resolve().parents[3] / "shared")
MULTICLASS = "selfie-multiclass"
# Where the weights are in the cache, their tests do not need ../shared.
needs_multiclass = () if load.present(MULTICLASS) else (pytest.mark.media,)


@pytest.fixture(scope="session")
def multiclass_path() -> Path:
    """MediaPipe's multi-class segmenter: from the weights' cache, else from ../shared; skips where it is in neither."""
    weight = lock.get(MULTICLASS)
    path = cache.path_of(weight) if load.present(MULTICLASS) else SHARED / "weights" / weight.file
    if not path.is_file():
        pytest.skip(f"no multi-class segmenter: avatarkit weights fetch {MULTICLASS}")
    return path


@pytest.fixture(scope="session")
def multiclass(multiclass_path: Path) -> MulticlassMatting:
    return MulticlassMatting.from_file(multiclass_path)


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
