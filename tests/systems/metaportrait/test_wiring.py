"""What is passed to what in the stages: wrong wiring trains without an error, and for weeks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from drawn_samples import batch_of, lines_of
from torch import Tensor, nn

from avatarkit.head.regions import eyes_mask, mouth_mask
from avatarkit.losses.adversarial import AdversarialLoss
from avatarkit.nets.convs import Conv2d
from avatarkit.nets.discriminator import Discriminator, DiscriminatorConfig
from avatarkit.systems.metaportrait.build import build_enhancer
from avatarkit.systems.metaportrait.config import EnhancerConfig
from avatarkit.systems.metaportrait.flow import Moved, warp
from avatarkit.systems.metaportrait.load import unspectral
from avatarkit.systems.metaportrait.portrait import Driven, Portrait
from avatarkit.systems.metaportrait.stages import flow as flow_stage
from avatarkit.systems.metaportrait.stages import frames as frames_module
from avatarkit.systems.metaportrait.stages.config import (
    EnhancerLoss,
    EnhancerTrain,
    FlowLoss,
    FlowTrain,
    IdentityTrain,
    MetaTrain,
    PortraitLoss,
    PortraitTrain,
)
from avatarkit.systems.metaportrait.stages.enhancer import EnhancerStage
from avatarkit.systems.metaportrait.stages.flow import FlowStage
from avatarkit.systems.metaportrait.stages.frames import each, look
from avatarkit.systems.metaportrait.stages.identity import IdentityStage
from avatarkit.systems.metaportrait.stages.meta import MetaStage
from avatarkit.systems.metaportrait.stages.portrait import PortraitStage
from avatarkit.training.config import OptimConfig

SIZE = 32
PIXEL = PortraitLoss(warp_vgg19=0, vgg19=0, pixel=1, warp_pixel=1, adversarial=0, feature_matching=0)
OPTIM = OptimConfig(weight_decay=0, clip_norm=0)


def as_float(picture: Tensor) -> Tensor:
    return picture.float() / 255


def test_the_flow_sees_source_and_both_landmark_pictures_and_is_held_against_the_driver(
    portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    offset = torch.randn(2, 2, 8, 8)

    class Spy(nn.Module):
        def forward(self, image: Tensor, source: Tensor, driver: Tensor) -> Moved:
            seen.update(image=image, source=source, driver=driver)
            return Moved(offset, torch.zeros(2, 1, 8, 8))

    def keep(predicted: Tensor, target: Tensor, matte: Tensor) -> Tensor:
        seen.update(predicted=predicted, target=target, matte=matte)
        return torch.zeros(())

    def look_at(moved: Tensor, source: Tensor, driver: Tensor, size: int) -> Tensor:
        seen.update(offset=moved, source_points=source, driver_points=driver)
        return torch.zeros(())

    monkeypatch.setattr(flow_stage, "pixel_loss", keep)
    monkeypatch.setattr(flow_stage, "landmark_error", look_at)
    batch = batch_of(2, SIZE)
    stage = FlowStage(FlowTrain(loss=FlowLoss(0, 1, 1), augment=False), Spy(), None)  # type: ignore[arg-type]
    stage(batch)
    source, driver = batch["source"], batch["driver"]
    assert torch.equal(seen["image"], as_float(source["image"]))
    assert torch.equal(seen["source"], as_float(source["lines"][:, 0]))
    assert torch.equal(seen["driver"], as_float(driver["lines"][:, 0]))
    assert torch.equal(seen["predicted"], warp(as_float(source["image"]), offset))
    assert torch.equal(seen["target"], as_float(driver["image"]))
    assert torch.equal(seen["matte"], as_float(driver["matte"]))
    assert seen["offset"] is offset
    assert torch.equal(seen["source_points"], source["landmarks"])
    assert torch.equal(seen["driver_points"], driver["landmarks"])


def test_lines_of_a_frame_turned_over_are_drawn_from_its_landmarks() -> None:
    batch = batch_of(3, SIZE)
    for seed in range(8):
        shown = look(batch, seed)
        for name in ("source", "driver"):
            for points, lines in zip(shown[name]["landmarks"], shown[name]["lines"], strict=True):
                assert torch.equal(lines, torch.from_numpy(lines_of(points.numpy(), SIZE).copy()).float() / 255)
    plain = look(batch, None)["source"]["lines"]
    assert any(not torch.equal(look(batch, seed)["source"]["lines"], plain) for seed in range(4))


def test_all_frames_of_a_sample_are_turned_over_and_coloured_alike() -> None:
    batch = batch_of(2, SIZE, sources=5, window=3)
    same = {name: value[:, :1].expand_as(value).clone() for name, value in batch["source"].items()}
    shown = look({**batch, "source": same}, 3)["source"]
    for name in ("image", "lines", "landmarks"):
        frames = shown[name].view(2, 5, *shown[name].shape[1:])
        torch.testing.assert_close(frames, frames[:, :1].expand_as(frames))
    driver = look(batch, 3)["driver"]
    turned = driver["landmarks"].view(2, 3, 478, 3)[:, 0, 0, 0] != batch["driver"]["landmarks"][:, 0, 0, 0]
    also = shown["landmarks"].view(2, 5, 478, 3)[:, 0, 0, 0] != batch["source"]["landmarks"][:, 0, 0, 0]
    assert torch.equal(turned, also)


def terms_of(portrait: Portrait, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """What the portrait stage passes on, recorded."""
    batch, seen = batch_of(2, SIZE), {}
    encode, drive, identity = portrait.encode_source, portrait.drive, portrait.identity.forward

    def kept_encode(image: Tensor, lines: Tensor, landmarks: Tensor, z_id: Tensor | None = None) -> Any:
        seen.update(image=image, source_lines=lines, source_landmarks=landmarks)
        seen["code"] = encode(image, lines, landmarks, z_id)
        return seen["code"]

    def kept_drive(code: Any, lines: Tensor, landmarks: Tensor) -> Driven:
        seen.update(driven_code=code, driver_lines=lines, driver_landmarks=landmarks)
        seen["driven"] = drive(code, lines, landmarks)
        return seen["driven"]

    def kept_identity(image: Tensor, landmarks: Tensor) -> Tensor:
        seen.setdefault("identity", []).append((image, landmarks))
        return identity(image, landmarks)

    def region(name: str) -> Any:
        return lambda predicted, target, mask, squared=False: (
            seen.setdefault("regions", []).append((predicted, target, mask)), torch.zeros(()),
        )[1]  # fmt: skip

    monkeypatch.setattr(portrait, "encode_source", kept_encode)
    monkeypatch.setattr(portrait, "drive", kept_drive)
    monkeypatch.setattr(portrait.identity, "forward", kept_identity)
    monkeypatch.setattr(frames_module, "region_loss", region("region"))
    config = PortraitTrain(loss=replace(PIXEL, adversarial=1), augment=False)
    adversary = AdversarialLoss(Discriminator(DiscriminatorConfig(1, (4, 4))))
    stage = PortraitStage(config, portrait, None, adversary)
    return batch, seen, stage(batch)


def test_the_portrait_is_encoded_from_the_source_and_driven_by_the_driver(
    portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, seen, outcome = terms_of(portrait, monkeypatch)
    source, driver = batch["source"], batch["driver"]
    assert torch.equal(seen["image"], as_float(source["image"]))
    assert torch.equal(seen["source_lines"], as_float(source["lines"][:, 0]))
    assert torch.equal(seen["source_landmarks"], source["landmarks"])
    assert seen["driven_code"] is seen["code"]
    assert torch.equal(seen["driver_lines"], as_float(driver["lines"][:, 0]))
    assert torch.equal(seen["driver_landmarks"], driver["landmarks"])
    matte, drawn = as_float(driver["matte"]), seen["driven"].image
    fake, real = outcome["fakes"][""]
    assert torch.equal(fake, drawn * matte)
    assert torch.equal(real, as_float(driver["image"]) * matte)
    assert set(outcome["terms"]) == {"warp_pixel", "pixel", "identity", "eyes", "mouth", "matte"}


def test_the_portraits_identity_and_regions_are_looked_at_where_the_driver_has_them(
    portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, seen, _ = terms_of(portrait, monkeypatch)
    driver, drawn = batch["driver"], seen["driven"].image
    (of_source, source_points), (of_drawn, drawn_points) = seen["identity"]
    assert torch.equal(of_source, as_float(batch["source"]["image"]))
    assert torch.equal(source_points, batch["source"]["landmarks"])
    true, matte = as_float(driver["image"]), as_float(driver["matte"])
    # The recogniser knows no black backgrounds.
    torch.testing.assert_close(of_drawn, matte * drawn + (1 - matte) * true)
    assert torch.equal(drawn_points, driver["landmarks"])
    for (predicted, target, mask), region in zip(seen["regions"], (eyes_mask, mouth_mask), strict=True):
        assert predicted is drawn
        assert torch.equal(target, as_float(driver["image"]))
        assert torch.equal(mask, region(driver["landmarks"], SIZE))


def test_the_flow_learns_at_its_share_of_the_rate_and_the_recogniser_not_at_all(portrait: Portrait) -> None:
    groups = PortraitStage(PortraitTrain(loss=PIXEL, flow_rate=0.1), portrait, None, None).parameter_groups()
    rate = {id(weight): group.get("lr_scale", 1.0) for group in groups for weight in group["params"]}
    for name, weight in portrait.named_parameters():
        wanted = None if name.startswith("identity.") else 0.1 if name.startswith("flow.") else 1.0
        assert rate.get(id(weight)) == wanted, name


def meta_stage(portrait: Portrait, **more: Any) -> MetaStage:
    config = MetaTrain(
        loss=replace(PIXEL, identity=0), augment=False, optim=OPTIM, inner_steps=2, inner_batch=2, inner_lr=1e-2, **more
    )
    return MetaStage(config, unspectral(portrait), None)


def test_meta_learning_starts_at_the_first_frame_and_leaves_the_last_alone(
    portrait: Portrait, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, batch, seen = meta_stage(portrait), batch_of(2, SIZE, sources=6), []
    original = stage._loss

    def keep(net: Portrait, frames: Any, chosen: list[int]) -> Tensor:
        seen.append((frames["landmarks"], chosen))
        return original(net, frames, chosen)

    monkeypatch.setattr(stage, "_loss", keep)
    stage(batch)
    assert [chosen for _, chosen in seen] == [[1, 2], [3, 4]] * 2
    for number, (landmarks, _) in enumerate(seen):
        assert torch.equal(landmarks, batch["source"]["landmarks"][number // 2, :5])


def test_the_outer_gradient_is_phi_less_the_mean_of_what_each_person_leads_to(portrait: Portrait) -> None:
    stage, batch = meta_stage(portrait), batch_of(2, SIZE, sources=6)
    before = {name: value.clone() for name, value in portrait.state_dict().items()}
    ends = []
    adapt = stage.adapt

    def keep(net: Portrait, frames: Any) -> list[Tensor]:
        figures = adapt(net, frames)
        ends.append(net)
        return figures

    stage.adapt = keep  # type: ignore[method-assign]
    stage(batch)["terms"]["reptile"].backward()
    assert all(torch.equal(value, before[name]) for name, value in portrait.state_dict().items())
    assert len(ends) == 2
    moved = 0.0
    for name, weight in portrait.named_parameters():
        if name.startswith("identity."):
            assert weight.grad is None
            continue
        wanted = (weight - torch.stack([end.get_parameter(name) for end in ends]).mean(0)).detach()
        torch.testing.assert_close(weight.grad, wanted, atol=1e-6, rtol=0)
        moved += float(wanted.abs().sum())
    assert moved > 0
    assert ends[0].identity is portrait.identity


def test_inner_steps_lower_the_loss_of_their_person(portrait: Portrait) -> None:
    stage, batch = meta_stage(portrait), batch_of(1, SIZE, sources=6)
    figures = [stage.measure(batch, stage.nets)]
    config = replace(stage._config, inner_steps=12, inner_lr=3e-3)
    longer = MetaStage(config, portrait, None)
    figures.append(longer.measure(batch, longer.nets))
    assert figures[1]["face_l1"] == figures[0]["face_l1"]
    assert figures[1]["adapted_face_l1"] < 0.8 * figures[1]["face_l1"]


def test_plain_weights_give_what_spectral_norms_gave(portrait: Portrait) -> None:
    batch = look(batch_of(2, SIZE), None)
    with torch.no_grad():
        before = frames_module.drive(portrait.eval(), batch["source"], batch["driver"])[0].image
        after = frames_module.drive(unspectral(portrait), batch["source"], batch["driver"])[0].image
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)
    assert not portrait.config.style.spectral
    assert all(module.spectral is None for module in portrait.modules() if isinstance(module, Conv2d))


def enhancer_stage(portrait: Portrait, windows: bool, **more: Any) -> EnhancerStage:
    net = build_enhancer(EnhancerConfig(size=SIZE, stem=4, widths=(4, 4), windows=windows), 0)
    config = EnhancerTrain(loss=EnhancerLoss(1, 0, 0), augment=False, frames=3, **more)
    return EnhancerStage(config, net, portrait, None)


def test_the_enhancer_gets_what_the_portrait_draws_of_each_frame_in_order(portrait: Portrait) -> None:
    stage = enhancer_stage(portrait, windows=False)
    batch = batch_of(2, 2 * SIZE, window=3, shrink=2)
    shown = look(batch, None)
    low = stage.low(shown["source"], shown["driver"], batch)
    assert low.shape == (2, 3, 3, SIZE, SIZE)
    for person in range(2):
        for number in range(3):
            source = {name: value[person : person + 1] for name, value in shown["source"].items()}
            row = 3 * person + number
            driver = {name: value[row : row + 1] for name, value in shown["driver"].items()}
            for frame in (source, driver):
                frame["image"] = nn.functional.avg_pool2d(frame["image"], 2)
                frame["landmarks"] = (frame["landmarks"] + 0.5) / 2 - 0.5
            driven, _ = frames_module.drive(portrait, source, driver)
            torch.testing.assert_close(low[person, number], (driven.image * driven.matte)[0], atol=1e-5, rtol=0)


def test_the_temporal_stage_trains_windows_alone(portrait: Portrait) -> None:
    stage = enhancer_stage(portrait, windows=True)
    batch = batch_of(1, 2 * SIZE, window=3, shrink=2)
    stage(batch)["terms"]["l1"].backward()
    for name, weight in stage.named_parameters():
        assert weight.requires_grad == name.startswith("nets.enhancer.windows."), name
        if "added" in name:
            assert weight.grad.abs().max() > 0
    for other in (enhancer_stage(portrait, windows=False), enhancer_stage(portrait, True, windows_alone=False)):
        assert all(weight.requires_grad for weight in other.nets.parameters())


def test_noise_belongs_to_the_sample_and_to_the_frame(portrait: Portrait) -> None:
    stage, plain = enhancer_stage(portrait, False, noise=0.1), enhancer_stage(portrait, False)
    batch = batch_of(2, 2 * SIZE, window=3, shrink=2)
    shown = look(batch, None)
    noise = stage.low(shown["source"], shown["driver"], batch) - plain.low(shown["source"], shown["driver"], batch)
    assert noise.std().item() == pytest.approx(0.1, rel=0.05)
    assert (noise[0, 0] - noise[0, 1]).abs().max() > 0.1
    again = {**batch, "positions": list(reversed(batch["positions"]))}
    swapped = stage.low(shown["source"], shown["driver"], again) - plain.low(shown["source"], shown["driver"], batch)
    torch.testing.assert_close(swapped, noise.flip(0), atol=1e-5, rtol=0)


def test_people_are_told_apart_by_identity_not_by_clip(portrait: Portrait, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = IdentityStage(IdentityTrain(augment=False), portrait.identity, ["b", "a", "b"])
    seen: dict[str, Tensor] = {}
    from avatarkit.systems.metaportrait.stages import identity as module

    def keep(cosines: Tensor, labels: Tensor, scale: float, margin: float) -> Tensor:
        seen.update(cosines=cosines, labels=labels)
        return torch.zeros(())

    monkeypatch.setattr(module, "cosface", keep)
    stage(batch_of(3, SIZE))
    assert seen["labels"].tolist() == [1, 0, 1, 1, 0, 1]
    assert seen["cosines"].shape == (6, 2)
    assert seen["cosines"].abs().max() <= 1 + 1e-5


def test_one_source_for_all_drivers_is_as_good_as_one_each(portrait: Portrait) -> None:
    frames = look(batch_of(1, SIZE, sources=5), None)["source"]
    one, four, driver = each(frames, [0]), each(frames, [0] * 4), each(frames, slice(1, None))
    found, gradients = [], []
    for source in (one, four):
        _, terms = frames_module.drawn_terms(portrait, source, driver, None, PIXEL)
        portrait.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        found.append(terms)
        gradients.append(torch.cat([w.grad.flatten() for w in portrait.parameters() if w.grad is not None]))
    torch.testing.assert_close(found[0], found[1])
    # Machines multiply one picture and four in other orders: 0.002 was seen, a source left out makes 0.09.
    assert (gradients[0] - gradients[1]).norm() < 0.01 * gradients[1].norm()
