"""Postures without a tracker's tremor: what is averaged, and over which frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from avatarkit.geometry.rotation import angle_deg, from_euler_deg, nearest
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.transfer import Transfer

from .conftest import IDENTITY, STILL, Pose, motion_of, with_mouth


def test_a_calm_posture_is_the_mean_of_its_shot(posed: Callable[..., list[np.ndarray]], frontal: np.ndarray) -> None:
    opened = with_mouth(frontal, 0.2)
    poses = [STILL] * 8 + [Pose(yaw_deg=-16, dx=12)] * 8 + [STILL] * 12
    motion = motion_of(posed(poses, [frontal] * 16 + [opened] * 6 + [frontal] * 6))
    tremor = np.where(np.arange(len(motion)) % 2, 1.0, -1.0)
    turned = np.stack([from_euler_deg(2.0 * t, 0, 0) for t in tremor]) @ motion.rotation
    split = replace(
        motion, rotation=turned.astype(np.float32), shot=(np.arange(len(motion)) >= 20).astype(np.int32),
        identity=np.repeat(motion.identity, 2, axis=0),
    )  # fmt: skip
    transfer = Transfer(split, frontal, MotionConfig(), IDENTITY)
    frames = [transfer.frame(index) for index in range(len(split))]
    calm = [frame.calm() for frame in frames]
    # Where the driver stands still but for the tremor, nearly nothing of it is left.
    assert angle_deg(frames[11].pose.rotation, frames[12].pose.rotation) > 3.5
    assert angle_deg(calm[11].rotation, calm[12].rotation) < 0.1
    middle = 0.5 * (frames[11].pose.rotation + frames[12].pose.rotation)
    assert angle_deg(calm[11].rotation, nearest(middle)) < 0.2
    # CALM_S is three frames of 25 a second; nearer ones count more, and those of another shot do not.
    shapes = [frame.pose.apply_inverse(frame.landmarks) for frame in frames]
    expected = sum(share * shapes[18 + step] for step, share in zip(range(-3, 2), (1, 2, 3, 4, 3), strict=True)) / 13.0
    np.testing.assert_allclose(calm[18].shape, expected, atol=1e-9)
    expected = sum(share * shapes[20 + step] for step, share in enumerate((4, 3, 2, 1))) / 10.0
    np.testing.assert_allclose(calm[20].shape, expected, atol=1e-9)
