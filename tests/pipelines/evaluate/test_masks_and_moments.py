"""Masks of the head, and what shows between successive frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, cast

import cv2
import numpy as np
import pytest

from avatarkit.pipelines.evaluate.moments import Moments
from avatarkit.pipelines.evaluate.networks import HeadMasks, Networks, face_hull, head_mask


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


class Segmenter:
    """Sees hair as a disc wherever the picture is white, and counts."""

    def __init__(self) -> None:
        self.looks = 0

    def classes(self, picture: np.ndarray) -> np.ndarray:
        self.looks += 1
        hair = cv2.resize(picture[..., 0], (256, 256), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        return np.stack([1 - hair, hair, *np.zeros((4, 256, 256), np.float32)])


def disc(centre: tuple[int, int], radius: int) -> np.ndarray:
    return cv2.circle(np.zeros((128, 128, 3), np.uint8), centre, radius, (255, 255, 255), -1)


def test_masks_move_with_the_face_between_looks_of_the_segmenter() -> None:
    nets = Nets()
    nets.segmenter = Segmenter()  # type: ignore[assignment]
    masks = HeadMasks(cast(Networks, nets), Fraction(25))
    points = np.random.default_rng(0).normal(64, 3, (478, 3))
    for number, (shift, grown) in enumerate([(0, 1.0), (6, 1.0), (12, 1.25), (0, 1.0)]):
        own = (points - 64) * grown + 64 + (shift, 0, 0)
        mask = masks.mask(number, disc((64 + shift, 64), round(24 * grown)), own)
        wanted = disc((64 + shift, 64), round(24 * grown))[..., 0] > 0
        assert np.mean(mask.astype(bool) != wanted) < 0.01, number
    assert nets.segmenter.looks == 2  # type: ignore[attr-defined]
    rare = HeadMasks(cast(Networks, nets), Fraction(25))
    for number in (0, 5, 10):
        rare.mask(number, disc((64, 64), 24), points)
    assert nets.segmenter.looks == 5  # type: ignore[attr-defined]


class Quality:
    def score(self, frames: np.ndarray) -> np.ndarray:
        return frames.mean(axis=(1, 2, 3))


class Nets:
    quality, segmenter = Quality(), "here"

    def classes(self, picture: np.ndarray) -> np.ndarray:
        return self.segmenter.classes(picture)  # type: ignore[attr-defined]

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


def test_a_picture_is_segmented_once() -> None:
    nets = Networks.__new__(Networks)
    nets.segmenter, nets._looked = Segmenter(), None  # type: ignore[assignment]
    first, second = disc((64, 64), 24), disc((70, 64), 24)
    seen = [nets.person(picture) for picture in (first, first, second, first)]
    assert nets.segmenter.looks == 3  # type: ignore[attr-defined]
    np.testing.assert_array_equal(seen[0], seen[3])
    assert (seen[0] != seen[2]).any()
