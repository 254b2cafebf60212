"""Losses of the refinement, and its learner: what it asks for, and that it goes on exactly where it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from avatarkit.systems.refined_warp.batch import Noise, jitter, noise, refine
from avatarkit.systems.refined_warp.losses import (
    RefinementLosses,
    calm_loss,
    detail_loss,
    part_errors,
    part_losses,
    pyramid_loss,
)  # fmt: skip
from avatarkit.systems.refined_warp.network import (
    Refinement,
    detail,
)  # fmt: skip
from avatarkit.systems.refined_warp.samples import Sample
from avatarkit.systems.refined_warp.training import ADVERSARIAL_FROM, ADVERSARIAL_WHOLE, Learner

from .conftest import SMALL, batch_of, random_net


def test_a_trackers_errors_move_guides_and_poses_alone(samples: list[Sample]) -> None:
    net, batch, still = random_net(), batch_of(samples), jitter(4, None)
    none = Noise(torch.zeros(4, 4, 2), torch.zeros(4, 3))
    plain, same = refine(net, batch, still), refine(net, batch, still, none)
    torch.testing.assert_close(same.result["face"], plain.result["face"])
    # Four pixels of the 72 that are stored.
    beside = refine(net, batch, still, replace(none, guides=torch.full((4, 4, 2), 4 / 36)))
    torch.testing.assert_close(beside.warp["mouth"], plain.warp["mouth"])
    torch.testing.assert_close(beside.truth["mouth"], plain.truth["mouth"])
    torch.testing.assert_close(beside.guides["mouth"][..., :-4, :-4], plain.guides["mouth"][..., 4:, 4:])
    turned = torch.tensor([[0.1, -0.1, 0.05]]).expand(4, 3)
    wrong = refine(net, batch, still, replace(none, poses=turned))
    expected = refine(net, replace(batch, poses=batch.poses + turned), still).result["face"]
    torch.testing.assert_close(wrong.result["face"], expected)
    assert not torch.allclose(expected, plain.result["face"], atol=1e-3)


def test_it_learns_with_a_trackers_errors(samples: list[Sample]) -> None:
    net, batch = random_net().requires_grad_(True), batch_of(samples)
    generator = torch.Generator().manual_seed(0)
    moves, errors = jitter(2, generator).repeat_interleave(2, dim=0), noise(4, generator)  # pairs are moved alike
    with torch.no_grad():
        with_errors, without = (
            float(part_losses(refine(net, batch, moves, some), pyramid_loss)["l1"]) for some in (errors, None)
        )
    learner = Learner(net, pyramid_loss)
    learner._half = False
    asked = learner.step(batch, 0.0)["l1"] / RefinementLosses().l1
    assert asked == pytest.approx(with_errors, rel=1e-5)
    assert abs(asked - without) > 1e-4 * without


def test_errors_that_stay_are_calm_and_those_that_come_and_go_are_not(samples: list[Sample]) -> None:
    refined = refine(Refinement(SMALL), batch_of(samples), jitter(4, None))

    def calm(errors: list[float]) -> float:
        """Of pictures that differ from the truth by so much at each moment."""
        added = torch.tensor(errors)[:, None, None, None]
        return float(calm_loss(replace(refined, result={name: part + added for name, part in refined.truth.items()})))

    assert calm([0.1, 0.1, -0.2, -0.2]) == pytest.approx(0.0, abs=1e-6)
    assert calm([0.1, 0.0, 0.0, 0.0]) == pytest.approx(0.5 * calm([0.1, 0.0, 0.1, 0.2]), rel=0.2)
    assert calm([0.0, 0.1, 0.1, 0.0]) > 0.1
    # One in each of four parts, on average over half of the moments.
    assert calm([0.1, 0.0, 0.1, 0.0]) == pytest.approx(0.4, rel=0.02)


def test_calm_is_asked_for(samples: list[Sample]) -> None:
    losses = [
        Learner(Refinement(SMALL), pyramid_loss, RefinementLosses(calm=weight)).step(batch_of(samples), 0.0)
        for weight in (16.0, 32.0)
    ]
    assert losses[1]["calm"] == pytest.approx(2.0 * losses[0]["calm"])
    assert losses[0]["calm"] > 0.0


def test_it_learns_and_goes_on_exactly_where_it_was(samples: list[Sample]) -> None:
    def learner() -> Learner:
        torch.manual_seed(0)
        return Learner(Refinement(SMALL), pyramid_loss)

    batch = batch_of(samples[:2])
    whole, first = learner(), learner()
    for step in range(6):
        losses = whole.step(batch, step / 10)
        if step < 3:
            first.step(batch, step / 10)
    assert "adversarial" in {*losses, *whole.step(batch, 0.6)}
    second = learner()
    second.restore(*first.state(), "here")
    for step in (3, 4, 5, 6):
        second.step(batch, step / 10)
    for name, tensor in whole.averaged.state_dict().items():
        torch.testing.assert_close(tensor, second.averaged.state_dict()[name], rtol=1e-5, atol=1e-6)
    for step in range(80):
        whole.step(batch, 0.0 if step < 60 else 0.8)
    errors = part_errors(refine(whole.averaged, batch, jitter(2, None)), pyramid_loss)
    assert errors["right_eye/l1"].mean() < 0.9 * errors["warp/right_eye/l1"].mean()


def test_the_discriminator_counts_more_and_more(samples: list[Sample]) -> None:
    def judged(share: float) -> float | None:
        torch.manual_seed(0)
        return Learner(Refinement(SMALL), pyramid_loss).step(batch_of(samples), share).get("adversarial")

    whole = judged(ADVERSARIAL_WHOLE)
    assert whole is not None
    assert judged(1.0) == pytest.approx(whole)
    assert judged(0.5 * (ADVERSARIAL_FROM + ADVERSARIAL_WHOLE)) == pytest.approx(0.5 * whole)
    assert judged(ADVERSARIAL_FROM - 0.01) is None


def test_blur_costs_detail_and_perception() -> None:
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    blurred = picture - detail(picture)
    assert float(detail_loss(picture, picture)) == 0.0
    assert float(detail_loss(blurred, picture)) > 0.05
    assert float(pyramid_loss(picture, picture)) == 0.0
    assert float(pyramid_loss(blurred, picture)) > float(pyramid_loss(picture + 0.01, picture))


def test_painted_teeth_are_no_detail(samples: list[Sample]) -> None:
    refined = refine(Refinement(SMALL), batch_of(samples), jitter(4, None))
    mouth, opening = refined.result["mouth"], refined.guides["mouth"][:, :1]
    assert float(opening.max()) == 1.0
    noisy = torch.rand(mouth.shape, generator=torch.Generator().manual_seed(0))

    def found(place: torch.Tensor) -> float:
        result = {**refined.result, "mouth": torch.lerp(mouth, noisy, place)}
        return float(part_errors(replace(refined, result=result), pyramid_loss)["mouth/detail"].detach().max())

    usual, teeth, lips = found(torch.zeros(1)), found((opening > 0.99).float()), found((opening < 0.01).float())
    assert teeth < 1.5 * usual
    assert lips > 3.0 * usual
