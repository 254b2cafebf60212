"""Numbers at random, the same in each run."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def draw() -> torch.Generator:
    return torch.Generator().manual_seed(0)
