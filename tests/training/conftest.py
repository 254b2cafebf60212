"""Datasets in memory for the tests of training; their makers are importable by child processes too."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from synthetic_heads import photo_data, video_data

from avatarkit.training.sources import TrainData


@pytest.fixture
def videos() -> TrainData:
    """Videos in memory."""
    return video_data()


@pytest.fixture
def photos() -> TrainData:
    """Photos in memory."""
    return photo_data()
