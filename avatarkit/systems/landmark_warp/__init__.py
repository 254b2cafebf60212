"""The landmark-warp engine: moves the source's own pixels, needs no weights and no GPU."""

from avatarkit.systems.landmark_warp.engine import WarpEngine

__all__ = ["WarpEngine"]
