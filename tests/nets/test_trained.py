"""Nets of files: a refusal leaves torch as it was, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avatarkit.nets.trained import _laid_out, filled
from avatarkit.weights.errors import WrongFile


def lay_out(before: int) -> None:
    """Far more than is allowed, as our layers do it: what begins small is scaled without gradients."""
    for _ in range(before):
        torch.empty(1)
    for _ in range(10_000):
        weight = torch.empty(3)
        with torch.no_grad():
            weight.mul_(0.1)


@pytest.mark.parametrize("before", range(8))
def test_a_net_refused_half_way_leaves_gradients_on(before: int) -> None:
    with pytest.raises(ValueError, match="many more tensors"), _laid_out(0):
        lay_out(before)
    left_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert left_on


def test_a_net_of_another_version_has_to_be_trained_again() -> None:
    def make() -> torch.nn.Linear:
        return torch.nn.Linear(2, 3)

    state = make().state_dict()
    filled(make, state, Path("run"), "portrait")
    del state["bias"]
    with pytest.raises(WrongFile, match=r"^run: .*1 keys missing \(bias\); .*another version.* trained again$"):
        filled(make, state, Path("run"), "portrait")
