"""Each stage with the real networks of `tiny-64`: what trains moves, what is frozen does not, all losses arrive."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic_heads import photo_data, video_data
from torch import nn

from avatarkit.runtime import NullProgress
from avatarkit.training.checkpoint import open_checkpoint
from avatarkit.training.config import TrainConfig
from avatarkit.training.feed import fixed_batches
from avatarkit.training.hardware import open_accelerator
from avatarkit.training.loop import Origin, RunOptions, Trainer
from avatarkit.training.presets import preset
from avatarkit.training.recipes import RECIPES, Ingredients
from avatarkit.training.resolve import resolve
from avatarkit.training.sources import TrainData
from avatarkit.training.stages.frames import prepared
from avatarkit.training.stages.perceptual import Perceptual

STAGES = list(RECIPES)
QUIET = ("pictures_every=0", "validate_every=0", "milestone_every=0", "checkpoint_every=0", "batch=2", "steps=4")


def configured(stage: str, *sets: str) -> TrainConfig:
    config = resolve(preset(stage, "tiny-64"), None, [*QUIET, *sets])
    return replace(config, avatars=("clip-0", "clip-1")) if stage == "student" else config  # type: ignore[call-arg]


def trainer_of(out: Path, config: TrainConfig, stop: int | None = None, data: TrainData | None = None) -> Trainer:
    data = data or (photo_data() if config.stage == "enhancer" else video_data())
    accelerator = open_accelerator("cpu", config)
    stage = RECIPES[config.stage].make(config, Ingredients({}, data, Perceptual({})))
    origin = Origin(RECIPES[config.stage].describe(config.preset, stage), {}, {}, {})
    return Trainer(stage, config, data, origin, accelerator, RunOptions(out, stop_at_step=stop), NullProgress())


def copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("stage", STAGES)
def test_one_step_changes_all_that_trains_and_nothing_frozen(stage: str, tmp_path: Path) -> None:
    # Without decay, which would change a weight that gets no gradient.
    looks = ("log_every=1", "pictures_every=2", "validate_every=2", "validation_samples=2")
    trainer = trainer_of(tmp_path, configured(stage, *looks, "optim.weight_decay=0", "optim.clip_norm=0"), stop=1)
    before = copied(trainer.stage)
    adversary = trainer.stage.adversary
    judged = copied(adversary.discriminator) if adversary is not None else {}
    figures = trainer.run().figures
    after = copied(trainer.stage)
    trained = {name for name in before if name.startswith("nets.")}
    assert trained
    assert [name for name in trained if torch.equal(before[name], after[name])] == []
    assert [name for name in before.keys() - trained if not torch.equal(before[name], after[name])] == []
    if adversary is not None:
        now = copied(adversary.discriminator)
        unmoved = [name for name in now if torch.equal(judged[name], now[name])]
        # As long as no logit leaves the hinge's margin, real and fake pull at the last bias with equal strength.
        assert [name for name in unmoved if not name.endswith("judge.bias")] == []
    check_what_is_told(trainer, figures, tmp_path)


def check_what_is_told(trainer: Trainer, figures: dict[str, float], out: Path) -> None:
    """Every loss with a weight arrives, and there are figures of validation and a picture."""
    weights = {name: weight for name, weight in trainer.config.weights.items() if weight}
    assert weights.keys() <= figures.keys()
    total = sum(weight * figures[name] for name, weight in weights.items())
    assert figures["total"] == pytest.approx(total, rel=1e-4)
    kind = "validation-on-train" if trainer.config.stage == "enhancer" else "validation"
    assert any(name.startswith(kind + "/") for name in figures)
    assert [path.name for path in (out / "pictures").iterdir()] == ["images-000000002.png"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_batch_may_be_cut_at_will(stage: str, tmp_path: Path) -> None:
    """Losses are means over samples, so processes and passes can share a batch."""
    found = []
    for size in (2, 1):
        trained = trainer_of(tmp_path, configured(stage, "augment=false")).stage.double().train()
        data = photo_data() if stage == "enhancer" else video_data()
        for batch in fixed_batches(data.train, 2, size, partner=data.partner):
            outcome = trained(in_double(prepared(batch)))
            pictures = sum(fake.mean() for fake, _ in outcome["fakes"].values())
            ((sum(outcome["terms"].values()) + pictures) * size / 2).backward()
        found.append(torch.cat([parameter.grad.flatten() for parameter in trained.nets.parameters()]))
    # In double precision, since steep nets make single precision's rounding large.
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


def in_double(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_double(item) for key, item in value.items()}
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def test_resuming_real_networks_is_exact(tmp_path: Path) -> None:
    stage = "base"
    trainer_of(tmp_path / "two", configured(stage), stop=1).run()
    resumed = trainer_of(tmp_path / "two", configured(stage), stop=2)
    resumed.restore(open_checkpoint(tmp_path / "two"))
    resumed.run()
    straight = trainer_of(tmp_path / "straight", configured(stage), stop=2)
    straight.run()
    one, other = straight.stage.state_dict(), resumed.stage.state_dict()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_base_learns_from_foreground_only(tmp_path: Path) -> None:
    stage = trainer_of(tmp_path, configured("base", "augment=false", "loss.cycle=0", "loss.pixel=1")).stage
    (batch,) = fixed_batches(video_data().train, 2, 2)
    with torch.no_grad():
        ((fake, real),) = stage(batch)["fakes"].values()
    matte = batch["driver"]["matte"].float() / 255
    for picture in (fake, real):
        assert (picture[(matte == 0).expand_as(picture)] == 0).all()
    assert fake.abs().sum() > 0


def test_student_never_learns_from_a_driver_of_the_same_person(tmp_path: Path) -> None:
    trainer = trainer_of(tmp_path, configured("student"))
    stage = trainer.stage
    people = [identity for _, identity in video_data().clips]
    for batch in fixed_batches(video_data().train, 24, 4):
        shown = prepared(batch)
        avatar, driver = stage._cross(shown, batch["positions"])
        for row, number in enumerate(avatar.tolist()):
            own = torch.equal(driver["image"][row], shown["driver"]["image"][row])
            clip = shown["clip" if own else "other_clip"][row]
            assert people[int(clip)] != f"person-{number}"


def test_student_keeps_its_teacher_in_evaluation_mode(tmp_path: Path) -> None:
    stage = trainer_of(tmp_path, configured("student")).stage.train()
    assert stage.nets.training
    assert not any(module.training for module in stage.teacher.modules())


def test_cycle_needs_nothing_of_the_pixels(tmp_path: Path) -> None:
    sets = [f"loss.{name}=0" for name in ("pixel", "adversarial", "feature_matching")]
    trainer = trainer_of(tmp_path, configured("base", *sets, "loss.cycle=1", "log_every=1"), stop=1)
    figures = trainer.run().figures
    assert figures["cycle"] == figures["total"] > 0
    assert trainer.stage.adversary is None
