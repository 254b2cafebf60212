"""Engines that make the source move: the landmark warp today, trained networks behind the same protocol."""
