from __future__ import annotations

import torch

from avatarkit.nets.discriminator import DiscriminatorConfig
from avatarkit.systems.megaportraits.build import build_discriminator
from avatarkit.systems.megaportraits.config import PRESETS

CONFIG = DiscriminatorConfig(scales=3, widths=(8, 12, 16))


def test_one_judgement_per_scale_with_features() -> None:
    judged = build_discriminator(CONFIG, seed=0)(torch.rand(2, 3, 64, 64))
    assert len(judged) == 3
    for logits, features in judged:
        assert logits.shape[:2] == (2, 1)
        assert [maps.shape[1] for maps in features] == [8, 12, 16]
    sides = [logits.shape[-1] for logits, _ in judged]
    assert sides == sorted(sides, reverse=True)


def test_coarser_scales_see_more() -> None:
    """How much of the picture one logit in the middle depends on."""
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    seen = []
    for logits, _ in build_discriminator(CONFIG, seed=0).eval()(image):
        middle = logits[0, 0, logits.shape[2] // 2, logits.shape[3] // 2]
        (gradient,) = torch.autograd.grad(middle, image, retain_graph=True)
        seen.append(int((gradient.abs().sum(1) > 0).sum()))
    assert seen == sorted(seen)
    assert seen[0] < seen[-1] / 2


def test_scales_have_weights_of_their_own() -> None:
    net = build_discriminator(CONFIG, seed=0)
    sum(logits.sum() for logits, _ in net(torch.rand(1, 3, 64, 64))).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())
    assert not torch.equal(net.scales[0].convs[0].weight, net.scales[1].convs[0].weight)


def test_spectral_norm_can_be_left_out() -> None:
    names = build_discriminator(DiscriminatorConfig(scales=1, widths=(8,), spectral=False), seed=0).state_dict()
    assert not any("spectral" in name for name in names)


def test_students_are_judged_at_four_scales() -> None:
    assert {preset.student_discriminator.scales for preset in PRESETS.values()} == {4}


def test_presets_take_their_frames() -> None:
    for preset in PRESETS.values():
        for config, size in (
            (preset.base_discriminator, preset.base.size),
            (preset.enhancer_discriminator, 2 * preset.enhancer.size),
            (preset.student_discriminator, preset.student.size),
        ):
            with torch.device("meta"):
                judged = build_discriminator(config, seed=0)(torch.empty(1, 3, size, size))
            assert min(logits.shape[-1] for logits, _ in judged) >= 3
