"""Datasets: the shard format, its readers, and what training takes from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avatarkit.data.pairs import PairDataset, PhotoDataset

__all__ = ["PairDataset", "PhotoDataset"]


def __getattr__(name: str) -> Any:
    # They need torch, and looking at a dataset does not.
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from avatarkit.data import pairs

    return getattr(pairs, name)
