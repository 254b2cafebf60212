"""Tiny drawn datasets; `drawn_clips` is importable by tests and by their child processes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from drawn_clips import four_people


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Four people in three shards; see `drawn_clips.four_people`."""
    folder = tmp_path / "dataset"
    four_people(folder)
    return folder
