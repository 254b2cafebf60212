"""Each stage with the real networks of `tiny-64`: what trains moves, what is frozen does not, all losses arrive."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from real_stages import configured, stage_trainer, train_stage
from synthetic_heads import photo_data, video_data
from torch import nn
from toy_stage import tensors_of

from avatarkit.checkpoint import list_checkpoints, open_checkpoint
from avatarkit.systems import registry
from avatarkit.systems.megaportraits.base import Base, Driven, SourceCode
from avatarkit.systems.megaportraits.load import load_base, load_pose
from avatarkit.systems.megaportraits.stages.drive import motion_code
from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.training.feed import fixed_batches
from avatarkit.training.loop import Trainer

STAGES = [stage.name for stage in registry.systems()["megaportraits"].stages]


def copied(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}


@pytest.mark.parametrize("stage", STAGES)
def test_one_step_changes_all_that_trains_and_nothing_frozen(stage: str, tmp_path: Path) -> None:
    # Without decay, which would change a weight that gets no gradient.
    looks = ("log_every=1", "pictures_every=2", "validate_every=2", "validation_samples=2")
    trainer = stage_trainer(tmp_path, configured(stage, *looks, "optim.weight_decay=0", "optim.clip_norm=0"), stop=1)
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


def test_base_goes_by_the_pose_net_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its estimates stand for the tracker's poses in both warps; it is kept in the checkpoint, and never trained."""
    train_stage(tmp_path / "pose", configured("pose"), 2)
    parents = {"pose": open_checkpoint(tmp_path / "pose")}
    pose_net = load_pose(parents["pose"])
    trainer = stage_trainer(tmp_path / "base", configured("base", "augment=false"), stop=1, parents=parents)
    heads: list[torch.Tensor] = []
    encode, drive = Base.encode_source, Base.drive
    monkeypatch.setattr(Base, "encode_source", lambda self, *a: (heads.append(a[1]), encode(self, *a))[1])
    monkeypatch.setattr(Base, "drive", lambda self, *a: (heads.append(a[1]), drive(self, *a))[1])
    batch = next(iter(fixed_batches(video_data().train, 2, 2)))
    trainer.stage(batch)
    for name, used in zip(("source", "driver"), heads, strict=False):
        estimates = pose_net(prepared(batch)[name]["image"]).head()
        torch.testing.assert_close(used, estimates, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(estimates, batch[name]["head"], atol=1e-2)
    trainer.run()
    kept = load_base(open_checkpoint(tmp_path / "base")).pose_net
    assert kept is not None
    for name, value in pose_net.state_dict().items():
        assert torch.equal(kept.state_dict()[name], value)


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
    data = photo_data() if stage == "enhancer" else video_data()
    trained = stage_trainer(tmp_path, configured(stage, "augment=false")).stage.double().train()
    found = []
    for size in (2, 1):
        trained.zero_grad()
        for batch in fixed_batches(data.train, 2, size):
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


@pytest.mark.parametrize("stage", ["base", "enhancer", "student"])
def test_resuming_real_networks_is_exact(stage: str, tmp_path: Path) -> None:
    """Two steps, an end and two more are four steps: weights, averages, discriminator, moments."""
    config = configured(stage, "batch=1", "checkpoint_every=2")
    train_stage(tmp_path / "straight", config, 4)
    shutil.copytree(tmp_path / "straight", tmp_path / "two")
    shutil.rmtree(list_checkpoints(tmp_path / "two")[-1])
    resumed = stage_trainer(tmp_path / "two", config, 4)
    assert resumed.step == 2
    assert resumed.run().steps_here == 2
    one, other = tensors_of(tmp_path / "straight"), tensors_of(tmp_path / "two")
    assert {name.partition(":")[0] for name in one} == {stage, f"{stage}.ema", "discriminator", "trainer"}
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def test_base_learns_from_foreground_only(tmp_path: Path) -> None:
    stage = stage_trainer(tmp_path, configured("base", "augment=false", "loss.cycle=0", "loss.pixel=1")).stage
    (batch,) = fixed_batches(video_data().train, 2, 2)
    with torch.no_grad():
        ((fake, real),) = stage(batch)["fakes"].values()
    matte = batch["driver"]["matte"].float() / 255
    for picture in (fake, real):
        assert (picture[(matte == 0).expand_as(picture)] == 0).all()
    assert fake.abs().sum() > 0


def test_student_encodes_its_avatars_once_and_never_learns_from_a_driver_of_the_same_person(tmp_path: Path) -> None:
    stage = stage_trainer(tmp_path, configured("student")).stage
    people = [identity for _, identity in video_data().clips]
    runs: list[int] = []
    stage.teacher.base.g3d.register_forward_hook(lambda net, inputs, output: runs.append(len(output)))
    for batch in fixed_batches(video_data().train, 24, 4):
        shown = prepared(batch)
        avatar, driver = stage._cross(shown, batch["positions"])
        for row, number in enumerate(avatar.tolist()):
            own = torch.equal(driver["image"][row], shown["driver"]["image"][row])
            clip = shown["clip" if own else "other_clip"][row]
            assert people[int(clip)] != f"person-{number}"
        assert torch.isfinite(stage._target(avatar, driver, 64)).all()
    assert runs == [2]  # both avatars, before the first batch
    assert {name: len(tensor) for name, tensor in stage.once(driver["image"]).items()} == {
        "volume": 2, "descriptor": 2, "grid": 2,
    }  # fmt: skip


def test_student_keeps_its_teacher_in_evaluation_mode(tmp_path: Path) -> None:
    stage = stage_trainer(tmp_path, configured("student")).stage.train()
    assert stage.nets.training
    assert not any(module.training for module in stage.teacher.modules())


def test_cycle_needs_nothing_of_the_pixels(tmp_path: Path) -> None:
    sets = [f"loss.{name}=0" for name in ("pixel", "adversarial", "feature_matching", "background", "expression")]
    trainer = stage_trainer(tmp_path, configured("base", *sets, "loss.cycle=1", "log_every=1"), stop=1)
    figures = trainer.run().figures
    assert figures["cycle"] == figures["total"] > 0
    assert trainer.stage.adversary is None


def drawn_by(base: Base, monkeypatch: pytest.MonkeyPatch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """What is asked of the base model from now on: head transforms, and the pictures that it draws."""
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []
    drive = base.drive

    def kept(source: SourceCode, head: torch.Tensor, z: torch.Tensor) -> Driven:
        driven = drive(source, head, z)
        asked.append((head, driven.image))
        return driven

    monkeypatch.setattr(base, "drive", kept)
    return asked


def cycle_of(taught: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """The base model, frames and prediction of a cycle loss after its backward pass, and what it asked to be drawn."""
    stage = stage_trainer(tmp_path, configured("base", "augment=false", f"cycle_trains={taught}")).stage
    batch = next(fixed_batches(video_data().train, 2, 2))
    shown, base = prepared(batch), stage.nets["base"]
    predicted = torch.rand_like(shown["driver"]["image"]).requires_grad_()
    z_d = stage._driver_code(base, shown["driver"], batch["positions"], "driver")
    asked = drawn_by(base, monkeypatch)
    z_s = motion_code(base, shown["source"]["image"], shown["source"]["head"])
    stage._cycle(base, shown, predicted, z_s, z_d, batch["positions"]).backward()
    assert all(parameter.grad is not None for parameter in base.expression_encoder.parameters())
    return base, shown, predicted, asked


def test_published_cycle_sees_the_drivers_matte_and_teaches_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, shown, predicted, asked = cycle_of("all", tmp_path, monkeypatch)
    assert [torch.equal(head, shown["driver"]["head"]) for head, _ in asked] == [True]
    assert all(parameter.grad is not None for parameter in base.g2d.parameters())
    assert predicted.grad is not None
    outside = (shown["driver"]["matte"] == 0).expand_as(predicted)
    assert outside.any()
    assert (predicted.grad[outside] == 0).all()
    assert predicted.grad.abs().sum() > 0


def test_cycle_of_the_encoder_alone_draws_the_other_person_in_its_own_pose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, shown, predicted, asked = cycle_of("encoder", tmp_path, monkeypatch)
    assert not torch.equal(shown["other_source"]["head"], shown["driver"]["head"])
    assert [torch.equal(head, shown["other_source"]["head"]) for head, _ in asked] == [True]
    assert not any(image.requires_grad for _, image in asked)
    assert predicted.grad is None
    untaught = (base.appearance, base.warp_source, base.warp_driver, base.g3d, base.projection, base.g2d)
    assert all(parameter.grad is None for net in untaught for parameter in net.parameters())
