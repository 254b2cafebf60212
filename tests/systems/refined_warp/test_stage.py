"""The stage `refine`: pairs become moments, and its checkpoint draws any source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avatarkit.checkpoint import Meta, open_checkpoint, write_checkpoint
from avatarkit.errors import UsageError
from avatarkit.nets.plain import to_plain
from avatarkit.systems import registry
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import SourceLayers
from avatarkit.systems.refined_warp.engine import NET, STAGE, open_refined
from avatarkit.systems.refined_warp.stage import NETS, REFINE, drawn_batch
from avatarkit.training.recipe import Ingredients

from ..conftest import Move


@pytest.fixture(scope="module")
def pairs(source: SourceLayers, move: Move) -> dict[str, dict[str, torch.Tensor]]:
    """Two pairs of the portrait and itself, the driver brighter."""

    def frames(light: int, landmarks: list[np.ndarray]) -> dict[str, torch.Tensor]:
        picture = np.minimum(source.picture.astype(int) + light, 255).astype(np.uint8).transpose(2, 0, 1)
        matte = np.round(255 * source.alpha).astype(np.uint8)[None]
        points = np.stack(landmarks).astype(np.float32)
        two = [torch.from_numpy(np.stack([item, item])) for item in (picture, matte)]
        return {"image": two[0], "matte": two[1], "landmarks": torch.from_numpy(points)}

    moved = [move().landmarks, move(mouth=0.1).landmarks]
    return {"source": frames(0, [source.landmarks] * 2), "driver": frames(40, moved)}


def test_pairs_become_moments(pairs: dict[str, dict[str, torch.Tensor]]) -> None:
    batch = drawn_batch(pairs, NETS["tiny-64"])
    assert batch.extra is not None
    for name, part in batch.parts.items():
        assert part.shape[:2] == (2, 9)
        warp, truth = part[0, :3].float(), part[0, 3:6].float()
        # The first driver stands as the source: what differs is the light.
        assert 25 < float((truth - warp).median()) <= 40
        assert batch.extra[name].shape[:2] == (2, 3)


def test_it_trains_and_its_checkpoint_draws(
    pairs: dict[str, dict[str, torch.Tensor]], source: SourceLayers, move: Move, tmp_path: Path
) -> None:
    recipe = registry.recipe(STAGE)
    config = recipe.preset("tiny-64")
    stage = recipe.make(config, Ingredients({}, None, None))  # type: ignore[arg-type]
    optimiser = torch.optim.Adam(stage.nets.parameters(), lr=3e-3)
    weights = config.weights
    for _ in range(24):
        outcome = stage({"positions": [0, 1], **pairs})
        optimiser.zero_grad()
        torch.stack([weights[name] * term for name, term in outcome["terms"].items()]).sum().backward()
        optimiser.step()
    assert set(outcome["fakes"]) == {"", "eye_"}
    errors = stage.measure(pairs, stage.nets)
    # A mouth's light changes in and near it alone, and most of its patch is skin.
    for part, most in (("mouth", 0.99), ("right_eye", 0.96), ("left_eye", 0.96)):
        assert float(errors[f"{part}_l1"].detach().mean()) < most * float(errors[f"warp_{part}_l1"].mean())

    nets = {NET: {"config": to_plain(NETS["tiny-64"]), "parameters": 1}}
    meta = Meta(STAGE, "tiny-64", 1, 8, {}, nets, {}, {}, {})
    write_checkpoint(tmp_path, meta, {NET: stage.nets[NET].state_dict()}, ({}, {}))
    engine = open_refined(EngineOptions(checkpoints={STAGE: open_checkpoint(tmp_path)}))
    engine.prepare(source)
    ((frame, _),) = engine.drive([move()])
    eye = _box(source.landmarks[[33, 133, 159, 145], :2])
    assert frame[eye].mean() > source.picture[eye].mean() + 1.5


def _box(points: np.ndarray) -> tuple[slice, slice]:
    (left, top), (right, bottom) = points.min(0).astype(int), points.max(0).astype(int) + 1
    return slice(top, bottom), slice(left, right)


def test_without_a_checkpoint_it_is_refused() -> None:
    with pytest.raises(UsageError, match="--checkpoint"):
        open_refined(EngineOptions())


def test_presets_are_counted() -> None:
    counts = {net.net: net.parameters for net in REFINE.count("tiny-64")}
    assert set(counts) == {"face", "mouth", "eye"}
    assert all(count > 10_000 for count in counts.values())
