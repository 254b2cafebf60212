"""The gallery."""

from __future__ import annotations

from pathlib import Path


def write_gallery(out: Path) -> Path:
    """Write OUT/index.html."""
    return out / "index.html"
