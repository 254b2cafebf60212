"""Large frames: what is drawn by a map of a third of the size is nearly what the whole map gives, band by band."""

import numpy as np
import pytest

from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp import engine as warp
from avatarkit.systems.landmark_warp.openings import Region
from avatarkit.systems.landmark_warp.reduced import ReducedMap
from avatarkit.systems.protocol import SourceLayers

from ..conftest import SIZE, Move


@pytest.fixture
def engine(source: SourceLayers) -> warp.WarpEngine:
    engine = warp.WarpEngine()
    engine.prepare(source)
    engine._hidden = None
    return engine


@pytest.fixture
def motion(move: Move) -> DriveFrame:
    return move(yaw_deg=8.0, mouth=0.1, dx=4.0)


def test_map_is_nearly_the_same(
    engine: warp.WarpEngine, motion: DriveFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for jumps between parts that lie apart."""
    whole = engine.sampling_map(motion)
    monkeypatch.setattr(warp, "LARGE_PX", SIZE // 4)
    off = np.linalg.norm(engine.sampling_map(motion) - whole, axis=2)
    assert np.percentile(off, 90) < 0.3
    assert off.max() < 8.0


def test_frames_are_nearly_the_same(
    engine: warp.WarpEngine, motion: DriveFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, alpha = engine.draw(motion)
    monkeypatch.setattr(warp, "LARGE_PX", SIZE // 4)
    large, large_alpha = engine.draw(motion)
    assert np.percentile(np.abs(large.astype(int) - frame)[alpha > 0], 90) <= 4
    assert np.abs(large_alpha.astype(int) - alpha).mean() < 0.5


def test_bands_are_parts_of_one_map(engine: warp.WarpEngine, motion: DriveFrame) -> None:
    part = Region(3, 10, SIZE - 4, SIZE - 1)
    inverse = engine._field.inverse(motion)
    reduced = ReducedMap.of(part, engine._field.lattice, inverse, engine._mesh, motion, (5.0, 7.0))
    whole = reduced.enlarged(part)
    for band in (part, Region(4, 10, 80, 41), Region(9, 41, SIZE - 4, 90), Region(5, 95, SIZE - 10, SIZE - 1)):
        for plane, all_of_it in zip(reduced.enlarged(band), whole, strict=True):
            np.testing.assert_allclose(plane, band.moved(-part.left, -part.top).of(all_of_it), atol=1e-3)
