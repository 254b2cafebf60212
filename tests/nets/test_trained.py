"""A refusal in the middle of laying out a net leaves torch as it was."""

from __future__ import annotations

import pytest
import torch

from avatarkit.nets.trained import _laid_out


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
