"""Frames in memory are those that a reenactment writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import InputError, UsageError
from avatarkit.media.image import read_image_rgba
from avatarkit.motion.config import MotionConfig
from avatarkit.pipelines.frames import Studio, animate

from .conftest import RATE, Notices, Run


@pytest.mark.parametrize("background", ["plate", "transparent"])
def test_frames_are_those_of_a_reenactment(
    run: Run, grace_hopper_path: Path, driver: Path, tmp_path: Path, background: str
) -> None:
    run(tmp_path / "out", size=128, background=background, codec="png")
    written = [read_image_rgba(path) for path in sorted((tmp_path / "out").iterdir())]
    progress = Notices()
    with Studio() as studio:
        result = animate(studio, str(grace_hopper_path), driver, progress=progress, size=128, background=background)
        assert (len(result), result.rate, result.size) == (len(written), RATE, (128, 128))
        for _ in range(2):  # as often as wanted
            for frame, (color, alpha) in zip(result, written, strict=True):
                np.testing.assert_array_equal(frame[..., :3], color)
                assert (frame.shape[2] == 4) == (alpha is not None) == (background == "transparent")
    assert "track" in dict(progress.stages)


def test_one_studio_draws_several_in_turn(grace_hopper_path: Path, framed: Path, motion_file: Path) -> None:
    with Studio(keep=2) as studio:
        moving = animate(studio, grace_hopper_path, motion_file, size=64)
        other = animate(studio, framed, motion_file, size=64)
        calm = animate(studio, grace_hopper_path, motion_file, size=64, motion=MotionConfig(strength=0.2))
        alone = [frame.copy() for _, frame in zip(range(5), moving, strict=False)]
        together = [frames for _, frames in zip(range(5), zip(moving, other, calm, strict=True), strict=False)]
        assert studio.made["portrait"] == 2
    for before, (again, foreign, calmer) in zip(alone, together, strict=True):
        np.testing.assert_array_equal(before, again)
        assert np.abs(before.astype(int) - foreign).mean() > 5
        assert calmer.shape == before.shape


def test_what_is_no_option_is_named(grace_hopper_path: Path, photo: Path, tmp_path: Path) -> None:
    with Studio() as studio:
        with pytest.raises(UsageError, match="sise is no option of it; size is"):
            animate(studio, grace_hopper_path, photo, sise=64)
        with pytest.raises(UsageError, match="label is no option of it"):
            animate(studio, grace_hopper_path, photo, label="x")
        with pytest.raises(UsageError, match="--size 65"):
            animate(studio, grace_hopper_path, photo, size=65)
        with pytest.raises(InputError, match="no such file"):
            animate(studio, tmp_path / "none.jpg", photo)
        (frame,) = animate(studio, grace_hopper_path, photo, size=64)
    assert frame.shape == (64, 64, 3)
