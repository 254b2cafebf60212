"""The line at the corners of a photo's lips is not drawn out to a dark wedge where they part."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from avatarkit.head.coordinates import head_frame
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp import engine as engine_module
from avatarkit.systems.landmark_warp.corner_lines import CornerLines, _taken
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.openings import Region
from avatarkit.systems.protocol import SourceLayers

from ..conftest import Move, without_motion
from .conftest import SIZE, SKIN


@pytest.fixture(scope="module")
def lined(picture: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The painted face with a dark line across both corners of the mouth."""
    painted, scale = picture.copy(), head_frame(landmarks).scale
    for corner, way in ((61, -1.0), (291, 1.0)):
        ends = [
            tuple((landmarks[corner, :2] + [s * scale * way, 0.0]).round().astype(int).tolist())
            for s in (-0.03, 0.06)
        ]
        cv2.line(painted, ends[0], ends[1], (70, 40, 40), max(2, round(0.025 * scale)))
    return painted


def drawn(painted: np.ndarray, landmarks: np.ndarray, motion: DriveFrame) -> np.ndarray:
    engine = WarpEngine(features=())
    engine.prepare(SourceLayers(painted, painted, np.ones((SIZE, SIZE), np.float32), landmarks))
    return engine.draw(motion)[0]


def dark(frame: np.ndarray, motion: DriveFrame) -> int:
    """Pixels around both corners that are much darker than skin."""
    reach = round(0.12 * motion.pose.scale)
    x, y = motion.landmarks[[61, 291], :2].round().astype(int).T
    # What lies between the lips is the mouth's to draw.
    aside = ((x[0] - reach, x[0]), (x[1], x[1] + reach))
    parts = [frame[b - reach : b + reach, left:right] for b, (left, right) in zip(y, aside, strict=True)]
    return sum(int((part.mean(2) < 0.6 * np.mean(SKIN)).sum()) for part in parts)


@pytest.mark.parametrize("large_px", [2048, 64], ids=["usual", "large"])
def test_the_line_goes_where_lips_part_and_stays_where_they_do_not(
    picture: np.ndarray,
    lined: np.ndarray,
    landmarks: np.ndarray,
    act: Move,
    monkeypatch: pytest.MonkeyPatch,
    large_px: int,
) -> None:
    monkeypatch.setattr(engine_module, "LARGE_PX", large_px)
    at_rest = without_motion(landmarks)
    seen = dark(drawn(lined, landmarks, at_rest), at_rest)
    assert seen > 40
    wide = act(mouth=0.45)
    assert dark(drawn(lined, landmarks, wide), wide) < 0.25 * seen
    # Nothing else changes.
    np.testing.assert_array_equal(
        drawn(lined, landmarks, wide)[: int(wide.landmarks[1, 1])],
        drawn(picture, landmarks, wide)[: int(wide.landmarks[1, 1])],
    )


def test_a_mouth_hardly_open_keeps_its_line(lined: np.ndarray, landmarks: np.ndarray, act: Move) -> None:
    little, at_rest = act(mouth=0.03), without_motion(landmarks)
    kept = dark(drawn(lined, landmarks, little), little)
    assert kept > 0.8 * dark(drawn(lined, landmarks, at_rest), at_rest)


def test_a_corner_ends_in_a_point_before_the_line_goes(
    picture: np.ndarray, lined: np.ndarray, landmarks: np.ndarray, act: Move
) -> None:
    """Beyond the corner the line would end it upright; between the lips all is as it was."""
    opened, at_rest = act(mouth=0.09), without_motion(landmarks)
    frame = drawn(lined, landmarks, opened)
    assert dark(frame, opened) < 0.35 * dark(drawn(lined, landmarks, at_rest), at_rest)
    motion = opened.landmarks
    inside = np.s_[int(motion[13, 1]) : int(motion[14, 1]), int(motion[61, 0]) + 8 : int(motion[291, 0]) - 8]
    plain = drawn(picture, landmarks, opened)
    changed = np.abs(frame[inside].astype(int) - plain[inside]).max(2) > 30
    assert changed.mean() < 0.05


def test_what_is_left_of_a_corner_is_low_and_short() -> None:
    """Of a line that reaches beyond a corner its middle is left, up to where a point ends."""
    region, scale = Region.whole(100, 80), 200.0
    taken = _taken(region, np.array([40.0, 40.0]), np.array([1.0, 0.0]) / scale, 0.08)
    assert taken[40, 42] < 0.3
    assert (taken[:30, 45:] > 0.95).all()
    assert (taken[:, 40 + round(0.04 * scale) :] > 0.95)[[36, 44]].all()
    height = [(taken[:, column] < 0.5).sum() for column in (40, 42, 44)]
    assert height == sorted(height, reverse=True)
    assert not _taken(region, np.array([40.0, 40.0]), np.array([1.0, 0.0]) / scale, 0.02).any()
    # Beyond the point nothing is left, also where it pointed: no hair.
    beyond = 40 + int(np.ceil(0.024 * scale)) + 1
    np.testing.assert_allclose(taken[30:51, beyond:], taken.max(), atol=1e-6)


@pytest.mark.parametrize("yaw_deg", [0.0, 75.0], ids=["from the front", "from aside"])
def test_a_line_is_lightened_once_where_both_corners_are_near(landmarks: np.ndarray, act: Move, yaw_deg: float) -> None:
    lines = CornerLines(np.full((SIZE, SIZE, 3), 40, np.uint8), 0, 0, np.zeros(2))
    motion = act(mouth=0.45, yaw_deg=yaw_deg)
    frame = np.full((SIZE, SIZE, 3), 100, np.uint8)

    def shown(region: Region) -> tuple[np.ndarray, np.ndarray]:
        x, y = region.pixels()
        return (x + 0.0 * y, y + 0.0 * x)

    lines.lighten(frame, shown, motion)
    corners = motion.landmarks[[61, 291], :2].round().astype(int)
    assert (frame[corners[:, 1], corners[:, 0]] > 130).all()
    assert frame.max() == 140
