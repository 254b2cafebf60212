"""Sides of pictures and volumes that must be powers of two apart."""

from __future__ import annotations

from avatarkit.errors import UsageError

__all__ = ["doublings"]


def doublings(small: int, large: int) -> int:
    """How often `small` must be doubled to give `large`; UsageError where it never does."""
    count = max(large // small, 1).bit_length() - 1
    if small << count != large:
        raise UsageError(f"sizes {small} and {large} of a network: choose them a power of two apart")
    return count
