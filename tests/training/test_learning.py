"""That expression is learned: a small base model is trained on drawn heads whose mouths open and shut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from real_stages import configured
from torch import Tensor

from avatarkit.face import landmarks as lm
from avatarkit.nets.convs import Style
from avatarkit.nets.resnet import ResNetConfig
from avatarkit.runtime import NullProgress
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.config import BaseConfig, LocalConfig
from avatarkit.systems.megaportraits.stages.base import BaseStage
from avatarkit.systems.megaportraits.stages.perceptual import Perceptual
from avatarkit.training.feed import fixed_batches
from avatarkit.training.hardware import open_accelerator
from avatarkit.training.loop import Origin, RunOptions, Trainer
from avatarkit.training.sources import TrainData

SIZE, SCALE = 32, 1.2
FRAMES = ("source", "driver", "other_source", "other_driver")
MOUTH_Y, MOUTH_HALF, DEPTH = 0.3, 0.125, -0.4


def face(opening: float) -> np.ndarray:
    """Landmarks (478, 3) in canonical coordinates of a face whose inner lips are so far apart."""
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (lm.MESH + 10, 3)) * [1, 1, 0] + [0, 0.1, DEPTH]
    for lips, sign, thick in (
        (lm.INNER_LIP_UPPER, -1, 0.0), (lm.INNER_LIP_LOWER, 1, 0.0),
        (lm.OUTER_LIP_UPPER, -1, 0.03), (lm.OUTER_LIP_LOWER, 1, 0.03),
    ):  # fmt: skip
        along = np.linspace(-1, 1, len(lips))
        points[list(lips), 0] = (MOUTH_HALF + thick) * along
        points[list(lips), 1] = MOUTH_Y + sign * (opening / 2 + thick) * np.sqrt(1 - along**2)
    for side, upper, lower in zip((-1, 1), lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        for lids, sign in ((upper, -1), (lower, 1)):
            along = np.linspace(1, -1, len(lids))
            points[list(lids), 0] = side * (0.16 + 0.07 * along)
            points[list(lids), 1] = -0.08 + sign * 0.021 * (1 - along**2)
    points[list(lm.IRIS_CENTRES), :2] = (-0.16, -0.087), (0.16, -0.087)
    for brow in lm.BROWS:
        points[list(brow), 1] = -0.08 - 0.1445
    return points


def frame(person: int, moment: int) -> dict[str, Tensor]:
    """A head of a person at a moment, in the layout of the dataset."""
    opening, (x0, y0) = (0.02, 0.25)[moment], np.random.default_rng(person).uniform(-0.1, 0.1, 2)
    head = np.diag([SCALE, SCALE, SCALE, 1.0])
    head[:2, 3] = x0, y0
    placed = SCALE * face(opening) + [x0, y0, 0]
    pixels = np.concatenate([((placed[:, :2] + 1) * SIZE - 1) / 2, placed[:, 2:] * SIZE / 2], 1)
    # Drawn at four times the size, so that mouths open by less than a pixel too.
    y, x = np.mgrid[: 4 * SIZE, : 4 * SIZE]
    x, y = (((2 * at + 1) / (4 * SIZE) - 1 - start) / SCALE for at, start in ((x, x0), (y, y0)))
    inside = (x / 0.42) ** 2 + ((y - 0.05) / 0.55) ** 2 < 1
    picture = np.where(inside[..., None], np.random.default_rng(person).uniform(0.4, 0.9, 3), 0.1)
    for eye in (-0.16, 0.16):
        picture[np.hypot(x - eye, y + 0.08) < 0.05] = 0.05
    picture[(x / MOUTH_HALF) ** 2 + ((y - MOUTH_Y) / max(opening / 2, 0.01)) ** 2 < 1] = (0.25, 0.02, 0.02)
    small = picture.reshape(SIZE, 4, SIZE, 4, 3).mean((1, 3))
    matte = inside.reshape(SIZE, 4, SIZE, 4).mean((1, 3))
    return {
        "image": torch.from_numpy((255 * small).astype(np.uint8)).permute(2, 0, 1).contiguous(),
        "matte": torch.from_numpy((255 * matte).astype(np.uint8))[None],
        "landmarks": torch.from_numpy(pixels.astype(np.float32)),
        "head": torch.from_numpy(head.astype(np.float32)),
    }


LOCAL = LocalConfig(stem=8, widths=(12, 16), channels=8, depth=4, blocks=1)
NETS = BaseConfig(
    size=SIZE, side=8, code=32, face_size=24, local=LOCAL,
    global_net=ResNetConfig(width=8, blocks=(1, 1), stem_pool=False),
    expression_net=ResNetConfig(width=12, blocks=(1, 1), stem_pool=False),
    warp_start=24, warp_depth=2, warp_widths=(16,), g3d_widths=(12, 16, 24), projection=32, g2d_blocks=1,
    g2d_widths=(24, 16), style=Style(groups=4, spectral=False),
)  # fmt: skip


class Heads:
    """A shut mouth driven by an open one of the same person in the same pose, or the other way round."""

    def __init__(self) -> None:
        self._frames = {(person, moment): frame(person, moment) for person in (0, 1) for moment in (0, 1)}

    def __len__(self) -> int:
        return 4

    def __getitem__(self, position: int) -> dict[str, Any]:
        person, moment = position // 2 % 2, position % 2
        who = (person, person, 1 - person, 1 - person)
        when = (1 - moment, moment, moment, 1 - moment)
        return {name: self._frames[one] for name, one in zip(FRAMES, zip(who, when, strict=True), strict=True)}


def test_a_drivers_expression_is_learned(tmp_path: Path) -> None:
    sets = ("augment=false", "loss.adversarial=0", "loss.feature_matching=0", "loss.cycle=0", "optim.lr=3e-3")
    config = configured("base", "steps=110", "batch=4", "ema=0.9", *sets)
    torch.manual_seed(0)
    stage = BaseStage(config, Base(NETS), Perceptual({}), None)  # type: ignore[arg-type]
    data, options = TrainData("videos", SIZE, "0" * 64, Heads()), RunOptions(tmp_path)
    trainer = Trainer(
        stage, config, data, Origin({}, {}, {}, {}), open_accelerator("cpu", config), options, NullProgress()
    )
    trainer.run()
    assert trainer.ema is not None
    (batch,) = fixed_batches(Heads(), 4, 4)
    with torch.no_grad():
        figures = stage.measure(batch, trainer.ema.nets)
    # Both are errors to the driver; the second of pictures with the source's expression.
    assert figures["mouth_error"].mean() < 0.75 * figures["mouth_error_unmoved"].mean()
    assert figures["z_change"].min() > 0.01
    assert figures["same_cosine"].max() < 0.9
