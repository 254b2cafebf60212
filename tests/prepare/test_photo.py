"""Photos: aligned, annotated, and refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.data.columns import check_columns
from avatarkit.media.image import write_image
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.ffhq import quad_of
from avatarkit.prepare.job import PhotoJob
from avatarkit.prepare.process import process_photo
from avatarkit.prepare.tools import Tools

SMALL = PrepareConfig(size=256, matting="mediapipe", iqa="sharpness", min_effective_px=0.0)
Result = ClipData | Rejected


@pytest.fixture(scope="module")
def run(tools: Tools) -> Callable[..., Result]:
    """`run(path, job=..., **settings)`: what becomes of a photo."""

    def process(path: Path, job: dict[str, object] | None = None, **settings: object) -> Result:
        values: dict[str, object] = {"extra": {"photo_url": "u"}, **(job or {})}
        photo = PhotoJob("00007", path, "00007", "train", "https://example.org/7", "CC0", "NASA", **values)  # type: ignore[arg-type]
        return process_photo(photo, replace(SMALL, **settings), tools)  # type: ignore[arg-type]

    return process


def landmarks68(mesh: np.ndarray) -> np.ndarray:
    """300-W landmarks of which only those are right that the alignment needs."""
    points = np.zeros((68, 2)) + mesh[:, :2].mean(0)
    points[36:42] = mesh[[33, 160, 158, 133, 153, 144], :2]
    points[42:48] = mesh[[362, 385, 387, 263, 373, 380], :2]
    points[[48, 54]] = mesh[[61, 291], :2]
    return points


def test_portrait_is_aligned_and_annotated(
    run: Callable[..., Result], grace_hopper_path: Path, hopper_landmarks: np.ndarray
) -> None:
    clip = run(grace_hopper_path)
    assert isinstance(clip, ClipData), clip
    info, quad = clip.info, quad_of(hopper_landmarks)
    assert (info.frames, info.native_rate, info.utterance, info.identity) == (1, "0", "", "00007")
    assert (info.source, info.licence, info.author) == ("https://example.org/7", "CC0", "NASA")
    assert info.extra["photo_url"] == "u"
    assert np.array(json.loads(info.extra["quad"])) == pytest.approx(quad.corners, abs=0.02 * quad.side)
    assert info.head_px == pytest.approx(quad.side, rel=0.02)
    assert not info.age_checked
    assert np.isnan(info.bitrate_kbps)
    columns = check_columns(clip.columns, 1, "photo")
    picture = cv2.imdecode(np.frombuffer(clip.images[0], np.uint8), cv2.IMREAD_COLOR)
    matte = cv2.imdecode(np.frombuffer(clip.mattes[0], np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (256, 256, 3)
    assert matte.shape == (256, 256)
    found = quad_of(columns["landmarks"][0])
    assert found.side == pytest.approx(256, rel=0.03)
    assert found.corners.mean(0) == pytest.approx((127.5, 127.5), abs=5)
    assert columns["score"][0] == pytest.approx(info.score)


def test_given_landmarks_decide_the_square(
    run: Callable[..., Result], grace_hopper_path: Path, hopper_landmarks: np.ndarray
) -> None:
    given = landmarks68(hopper_landmarks)
    clip = run(grace_hopper_path, {"landmarks68": given, "age": 40.0})
    assert isinstance(clip, ClipData)
    assert np.array(json.loads(clip.info.extra["quad"])) == pytest.approx(quad_of(given).corners, abs=1e-3)
    assert clip.info.age_checked


def test_same_photo_gives_the_same_bytes(run: Callable[..., Result], grace_hopper_path: Path) -> None:
    first, second = run(grace_hopper_path), run(grace_hopper_path)
    assert isinstance(first, ClipData)
    assert isinstance(second, ClipData)
    assert (first.images, first.mattes) == (second.images, second.mattes)
    assert all(np.array_equal(first.columns[name], second.columns[name]) for name in first.columns)


@pytest.fixture(scope="module")
def couple(tmp_path_factory: pytest.TempPathFactory, grace_hopper: np.ndarray) -> Path:
    """The portrait with a second, smaller head beside the first."""
    photo = np.full((600, 700, 3), 90, np.uint8)
    photo[:, :512] = grace_hopper
    small = cv2.resize(grace_hopper[60:420, 100:420], None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA)
    photo[80 : 80 + small.shape[0], 322 : 322 + small.shape[1]] = small
    path = tmp_path_factory.mktemp("photos") / "couple.png"
    write_image(path, photo)
    return path


def reason(result: Result) -> str:
    return result.reason if isinstance(result, Rejected) else "clip"


def test_people_are_counted_by_ourselves_or_by_the_list(run: Callable[..., Result], couple: Path) -> None:
    assert reason(run(couple)) == "several-people"
    assert reason(run(couple, max_faces=2)) == "clip"
    assert reason(run(couple, {"face_count": 1})) == "clip"
    assert reason(run(couple, {"face_count": 2})) == "several-people"


def test_children_are_dropped_where_the_age_is_known(run: Callable[..., Result], grace_hopper_path: Path) -> None:
    found = run(grace_hopper_path, {"age": 17.0})
    assert reason(found) == "child"
    assert isinstance(found, Rejected)
    assert found.stage == "plan"
    assert reason(run(grace_hopper_path, {"age": 17.0}, min_age=16.0)) == "clip"


def test_small_blurred_and_faceless_photos(
    run: Callable[..., Result], grace_hopper_path: Path, grace_hopper: np.ndarray, tmp_path: Path
) -> None:
    assert reason(run(grace_hopper_path, min_head_px=900.0)) == "too-small"
    blurred, plain, torn = tmp_path / "blurred.png", tmp_path / "plain.png", tmp_path / "torn.jpg"
    write_image(blurred, cv2.GaussianBlur(grace_hopper, (0, 0), 4.0))
    write_image(plain, np.full((300, 300, 3), 128, np.uint8))
    torn.write_bytes(grace_hopper_path.read_bytes()[:9000])
    assert reason(run(blurred, min_effective_px=120.0)) == "low-effective-resolution"
    assert reason(run(grace_hopper_path, min_effective_px=120.0)) == "clip"
    assert reason(run(plain)) == "no-face"
    assert reason(run(torn)) == "not-a-photo"
    assert reason(run(tmp_path / "absent.png")) == "not-a-photo"


def test_landmarks_of_another_photo_are_noticed(
    run: Callable[..., Result], grace_hopper_path: Path, hopper_landmarks: np.ndarray
) -> None:
    given = landmarks68(hopper_landmarks) + np.array([600.0, 0.0])
    assert reason(run(grace_hopper_path, {"landmarks68": given})) == "outside-frame"
    assert reason(run(grace_hopper_path, {"landmarks68": np.zeros((68, 2)) + 5.0})) == "outside-frame"
