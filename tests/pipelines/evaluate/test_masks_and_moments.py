"""Masks of the head, and what shows between successive frames."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import pytest

from avatarkit.pipelines.evaluate.moments import Moments
from avatarkit.pipelines.evaluate.networks import Networks, face_hull, head_mask


def test_heads_have_hair_and_ears_and_no_neck(hopper_landmarks: np.ndarray, grace_hopper: np.ndarray) -> None:
    height, width = grace_hopper.shape[:2]
    points = np.asarray(hopper_landmarks, np.float64)
    (left, top), (right, _) = points[:468, :2].min(axis=0), points[:468, :2].max(axis=0)
    chin, middle = points[152, 1], int((top + points[152, 1]) / 2)
    classes = np.zeros((6, height, width), np.float32)
    classes[1, : int(top)] = 1  # hair above the face
    classes[2, middle:] = 1  # the body's skin from beside the ears down
    mask = head_mask(classes, points, height, width)
    assert mask[0, 0] == 1
    assert mask[middle + 2, int(right + 0.1 * (right - left))] == 1  # an ear
    assert mask[middle - 4, int(right + 0.1 * (right - left))] == 0
    assert mask[middle + 2, int(left - 0.5 * (right - left))] == 0  # beyond the ears
    assert mask[int(chin) + 3 :].sum() <= face_hull(points, height, width)[int(chin) + 3 :].sum()  # no neck
    assert set(np.unique(mask)) == {0, 1}


class Quality:
    def score(self, frames: np.ndarray) -> np.ndarray:
        return frames.mean(axis=(1, 2, 3))


class Nets:
    quality, segmenter = Quality(), "here"

    def person(self, picture: np.ndarray) -> np.ndarray:
        return picture[..., 0].astype(np.float32) / 255


def texture(seed: int, spread: float = 3.0) -> np.ndarray:
    draw = cv2.GaussianBlur(np.random.default_rng(7).normal(128, 90, (48, 48, 3)), (0, 0), 3)
    return (draw + np.random.default_rng(seed).normal(0, spread, draw.shape)).clip(0, 255).astype(np.uint8)


def test_flicker_is_told_against_the_drivers_own() -> None:
    moments = Moments(cast(Networks, Nets()))
    assert moments.figures() == {}
    calm, restless = (texture(0), texture(1)), (texture(0, 12.0), texture(1, 12.0))
    speckled = calm[0].copy()
    speckled[10:40:10, 10:40:10] = 255
    moments.add((speckled, calm[1]), calm)
    figures = moments.figures()
    assert figures["specks_excess_ppm"] == pytest.approx(9e6 / 48**2, rel=0.5)
    assert figures["iqa"] == pytest.approx(speckled.mean(), rel=1e-3)
    same = Moments(cast(Networks, Nets()))
    same.add(calm, calm)
    assert (same.figures()["flicker"], same.figures()["matte_flicker"]) == (1, 1)
    assert same.figures()["specks_excess_ppm"] == 0
    worse = Moments(cast(Networks, Nets()))
    worse.add(restless, calm)
    flicker: Any = worse.figures()["flicker"]
    matte: Any = worse.figures()["matte_flicker"]
    assert flicker > 2
    assert matte > 2
    still = Moments(cast(Networks, Nets()))
    still.add(calm, (calm[0], calm[0]))
    assert still.figures()["flicker"] is None
