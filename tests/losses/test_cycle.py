"""The cycle loss on motion codes, as MegaPortraits writes it and as CosFace does."""

from __future__ import annotations

import math

import pytest
import torch

from avatarkit.errors import UsageError
from avatarkit.systems.megaportraits.losses import cycle_loss

RIGHT, UP = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


def test_exact_values() -> None:
    # One positive of cosine 1 and one negative of cosine 0: log(1 + exp(5 * (0 - 1))) without the margin.
    assert cycle_loss([(RIGHT, RIGHT)], [(RIGHT, UP)]).item() == pytest.approx(math.log1p(math.exp(-5)))
    assert cycle_loss([(RIGHT, RIGHT)], [(RIGHT, UP)], form="cosface").item() == pytest.approx(
        math.log1p(math.exp(-5 + 1))
    )
    # Two positives share all negatives, and are summed.
    both = cycle_loss([(RIGHT, RIGHT), (UP, RIGHT)], [(RIGHT, UP), (RIGHT, -RIGHT)], scale=2)
    rest = 1 + math.exp(-2)
    assert both.item() == pytest.approx(math.log(1 + rest * math.exp(-2)) + math.log(1 + rest))


def test_margin_cancels_in_equation_7_but_not_in_cosface() -> None:
    pairs = [(RIGHT, RIGHT)], [(RIGHT, UP)]
    assert cycle_loss(*pairs, margin=0.9).item() == pytest.approx(cycle_loss(*pairs, margin=0).item())
    cosface = [cycle_loss(*pairs, margin=margin, form="cosface") for margin in (0.0, 0.2, 0.9)]
    assert cosface[0] < cosface[1] < cosface[2]


def test_lengths_of_codes_do_not_matter() -> None:
    positives, negatives = [(3 * RIGHT, RIGHT)], [(RIGHT, 100 * UP)]
    assert cycle_loss(positives, negatives).item() == pytest.approx(cycle_loss([(RIGHT, RIGHT)], [(RIGHT, UP)]).item())


def test_samples_are_averaged_each_with_its_own_negatives(picture) -> None:
    codes = [picture(3, 6, seed=seed) - 0.5 for seed in range(4)]

    def loss(rows: slice) -> torch.Tensor:
        a, b, c, d = (code[rows] for code in codes)
        return cycle_loss([(a, b), (c, b)], [(a, d), (c, d)])

    alone = torch.stack([loss(slice(i, i + 1)) for i in range(3)])
    torch.testing.assert_close(loss(slice(None)), alone.mean())


@pytest.mark.parametrize("form", ["megaportraits", "cosface"])
def test_gradients(form: str, picture) -> None:
    codes = [(picture(2, 5, seed=seed) - 0.5).requires_grad_() for seed in range(4)]

    def loss(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return cycle_loss([(a, b), (c, b)], [(a, d), (c, d)], form=form)

    assert torch.autograd.gradcheck(loss, codes)


def test_a_step_down_draws_positives_together_and_pushes_negatives_apart() -> None:
    a, b, c = (torch.tensor([row], requires_grad=True) for row in ([1.0, 0.2], [0.6, 0.8], [0.8, -0.6]))
    cycle_loss([(a, b)], [(a, c)]).backward()
    moved = [(code - 0.1 * code.grad).detach() for code in (a, b, c)]
    cosine = torch.nn.functional.cosine_similarity
    assert cosine(moved[0], moved[1]) > cosine(a, b)
    assert cosine(moved[0], moved[2]) < cosine(a, c)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cycle_loss([(RIGHT, UP)], [(RIGHT, UP)], form="arc"), "form arc: use one of megaportraits, cosface"),
        (lambda: cycle_loss([], [(RIGHT, UP)]), "at least one positive"),
        (lambda: cycle_loss([(RIGHT, UP)], [(RIGHT, torch.ones(1, 3))]), "differ"),
    ],
)
def test_bad_input(call, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        call()
