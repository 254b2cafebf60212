"""The engine: it draws what training draws, and enlarges a stream as a whole clip would be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_samples import drawn
from torch import nn

from avatarkit.checkpoint import Checkpoint, Meta, write_checkpoint
from avatarkit.errors import AvatarkitError, InputError, UsageError
from avatarkit.head.square import Square
from avatarkit.motion.transfer import DriveFrame
from avatarkit.nets.inference import open_inference
from avatarkit.nets.plain import to_plain
from avatarkit.systems.metaportrait.build import build_enhancer
from avatarkit.systems.metaportrait.config import EnhancerConfig
from avatarkit.systems.metaportrait.engine import PortraitEngine, open_portrait
from avatarkit.systems.metaportrait.portrait import Portrait
from avatarkit.systems.metaportrait.stages.frames import drive, prepared
from avatarkit.systems.options import EngineOptions
from avatarkit.systems.protocol import Drawn

SIZE = 32
WINDOWS = EnhancerConfig(size=SIZE, stem=4, widths=(4, 6), windows=True)


def square(person: int, moment: int) -> Square:
    made = drawn(person, moment, SIZE)
    picture = made["image"].permute(1, 2, 0).numpy().copy()
    return Square(picture, made["landmarks"].numpy(), np.eye(3, dtype=np.float32), np.zeros(3, np.float32), 8.0, moment)


def frame(moment: int, person: int = 0) -> DriveFrame:
    seen = square(person, moment)
    return DriveFrame(seen.pose, seen.landmarks.astype(np.float64), np.ones(2), moment)


def tensors(person: int, moment: int) -> Mapping[str, torch.Tensor]:
    return prepared({name: value[None] for name, value in drawn(person, moment, SIZE).items()})


@pytest.fixture
def engine(portrait: Portrait) -> PortraitEngine:
    with torch.no_grad():  # new nets hardly heed anything
        for parameter in portrait.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    engine = PortraitEngine(portrait, None, open_inference("cpu", "fp32", False), "test")
    engine.prepare_square(square(0, 0))
    return engine


def test_it_draws_what_training_draws(engine: PortraitEngine, portrait: Portrait) -> None:
    with torch.no_grad():
        wanted, _ = drive(portrait, tensors(0, 0), tensors(0, 5))
    ((picture, alpha),) = engine.drive([frame(5)])
    assert alpha is not None
    assert np.abs(picture - 255 * wanted.image[0].permute(1, 2, 0).numpy()).max() < 0.51
    assert np.abs(alpha - 255 * wanted.matte[0, 0].numpy()).max() < 0.51
    still = engine.drive([frame(0)])[0].frame
    assert np.abs(still.astype(int) - picture).max() > 1


def test_frames_of_a_batch_are_drawn_as_alone(engine: PortraitEngine) -> None:
    frames = [frame(moment) for moment in (3, 4, 5)]
    for one, together in zip(frames, engine.drive(frames), strict=True):
        assert np.abs(engine.drive([one])[0].frame.astype(int) - together.frame).max() <= 1


def test_it_must_be_prepared(portrait: Portrait) -> None:
    with pytest.raises(AvatarkitError, match="prepare must be called"):
        PortraitEngine(portrait, None, open_inference("cpu", "fp32", False), "test").drive([frame(1)])


@pytest.mark.parametrize("count", [0, 1, 7, 8, 12, 13, 40])
def test_a_stream_is_enlarged_as_a_whole_clip(portrait: Portrait, count: int) -> None:
    enhancer = build_enhancer(WINDOWS, 0)
    torch.manual_seed(0)
    for window in enhancer.windows:
        nn.init.normal_(window.added.weight, std=0.5)
    engine = PortraitEngine(portrait, enhancer, open_inference("cpu", "fp32", False), "test")
    draw = np.random.default_rng(0)
    pictures = draw.integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)
    alphas = draw.integers(0, 256, (count, SIZE, SIZE), dtype=np.uint8)
    frames = [Drawn(picture, alpha) for picture, alpha in zip(pictures, alphas, strict=True)]
    assert engine.needs.finishing is not None
    result = list(engine.needs.finishing(iter(frames)))
    assert len(result) == count
    if not count:
        return
    low = torch.from_numpy((pictures / 255.0) * (alphas[..., None] / 255.0)).float()
    with torch.no_grad():
        wanted = 255 * enhancer(low.permute(0, 3, 1, 2)[None])[0].clamp(0, 1).permute(0, 2, 3, 1).numpy()
    for one, other in zip(result, wanted, strict=True):
        assert one.frame.shape == (2 * SIZE, 2 * SIZE, 3)
        assert one.alpha is not None
        assert one.alpha.shape == (2 * SIZE, 2 * SIZE)
        assert np.abs(one.frame - other).max() < 0.6


def written(run: Path, stage: str, net: nn.Module) -> Checkpoint:
    name = "enhancer" if stage in ("enhancer", "temporal") else "portrait"
    nets = {name: {"config": to_plain(net.config), "parameters": 1}}  # type: ignore[arg-type]
    meta = Meta(f"metaportrait/{stage}", "mine", 7, 1, {}, nets, {}, {}, {})
    return write_checkpoint(run / stage, meta, {name: dict(net.state_dict())}, ({}, {}))


def test_what_is_opened_and_what_refused(tmp_path: Path, portrait: Portrait) -> None:
    plain, meta = (written(tmp_path, stage, portrait) for stage in ("portrait", "meta"))
    temporal = written(tmp_path, "temporal", build_enhancer(WINDOWS, 0))
    wrong = written(tmp_path, "enhancer", build_enhancer(replace(WINDOWS, size=16, windows=False), 0))

    def opened(*given: Checkpoint, **more: object) -> PortraitEngine:
        checkpoints = {checkpoint.meta.stage: checkpoint for checkpoint in given}
        return open_portrait(EngineOptions(checkpoints, device="cpu", **more))  # type: ignore[arg-type]

    assert opened(plain).needs.drawn_px == SIZE
    assert "meta mine step 7" in opened(meta).name
    both = opened(meta, temporal)
    assert both.needs.drawn_px == 2 * SIZE
    assert both.needs.alpha
    with pytest.raises(UsageError, match="both are portraits; give one"):
        opened(plain, meta)
    with pytest.raises(UsageError, match="needs --checkpoint PORTRAIT"):
        opened(temporal)
    with pytest.raises(InputError, match=r"this enhancer takes 16 px, and .* draws 32"):
        opened(plain, wrong)
    with pytest.raises(UsageError, match="--avatar ann"):
        opened(plain, avatar="ann")
