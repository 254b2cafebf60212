"""Sides of pictures and volumes: powers of two apart, and no larger than networks are meant for."""

from __future__ import annotations

from avatarkit.errors import UsageError

__all__ = ["check_side", "doublings"]

MOST_FRAME, MOST_CROP = 1024, 512
"""Sides in pixels, of frames that go into a network and of crops of faces and eyes; no tensor of a net shows them."""


def check_side(what: str, side: int, most: int, stride: int = 1) -> None:
    """Raise UsageError where pictures of `side` pixels are too large, or too small to be shrunk by `stride`."""
    if not max(8, stride) <= side <= most:
        raise UsageError(f"{what} of {side} px: use {max(8, stride)} to {most}")


def doublings(small: int, large: int) -> int:
    """How often `small` must be doubled to give `large`; UsageError where it never does."""
    count = max(large // small, 1).bit_length() - 1
    if small << count != large:
        raise UsageError(f"sizes {small} and {large} of a network: choose them a power of two apart")
    return count
