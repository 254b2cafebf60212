"""Seeds of single samples: all randomness of a training is a function of (seed, position of the sample).

So nothing depends on how many processes share a batch, and there is no generator state to save.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch


def derive(seed: int, *parts: int | str) -> int:
    """A 63-bit seed that depends on all arguments."""
    text = "/".join(map(str, (seed, *parts)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def sample_seeds(seed: int, positions: Sequence[int], purpose: str) -> torch.Tensor:
    """One seed per sample, int64 (B,) on the CPU.

    Args:
        seed: the training's. positions: of the samples in the endless sequence of all. purpose: keeps the
            draws of, for example, flips and of shape changes apart.
    """
    return torch.tensor([derive(seed, purpose, position) for position in positions], dtype=torch.int64)
