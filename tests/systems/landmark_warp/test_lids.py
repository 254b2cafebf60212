"""Closed lids: skin over the eye, one dark line below, and no lashes of the open eye above."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from avatarkit.face import landmarks as lm
from avatarkit.head.coordinates import head_frame
from avatarkit.motion.reshape import with_lids
from avatarkit.motion.transfer import DriveFrame
from avatarkit.systems.landmark_warp.engine import WarpEngine
from avatarkit.systems.landmark_warp.eye_frame import EyeFrame
from avatarkit.systems.landmark_warp.lids import LidLayer, _without_lashes
from avatarkit.systems.protocol import SourceLayers


def shut(source: SourceLayers, openness: float) -> DriveFrame:
    pose = head_frame(source.landmarks)
    shape = pose.apply_inverse(source.landmarks)
    both = np.full(2, openness)
    return DriveFrame(pose, pose.apply(with_lids(shape, shape, both)), both, 0)


def test_a_shut_lid_is_skin_down_to_a_dark_line(source: SourceLayers) -> None:
    engine = WarpEngine()
    engine.prepare(source)
    motion = shut(source, 0.0)
    light = engine.draw(motion)[0].mean(2)
    cheek = np.median([light[tuple(source.landmarks[i, 1::-1].astype(int))] for i in (50, 280, 101, 330)])
    for eye in range(2):
        line = motion.landmarks[lm.UPPER_LIDS[eye][4], :2].round().astype(int)
        crease = motion.landmarks[lm.UPPER_CREASES[eye][3], :2].round().astype(int)
        middle = (line + crease) // 2
        lid = light[middle[1], middle[0] - 2 : middle[0] + 3]
        assert lid.min() > 0.55 * cheek  # no iris, no lashes
        assert light[line[1] - 2 : line[1] + 3, line[0]].min() < lid.mean() - 12.0


@pytest.mark.parametrize("roll_deg", [0.0, 25.0, 60.0, 90.0, 180.0, -90.0])
def test_lashes_are_taken_away_and_folds_stay(roll_deg: float) -> None:
    """Lashes stand on the eye, however the head lies; what runs along it stays."""
    along = np.array([np.cos(np.radians(roll_deg)), np.sin(np.radians(roll_deg))])
    y, x = np.mgrid[0:81, 0:81] - 40.0
    a, b = x * along[0] + y * along[1], y * along[0] - x * along[1]
    skin = np.full((81, 81, 3), 160, np.uint8)
    skin[np.abs(a) < 1.2] = 60  # a strand
    skin[b > 8.0] = 120  # a fold
    part, share = skin.copy(), np.ones((81, 81), np.float32)
    share[a > 22.0] = 0.0
    _without_lashes(part, share, 9, along)
    within = np.hypot(x, y) < 34.0
    assert (part[within & (np.abs(a) < 1.2) & (b < 4.0)] > 145).all()
    assert (np.abs(part[within & (np.abs(a) < 1.2) & (b > 13.0)].astype(int) - 120) < 8).all()
    np.testing.assert_array_equal(part[a > 22.0], skin[a > 22.0])


def test_a_shut_lid_covers_dark_lashes_beside_the_outer_corner(source: SourceLayers) -> None:
    picture, places = source.foreground.copy(), []
    for eye in range(2):
        axes = EyeFrame.of(source.landmarks, eye)
        out = -1.0 if eye == 0 else 1.0
        place = axes.middle + axes.width * (0.58 * out * axes.along - 0.06 * axes.across)
        cv2.circle(picture, place.round().astype(int).tolist(), round(0.06 * axes.width), (20, 20, 20), -1)
        places.append(place.round().astype(int))
    engine = WarpEngine()
    engine.prepare(replace(source, foreground=picture, picture=picture))
    opened, closed = (engine.draw(shut(source, openness))[0].mean(2) for openness in (1.0, 0.0))
    cheek = np.median([closed[tuple(source.landmarks[i, 1::-1].astype(int))] for i in (50, 280, 101, 330)])
    for x, y in places:
        assert opened[y, x] < 0.4 * cheek
        assert closed[y, x] > 0.6 * cheek


def test_no_light_spot_beside_an_eye_in_deep_shadow(source: SourceLayers) -> None:
    picture, places = source.foreground.copy(), []
    for eye in range(2):
        axes = EyeFrame.of(source.landmarks, eye)
        out = -1.0 if eye == 0 else 1.0
        middle = axes.middle + axes.width * 0.6 * out * axes.along
        cv2.circle(picture, middle.round().astype(int).tolist(), round(0.45 * axes.width), (30, 25, 22), -1)
        places.append(middle.round().astype(int))
    engine = WarpEngine()
    engine.prepare(replace(source, foreground=picture, picture=picture))
    closed = engine.draw(shut(source, 0.0))[0].mean(2)
    assert all(closed[y, x] < 40.0 for x, y in places)


def test_skin_over_the_corners_of_a_shutting_eye_leaves_what_is_open(source: SourceLayers) -> None:
    picture = cv2.resize(source.picture, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    large = replace(source, landmarks=4.0 * source.landmarks)
    layer, motion = LidLayer(picture, large.landmarks), shut(large, 0.3)
    inside, frames = np.zeros(picture.shape[:2], np.uint8), []
    for eye in range(2):
        rim = motion.landmarks[list(lm.ring(lm.UPPER_LIDS[eye], lm.LOWER_LIDS[eye])), :2]
        cv2.fillPoly(inside, [rim.round().astype(np.int32)], [1.0])
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8))
    assert np.count_nonzero(inside) > 150
    for corners in (0.0, 1.0):
        layer._lids = [replace(lid, corners=corners) for lid in layer._lids]
        frames.append(np.full_like(picture, 200))
        layer.draw(frames[-1], motion)
    assert not np.array_equal(*frames)  # around the eye they are covered
    assert np.array_equal(frames[0][inside > 0], frames[1][inside > 0])


def test_the_line_of_a_shut_eye_is_no_ink(source: SourceLayers) -> None:
    """What is darkest beside an open lid, a pupil or paint, is darker than lashes that lie on skin."""
    painted = source.picture.copy()
    for upper, lower in zip(lm.UPPER_LIDS, lm.LOWER_LIDS, strict=True):
        ring = source.landmarks[list(lm.ring(upper, lower)), :2].round().astype(np.int32)
        cv2.polylines(painted, [ring], True, (0, 0, 0), 3)
    for lid in LidLayer(painted, source.landmarks)._lids:
        skin = np.median(lid.skin.pixels, axis=(0, 1))
        assert (lid.lashes > 0.15 * skin).all()
        assert (lid.lashes < 0.65 * skin).all()
