"""What is passed to what in the stages: wrong wiring trains without an error, and for weeks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from real_stages import configured, stage_trainer
from synthetic_heads import photo_data, video_data
from torch import Tensor

from avatarkit.head.expression import NUMBERS, expression_numbers
from avatarkit.head.regions import region_weights
from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.systems.megaportraits.base import Base
from avatarkit.systems.megaportraits.stages import base as base_stage
from avatarkit.systems.megaportraits.stages import enhancer as enhancer_stage
from avatarkit.systems.megaportraits.stages.drive import encode, motion_code
from avatarkit.systems.megaportraits.stages.frames import prepared
from avatarkit.training.feed import fixed_batches
from avatarkit.training.figures import l1
from avatarkit.training.logs import read_log
from avatarkit.training.loop import Trainer


def first_batch() -> dict[str, Any]:
    return next(fixed_batches(video_data().train, 2, 2))


def base_of(tmp_path: Path, *sets: str) -> Any:
    """The stage of the base model in double precision, so that equal means equal."""
    return stage_trainer(tmp_path, configured("base", "augment=false", *sets)).stage.double()


def in_double(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_double(item) for key, item in value.items()}
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


@pytest.mark.parametrize("taught", ["encoder", "all"])
def test_cycle_draws_codes_to_the_driver_and_away_from_another_person(
    taught: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = base_of(tmp_path, f"cycle_trains={taught}", "cycle_negatives=people")
    base: Base = stage.nets["base"]
    shown = in_double(prepared(first_batch()))
    seen: dict[str, Any] = {}

    def keep(positives: Any, negatives: Any, **rest: Any) -> Tensor:
        seen.update(positives=positives, negatives=negatives)
        return torch.zeros(())

    monkeypatch.setattr(base_stage, "cycle_loss", keep)
    z_d = motion_code(base, shown["driver"]["image"], shown["driver"]["head"])
    predicted = torch.rand_like(shown["driver"]["image"])
    z_s = motion_code(base, shown["source"]["image"], shown["source"]["head"])
    stage._cycle(base, shown, predicted, z_s, z_d, first_batch()["positions"])
    other = motion_code(base, shown["other_driver"]["image"], shown["other_driver"]["head"])
    assert len(seen["positives"]) == len(seen["negatives"]) == 2
    for (z, wanted), (z_again, unwanted) in zip(seen["positives"], seen["negatives"], strict=True):
        torch.testing.assert_close(z_again, z)
        torch.testing.assert_close(wanted, z_d)
        torch.testing.assert_close(unwanted, other)
        assert not torch.allclose(z, z_d)
    if taught == "encoder":
        whose = shown["other_source"]
        crossed = base.drive(encode(base, whose), whose["head"], z_d).image
        torch.testing.assert_close(seen["positives"][1][0], motion_code(base, crossed, whose["head"]))
    sources = (shown["source"], shown["other_source"])
    for frame in sources:  # neither source's own code is the other person's driver
        assert not torch.allclose(motion_code(base, frame["image"], frame["head"]), other)


def test_both_negatives_add_each_sources_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = base_of(tmp_path, "cycle_negatives=both", "loss.cycle=1", "cycle_from=0")
    base: Base = stage.nets["base"]
    batch = in_double(prepared(first_batch()))
    seen: dict[str, Any] = {}

    def keep(positives: Any, negatives: Any, **rest: Any) -> Tensor:
        seen.update(positives=positives, negatives=negatives)
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(base_stage, "cycle_loss", keep)
    stage(batch)
    (z_sd, z_d), (z_cross, _) = seen["positives"]
    assert [z is wanted for (z, _), wanted in zip(seen["negatives"], (z_sd, z_cross, z_sd, z_cross), strict=True)] == [
        True
    ] * 4
    for (_, unwanted), name in zip(seen["negatives"][2:], ("source", "other_source"), strict=True):
        torch.testing.assert_close(unwanted, motion_code(base, batch[name]["image"], batch[name]["head"]))
        assert not unwanted.requires_grad
    torch.testing.assert_close(z_d, motion_code(base, batch["driver"]["image"], batch["driver"]["head"]))


def test_cycle_begins_when_it_is_told_to(tmp_path: Path) -> None:
    sets = ("loss.cycle=2", "cycle_from=1", "cycle_ramp=3", "log_every=1", "steps=6")
    config = configured("base", *sets)
    assert [config.weights_at(step)["cycle"] for step in range(7)] == [0, 0.5, 1, 1.5, 2, 2, 2]
    trainer = stage_trainer(tmp_path, config, stop=2)
    trainer.run()
    lines = [line for line in read_log(tmp_path) if line["kind"] == "train"]
    assert "cycle" not in lines[0]
    first = lines[1]
    weighted = sum(config.weights_at(1).get(name, 0) * value for name, value in first.items() if name in config.weights)
    assert first["total"] == pytest.approx(weighted, rel=1e-4)


def test_codes_are_read_against_their_own_frames_landmarks(tmp_path: Path) -> None:
    stage = base_of(tmp_path, "loss.cycle=0", "loss.expression=1")
    base: Base = stage.nets["base"]
    batch = in_double(prepared(first_batch()))
    errors = []
    draw = torch.Generator().manual_seed(0)
    for name in ("source", "driver", "other_source", "other_driver"):
        # Drawn heads have one face: others tell whose landmarks are read.
        batch[name]["landmarks"] = batch[name]["landmarks"] + torch.randn(2, 478, 3, generator=draw)
        z = motion_code(base, batch[name]["image"], batch[name]["head"])
        wanted = expression_numbers(batch[name]["landmarks"], batch[name]["head"], 64)
        errors.append((z[:, : len(NUMBERS)] - wanted).abs().mean())
    torch.testing.assert_close(stage(batch)["terms"]["expression"], sum(errors) / 4)


def test_background_is_black_outside_the_drivers_matte(tmp_path: Path) -> None:
    stage = base_of(tmp_path, "loss.cycle=0", "loss.background=1")
    base: Base = stage.nets["base"]
    batch = in_double(prepared(first_batch()))
    driver = batch["driver"]
    z_d = motion_code(base, driver["image"], driver["head"])
    drawn = base.drive(encode(base, batch["source"]), driver["head"], z_d).image
    torch.testing.assert_close(stage(batch)["terms"]["background"], (drawn * (1 - driver["matte"])).mean())


def test_each_net_gets_its_own_frames_pose_and_landmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = base_of(tmp_path, "loss.cycle=0")
    base: Base = stage.nets["base"]
    batch = in_double(prepared(first_batch()))
    source, driver = batch["source"], batch["driver"]
    z_s = motion_code(base, source["image"], source["head"])
    z_d = motion_code(base, driver["image"], driver["head"])
    given: dict[str, Any] = {}
    encode, drive = base.encode_source, base.drive

    def kept_encode(image: Tensor, head: Tensor, z: Tensor) -> Any:
        given.update(image=image, source_head=head, source_z=z)
        return encode(image, head, z)

    def kept_drive(code: Any, head: Tensor, z: Tensor) -> Any:
        given.update(driver_head=head, driver_z=z)
        return drive(code, head, z)

    monkeypatch.setattr(base, "encode_source", kept_encode)
    monkeypatch.setattr(base, "drive", kept_drive)
    stage(batch)
    for name, wanted in (
        ("image", source["image"] * source["matte"]), ("source_head", source["head"]), ("source_z", z_s),
        ("driver_head", driver["head"]), ("driver_z", z_d),
    ):  # fmt: skip
        torch.testing.assert_close(given[name], wanted, msg=name)
    assert not torch.allclose(source["head"], driver["head"])
    assert not torch.allclose(z_s, z_d)


def test_both_warp_generators_get_the_code_and_the_descriptor(tmp_path: Path) -> None:
    stage = base_of(tmp_path, "loss.cycle=0")
    base: Base = stage.nets["base"]
    codes: dict[str, Tensor] = {}
    base.warp_source.register_forward_hook(lambda net, inputs, out: codes.update(source=inputs[0]))
    base.warp_driver.register_forward_hook(lambda net, inputs, out: codes.update(driver=inputs[0]))
    batch = in_double(prepared(first_batch()))
    stage(batch)
    descriptor = base.appearance.overall(batch["source"]["image"] * batch["source"]["matte"])
    for name in ("source", "driver"):
        z = motion_code(base, batch[name]["image"], batch[name]["head"])
        torch.testing.assert_close(codes[name], z + descriptor)


def test_pixels_and_features_see_the_drivers_foreground_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = base_of(tmp_path, "loss.cycle=0", "loss.pixel=1", "mouth=3", "eyes=2")
    seen: dict[str, Any] = {}
    pixel_loss = base_stage.pixel_loss

    def kept_pixels(predicted: Tensor, target: Tensor, matte: Tensor, weights: Tensor) -> Tensor:
        seen.update(pixel=matte, weights=weights)
        return pixel_loss(predicted, target, matte, weights=weights)

    def kept_features(
        predicted: Tensor, target: Tensor, matte: Tensor, landmarks: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        seen.update(features=matte, target=target, landmarks=landmarks, feature_weights=weights)
        return {}

    monkeypatch.setattr(base_stage, "pixel_loss", kept_pixels)
    monkeypatch.setattr(stage.perceptual, "forward", kept_features)
    batch = in_double(prepared(first_batch()))
    stage(batch)
    driver = batch["driver"]
    for name, wanted in (("pixel", "matte"), ("features", "matte"), ("target", "image"), ("landmarks", "landmarks")):
        assert torch.equal(seen[name], driver[wanted]), name
    torch.testing.assert_close(seen["weights"].float(), region_weights(driver["landmarks"], 64, 64, 3, 2))
    assert seen["feature_weights"] is seen["weights"]
    assert seen["weights"].max() > 1


def test_driver_is_augmented_for_its_code_in_training_alone(tmp_path: Path) -> None:
    batch = prepared(first_batch())
    driver, positions = batch["driver"], batch["positions"]
    codes = {}
    for augment in ("true", "false"):
        stage = stage_trainer(tmp_path / augment, configured("base", f"augment={augment}")).stage
        base = stage.nets["base"]
        codes[augment] = stage._driver_code(base, driver, positions, "driver")
        plain = motion_code(base, driver["image"], driver["head"])
        assert torch.allclose(codes[augment], plain) == (augment == "false")


def test_discriminator_is_taught_which_picture_is_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = stage_trainer(tmp_path, configured("base", "loss.cycle=0", "loss.adversarial=1", "augment=false"), stop=1)
    taught: dict[str, Tensor] = {}
    teach = AdversarialLoss.teach

    def kept(self: AdversarialLoss, fake: Tensor, real: Tensor, **rest: Any) -> dict[str, Tensor]:
        taught.update(fake=fake, real=real)
        return teach(self, fake, real, **rest)

    monkeypatch.setattr(AdversarialLoss, "teach", kept)
    trainer.run()
    driver = prepared(next(fixed_batches(video_data().train, 2, 2)))["driver"]
    torch.testing.assert_close(taught["real"], driver["image"] * driver["matte"])
    assert not torch.allclose(taught["fake"], taught["real"])


def test_both_optimisers_follow_the_schedule(tmp_path: Path) -> None:
    trainer = stage_trainer(tmp_path, configured("base", "loss.adversarial=1", "steps=4", "loss.cycle=0"), stop=3)
    trainer.run()
    rates = {name: {group["lr"] for group in optimiser.param_groups} for name, optimiser in trainer.optimisers.items()}
    assert rates["nets"] == rates["discriminator"]
    (rate,) = rates["nets"]
    assert rate < 0.6 * trainer.config.optim.lr


def test_pictures_and_figures_are_those_of_the_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = ("pictures_every=2", "validate_every=2", "validation_samples=2", "ema=0.5", "loss.cycle=0")
    trainer: Trainer = stage_trainer(tmp_path, configured("base", *looks), stop=1)
    shown: list[Any] = []
    for name in ("pictures", "measure"):
        method = getattr(trainer.stage, name)
        monkeypatch.setattr(
            trainer.stage, name, lambda batch, nets, method=method: (shown.append(nets), method(batch, nets))[1]
        )
    trainer.run()
    assert trainer.ema is not None
    assert len(shown) == 2
    assert all(nets is trainer.ema.nets for nets in shown)


def test_pose_is_learned_free_of_scale(tmp_path: Path) -> None:
    stage = stage_trainer(tmp_path, configured("pose", "augment=false")).stage
    shown = prepared(first_batch())
    heads = torch.cat([shown["source"]["head"], shown["driver"]["head"]])
    scale = torch.linalg.vector_norm(heads[:, :3, :3], dim=1).mean(-1)
    assert (scale - 1).abs().min() > 0.05  # the drawn heads are not of scale 1

    class Knowing(torch.nn.Module):
        def forward(self, image: Tensor) -> Any:
            from avatarkit.systems.megaportraits.pose import PoseEstimate

            return PoseEstimate(heads[:, :3, :3] / scale[:, None, None], heads[:, :3, 3], scale)

    stage.nets["pose"] = Knowing()
    assert all(float(term) < 1e-6 for term in stage(shown)["terms"].values())


def test_collapsed_codes_and_results_below_a_copy_are_told(tmp_path: Path) -> None:
    stage = stage_trainer(tmp_path, configured("base")).stage
    good = {"z_change": 0.01, "other_cosine": 0.9, "face_psnr_db": 25.0, "copy_face_psnr_db": 20.0}
    assert stage.concerns(good, 1.0) == []
    (line,) = stage.concerns({**good, "z_change": 0.00017}, 0.5)
    assert "0.00017" in line
    assert "--set mouth" in line
    (line,) = stage.concerns({**good, "face_psnr_db": 19.0}, 0.5)
    assert "19.0 dB" in line
    assert stage.concerns({**good, "face_psnr_db": 19.0, "z_change": 0.0}, 0.01) == []


def test_validation_tells_what_codes_carry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = base_of(tmp_path)
    base: Base = stage.nets["base"]
    batch = in_double(prepared(first_batch()))
    names = ("source", "driver", "other_driver")
    z = {name: motion_code(base, batch[name]["image"], batch[name]["head"]) for name in names}
    code = encode(base, batch["source"])

    def drawn(pose: str, expression: str) -> Tensor:
        return base.drive(code, batch[pose]["head"], z[expression]).image

    def change(pose: str, expression: str) -> Tensor:
        return l1(drawn("driver", "driver"), drawn(pose, expression), batch["driver"]["matte"])

    figures = stage.measure(batch, stage.nets)
    for name, wanted in {
        "same_cosine": torch.cosine_similarity(z["driver"], z["source"]),
        "other_cosine": torch.cosine_similarity(z["driver"], z["other_driver"]),
        "z_spread": (z["driver"] - z["other_driver"]).square().mean(1).sqrt(),
        "z_change": change("driver", "source"),
        "other_z_change": change("driver", "other_driver"),
        "pose_change": change("source", "driver"),
    }.items():
        torch.testing.assert_close(figures[name].double(), wanted.double(), rtol=1e-4, atol=1e-7, msg=name)


def test_enhancer_learns_from_a_photo_that_nothing_has_blurred(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = stage_trainer(tmp_path, configured("enhancer")).stage
    batch = next(fixed_batches(photo_data().train, 2, 2))
    shown = prepared(batch)
    source, driver, other = stage._views(batch)
    assert torch.equal(driver["image"], shown["image"])
    assert torch.equal(other["image"], shown["partner"]["image"])
    assert not torch.allclose(source["image"], shown["image"], atol=0.02)
    seen: dict[str, Any] = {}

    def kept(low: Tensor, sharp: Tensor, matte: Tensor) -> Tensor:
        seen.update(matte=matte, low=low)
        return torch.zeros((), requires_grad=True)

    monkeypatch.setattr(enhancer_stage, "downsampled_cycle", kept)
    stage(batch)
    assert seen["matte"].shape[-1] == shown["partner"]["matte"].shape[-1] // 2
    torch.testing.assert_close(seen["matte"].mean(), shown["partner"]["matte"].mean(), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen["low"], stage._driven(source, other))
    assert not torch.allclose(seen["low"], stage._driven(source, driver))


def test_filters_decay_and_norms_biases_and_constants_do_not(tmp_path: Path) -> None:
    stage = stage_trainer(tmp_path, configured("student")).stage
    decays, rest = stage.parameter_groups()
    names = {id(weight): name for name, weight in stage.nets.named_parameters()}
    assert {names[id(weight)].rpartition(".")[2] for weight in decays["params"]} == {"weight"}
    assert rest["weight_decay"] == 0
    others = {names[id(weight)].rpartition(".")[2] for weight in rest["params"]}
    assert {"bias", "identity"} <= others
    assert len(decays["params"]) + len(rest["params"]) == len(names)
