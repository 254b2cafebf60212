"""A refusal in the middle of laying out a net leaves torch as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from avatarkit.nets.trained import _Sparing


@pytest.mark.parametrize("before", range(16))
def test_a_net_refused_half_way_leaves_gradients_on(before: int) -> None:
    with pytest.raises(ValueError, match="many more tensors"), torch.device("meta"), _Sparing(0):
        for _ in range(before):
            torch.empty(1)
        for _ in range(10_000):
            nn.Linear(3, 3)  # its weights begin under `torch.no_grad`
    left_on = torch.is_grad_enabled()
    torch.set_grad_enabled(True)
    assert left_on
