"""Settings, jobs and tools: what is refused, and what the defaults follow from."""

from __future__ import annotations

import numpy as np
import pytest

from avatarkit.errors import UsageError
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import Track
from avatarkit.prepare.tools import Tools, open_tools


def test_least_sizes_follow_the_stored_size() -> None:
    config = PrepareConfig(size=512)
    assert (config.least_head_px, config.least_effective_px) == (256, 128)
    strict = PrepareConfig(size=256, min_head_px=512)
    assert (strict.least_head_px, strict.least_effective_px) == (512, 256)
    assert PrepareConfig(min_effective_px=0).least_effective_px == 0


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({"size": 255}, "--size 255"),
        ({"size": 32}, "--size 32"),
        ({"image_format": "bmp"}, "--image-format bmp"),
        ({"image_quality": 0}, "--image-quality 0"),
        ({"max_frames": 10}, "--max-frames 10"),
        ({"min_head_px": -1.0}, "--min-head-px"),
        ({"min_head_px": float("nan")}, "--min-head-px"),
        ({"min_effective_px": -5.0}, "--min-effective-px"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, float], option: str) -> None:
    with pytest.raises(UsageError, match=option):
        PrepareConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frames", "boxes"),
    [
        (np.arange(3), None),
        (None, np.zeros((3, 4))),
        (np.arange(3), np.zeros((2, 4))),
        (np.array([], np.int64), np.zeros((0, 4))),
        (np.array([3, 2, 5]), np.zeros((3, 4))),
        (np.array([-1, 2, 5]), np.zeros((3, 4))),
    ],
)
def test_track_with_columns_that_do_not_fit_is_refused(frames: np.ndarray | None, boxes: np.ndarray | None) -> None:
    with pytest.raises(ValueError, match="clip-7"):
        Track("clip-7", "id1", "00001", "train", frames, boxes)


def test_unknown_scorer_is_refused() -> None:
    with pytest.raises(UsageError, match="--iqa best: use one of auto, hyperiqa, sharpness"):
        open_tools(PrepareConfig(iqa="best"))


def test_names_say_what_a_dataset_was_made_with(tools: Tools) -> None:
    assert tools.names["scorer"] == "sharpness-1"
    assert tools.names["matting"] == "mediapipe-video"
    assert tools.names["photo_matting"] == "mediapipe"
    assert "mediapipe" in tools.names["tracker"]
    assert "scorer_sha256" not in tools.names


