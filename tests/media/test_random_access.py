"""Frames by index are the frames that reading in order gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import UsageError
from avatarkit.media.probe import probe
from avatarkit.media.random_access import _by_reading, can_seek, frames_at

from .conftest import LEVELS


def test_random_access_gives_the_same_frames(counting_clip: Path, variable_clip: Path) -> None:
    wanted = [7, 0, LEVELS - 1, 7]
    info = probe(counting_clip)
    slow = _by_reading(counting_clip, wanted, info)
    fast = frames_at(counting_clip, wanted)
    assert [round((float(f.mean()) - 20) / 5) for f in slow] == wanted
    for a, b in zip(fast, slow, strict=True):
        assert np.abs(a.astype(int) - b).max() <= 3
    assert not can_seek(probe(variable_clip))
    assert len(frames_at(variable_clip, [59, 3])) == 2
    with pytest.raises(UsageError, match="frame 40 is outside"):
        frames_at(counting_clip, [40])
