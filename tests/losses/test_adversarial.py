"""The adversarial loss: exact values, and who gets gradients of what."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avatarkit.errors import UsageError
from avatarkit.losses.adversarial import AdversarialLoss, OptimiserConfig, feature_matching, hinge_d, hinge_g

LOGITS = torch.tensor([1.0, 2.0, 3.0])


class Critic(nn.Module):
    """Two scales of a small patch discriminator with spectral norms."""

    def __init__(self) -> None:
        super().__init__()
        norm = nn.utils.parametrizations.spectral_norm
        self.first = nn.ModuleList(norm(nn.Conv2d(3, 4, 3, padding=1)) for _ in range(2))
        self.last = nn.ModuleList(nn.Conv2d(4, 1, 3, padding=1) for _ in range(2))

    def forward(self, image: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        found = []
        for first, last in zip(self.first, self.last, strict=True):
            features = torch.tanh(first(image))
            found.append((last(features), [features]))
            image = nn.functional.avg_pool2d(image, 2)
        return found


@pytest.fixture
def critic() -> Critic:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Critic()


@pytest.fixture
def pair(picture) -> tuple[Tensor, Tensor]:
    return picture(2, 3, 8, 8).float(), picture(2, 3, 8, 8, seed=1).float()


def test_hinge_of_the_generator() -> None:
    assert hinge_g([LOGITS]).item() == -2
    assert hinge_g([LOGITS, torch.tensor([[5.0]])]).item() == -3.5


def test_hinge_of_the_discriminator() -> None:
    assert hinge_d([LOGITS], [-LOGITS]).item() == 0
    assert hinge_d([LOGITS], [LOGITS]).item() == 3
    assert hinge_d([-LOGITS], [-LOGITS]).item() == 3
    assert hinge_d([torch.zeros(4), LOGITS], [torch.zeros(9), -LOGITS]).item() == 1


def test_feature_matching_is_averaged_over_maps_and_scales() -> None:
    real = [[torch.zeros(2), torch.zeros(3)], [torch.zeros(5)]]
    fake = [[torch.ones(2), torch.full((3,), 3.0)], [torch.full((5,), -4.0)]]
    assert feature_matching(real, fake).item() == 3
    assert feature_matching(real, real).item() == 0
    with pytest.raises(UsageError, match="differ"):
        feature_matching([[torch.zeros(2)]], [[torch.zeros(3)]])


def test_gradients_of_the_functions(picture) -> None:
    real, fake = (4 * picture(7, seed=seed) - 2 for seed in (0, 1))
    real.requires_grad_()
    fake.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: hinge_g([x]), (fake,))
    assert torch.autograd.gradcheck(lambda x, y: hinge_d([x], [y]), (real, fake))
    assert torch.autograd.gradcheck(lambda y: feature_matching([[real]], [[y]]), (fake,))
    feature_matching([[real]], [[fake]]).backward()
    assert real.grad is None


def test_prediction_gets_gradients_of_both_terms_and_the_discriminator_none(critic: Critic, pair) -> None:
    adversarial = AdversarialLoss(critic)
    fake, real = pair[0].requires_grad_(), pair[1].requires_grad_()
    for term in ("adversarial", "feature_matching"):
        fake.grad = None
        losses = adversarial.loss(fake, real)
        losses[term].backward()
        assert fake.grad is not None
        assert fake.grad.abs().sum() > 0
    assert real.grad is None
    assert all(parameter.grad is None and parameter.requires_grad for parameter in critic.parameters())


def test_discriminator_learns_and_the_prediction_is_left_alone(critic: Critic, pair) -> None:
    adversarial = AdversarialLoss(critic, OptimiserConfig(lr=1e-2))
    fake, real = pair[0].requires_grad_(), pair[1].requires_grad_()
    before = [parameter.clone() for parameter in critic.parameters()]
    first = adversarial.teach(fake, real)
    assert fake.grad is None
    assert real.grad is None
    assert all(torch.equal(old, new) for old, new in zip(before, critic.parameters(), strict=True))
    assert all(parameter.grad is not None for parameter in critic.parameters())
    for _ in range(20):
        adversarial.optimiser.step()
        adversarial.optimiser.zero_grad()
        last = adversarial.teach(fake, real)
    assert last["discriminator"] < first["discriminator"]
    assert last["real"] > last["fake"]
    assert set(last) == {"discriminator", "real", "fake"}


def test_generator_follows_the_discriminator_down(critic: Critic, pair) -> None:
    adversarial = AdversarialLoss(critic)
    fake = pair[0].requires_grad_()
    before = adversarial.loss(fake, pair[1])["adversarial"]
    before.backward()
    assert adversarial.loss(fake - 0.05 * fake.grad / fake.grad.abs().max(), pair[1])["adversarial"] < before


def test_background_does_not_count(critic: Critic, pair) -> None:
    adversarial = AdversarialLoss(critic.eval())
    matte = torch.zeros(2, 1, 8, 8)
    matte[..., :4] = 1
    other = torch.where(matte > 0, pair[0], 0.5)
    one, two = (adversarial.loss(fake, pair[1], matte=matte) for fake in (pair[0], other))
    assert one == two
    assert adversarial.loss(pair[0], pair[1], matte=0 * matte)["feature_matching"] == 0


def test_two_halves_give_the_gradients_of_all(critic: Critic, pair) -> None:
    critic.eval()  # the spectral norms would count passes

    def gradients(parts: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
        critic.zero_grad()
        for fake, real in parts:
            AdversarialLoss(critic).teach(fake, real, backward=lambda loss: (loss / len(parts)).backward())
        return [parameter.grad.clone() for parameter in critic.parameters()]

    fake, real = pair
    whole, halves = gradients([pair]), gradients([(fake[:1], real[:1]), (fake[1:], real[1:])])
    for one, other in zip(whole, halves, strict=True):
        torch.testing.assert_close(one, other)


def test_optimiser_is_the_papers(critic: Critic) -> None:
    group = AdversarialLoss(critic).optimiser.param_groups[0]
    assert [group[key] for key in ("lr", "betas", "eps", "weight_decay")] == [2e-4, (0.5, 0.999), 1e-8, 1e-2]
