"""Whole videos: what becomes a clip, what it holds, and the reason for everything else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.data.columns import check_columns
from avatarkit.geometry.crop import Crop
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import Track, VideoJob
from avatarkit.prepare.process import process_video
from avatarkit.prepare.tools import Tools

from .conftest import write_video

AT, SHOWN, FRAMES = (200, 60), (640, 360), 40
SMALL = PrepareConfig(size=128, matting="mediapipe", iqa="sharpness")
Box = tuple[float, float, float, float]
Result = ClipData | Rejected


@pytest.fixture(scope="module")
def run(tools: Tools) -> Callable[..., list[Result]]:
    """`run(path, *tracks, **settings)`: everything that comes of a video."""

    def process(path: Path, *tracks: Track, **settings: object) -> list[Result]:
        job = VideoJob("vid", path, "https://example.org/vid", "CC-BY", "somebody", tracks or (free(),), {"title": "t"})
        return list(process_video(job, replace(SMALL, **settings), tools))  # type: ignore[arg-type]

    return process


def free() -> Track:
    return Track("vid", "vid", "", "train")


def boxed(
    box: Box, frames: np.ndarray | None = None, at: tuple[float, float] = AT, name: str = "id1/vid/00001"
) -> Track:
    """A track with the face's box (pixels of the talking photo) for each frame, as shares of the larger frame."""
    numbers = np.arange(30) if frames is None else frames
    left, top = (box[0] + at[0]) / SHOWN[0], (box[1] + at[1]) / SHOWN[1]
    row = [left, top, (box[2] - box[0]) / SHOWN[0], (box[3] - box[1]) / SHOWN[1]]
    return Track(name, "id1", "00001", "val", numbers, np.tile(row, (len(numbers), 1)))


def reasons(results: list[Result]) -> list[str]:
    return [result.reason if isinstance(result, Rejected) else "clip" for result in results]


def the_clip(results: list[Result]) -> ClipData:
    (clip,) = results
    assert isinstance(clip, ClipData), clip
    return clip


def in_original(clip: ClipData, row: int) -> np.ndarray:
    """The stored landmarks of one frame, in pixels of the original."""
    left, top, side = (float(v) for v in clip.columns["crop_px"][row])
    return Crop.square(left, top, side, 128).to_picture(clip.columns["landmarks"][row])


def test_given_track_becomes_a_clip_with_everything(
    run: Callable[..., list[Result]], framed: Path, face_box: Box, talking_frames: list[np.ndarray], tools: Tools
) -> None:
    clip = the_clip(run(framed, boxed(face_box, np.arange(5, 35))))
    info = clip.info
    assert (info.clip_id, info.identity, info.video, info.utterance) == ("id1/vid/00001", "id1", "vid", "00001")
    assert (info.split, info.source) == ("val", "https://example.org/vid")
    assert (info.licence, info.author) == ("CC-BY", "somebody")
    assert (info.frames, info.start_s, info.native_rate, info.extra) == (30, 0.2, "25", {"title": "t"})
    assert info.bitrate_kbps == pytest.approx(framed.stat().st_size * 8 / 1000 / 1.6, rel=0.02)
    assert 0 < info.effective_px <= info.head_px < 360
    assert info.score == pytest.approx(info.sharpness)
    assert not info.age_checked
    columns = check_columns(clip.columns, 30, "clip")
    assert columns["time_s"] == pytest.approx(np.arange(5, 35) / 25)
    assert np.flatnonzero(np.isfinite(columns["score"])).tolist() == [0, 25]
    for row in (0, 29):
        truth = tools.tracker.detect(talking_frames[5 + row])[0].landmarks[:, :2] + AT
        assert np.abs(in_original(clip, row)[:, :2] - truth).mean() < 0.01 * SHOWN[1]
        picture = cv2.imdecode(np.frombuffer(clip.images[row], np.uint8), cv2.IMREAD_COLOR)
        matte = cv2.imdecode(np.frombuffer(clip.mattes[row], np.uint8), cv2.IMREAD_UNCHANGED)
        assert picture.shape == (128, 128, 3)
        assert matte.shape == (128, 128)
        x, y = columns["landmarks"][row, 1, :2].astype(int)
        assert matte[y, x] == 255
        assert matte[2, 2] < 128
        seen = tools.tracker.detect(np.ascontiguousarray(picture[..., ::-1]))[0].landmarks
        assert np.abs(seen[:, :2] - columns["landmarks"][row, :, :2]).mean() < 1.5


def test_crop_follows_a_moving_head_without_squashing(
    run: Callable[..., list[Result]], stage: Callable[..., Path], face_box: Box
) -> None:
    path = stage("moving.mp4", at=("60+6*n", "20+n"))
    shifts = np.stack([60 + 6 * np.arange(FRAMES), 20 + np.arange(FRAMES)], 1)
    size = np.array([face_box[2] - face_box[0], face_box[3] - face_box[1]])
    corners = np.array(face_box[:2]) + shifts
    boxes = np.concatenate([corners, np.tile(size, (FRAMES, 1))], 1) / [*SHOWN, *SHOWN]
    clip = the_clip(run(path, Track("c", "i", "u", "train", np.arange(FRAMES), boxes)))
    left = clip.columns["crop_px"][:, 0]
    assert np.diff(left[5:35]) == pytest.approx(np.full(29, 6.0), abs=1.5)
    # The face keeps its place in the crop while it crosses the frame.
    noses = clip.columns["landmarks"][:, 1, 0]
    assert np.ptp(noses) < 0.1 * 128
    assert np.ptp(clip.columns["crop_px"][:, 2]) < 0.05 * clip.columns["crop_px"][:, 2].mean()


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "60"])
def test_boxes_land_on_the_face_at_other_rates(
    run: Callable[..., list[Result]], at_rate: Callable[[str], Path], face_box: Box, rate: str
) -> None:
    clip = the_clip(run(at_rate(rate), boxed(face_box)))
    assert clip.info.native_rate == rate
    assert clip.columns["time_s"] == pytest.approx(np.arange(30) / 25)
    boxes_middle = (np.array(face_box[:2]) + face_box[2:]) / 2 + AT
    for row in (0, 15, 29):
        found = in_original(clip, row)[:468, :2]
        assert np.abs((found.min(0) + found.max(0)) / 2 - boxes_middle).max() < 0.05 * SHOWN[0]


AWAY = 2000
CROSSING = [(60 + 8 * step, 560 - 13 * step) for step in range(50)]
REPLACED = [*[(270, AWAY)] * 20, *[(AWAY, AWAY)] * 5, *[(AWAY, 330)] * 30]


@pytest.mark.parametrize("places", [CROSSING, REPLACED], ids=["crossing", "replaced"])
def test_a_clip_never_holds_two_people(
    run: Callable[..., list[Result]], tools: Tools, tmp_path: Path, astronaut: np.ndarray, grace_hopper: np.ndarray,
    places: list[tuple[int, int]],
) -> None:  # fmt: skip
    """The second one walks past in front of the first, or soon stands where the first was."""
    first = cv2.resize(astronaut[20:330, 90:360], None, fx=1.1, fy=1.1, interpolation=cv2.INTER_AREA)
    second = cv2.resize(grace_hopper[40:440, 90:420], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    frames = [np.full((380, 800, 3), 140, np.uint8) for _ in places]
    for frame, lefts in zip(frames, places, strict=True):
        for patch, left, top in zip((first, second), lefts, (20, 60), strict=True):
            shown = patch[:, max(0, -left) : max(0, 800 - left)]
            frame[top : top + len(patch), max(0, left) : max(0, left) + shown.shape[1]] = shown
    offsets = [tools.tracker.detect(patch)[0].centre[0] for patch in (first, second)]
    results = run(write_video(tmp_path / "people.mp4", frames), min_frames=8, min_head_px=64)
    owners = []
    for clip in results:
        if isinstance(clip, ClipData):
            numbers = np.rint(clip.columns["time_s"] * 25).astype(int)
            meshes = np.array([in_original(clip, row)[:468, 0] for row in range(clip.info.frames)])
            middles = (meshes.min(1) + meshes.max(1)) / 2
            away = np.abs(middles[:, None] - np.array(places)[numbers] - offsets).max(0)
            assert away.min() < 40, (clip.info.clip_id, away)
            owners.append(int(away.argmin()))
    assert owners == ([0] if places is CROSSING else [0, 1])


def test_same_video_gives_the_same_bytes(
    run: Callable[..., list[Result]], framed: Path, face_box: Box
) -> None:
    first, second = (the_clip(run(framed, boxed(face_box))) for _ in range(2))
    assert first.images == second.images
    assert first.mattes == second.mattes
    assert first.info == second.info
    assert all(np.array_equal(first.columns[n], second.columns[n], equal_nan=True) for n in first.columns)


def test_one_decoding_serves_all_tracks(run: Callable[..., list[Result]], framed: Path, face_box: Box) -> None:
    tracks = (
        boxed(face_box, np.arange(0, 26), name="a"),
        boxed(face_box, np.arange(10, 40), name="b"),
        boxed((300.0, 0.0, 340.0, 40.0), np.arange(2, 38), name="c"),
    )
    results = run(framed, *tracks)
    assert reasons(results) == ["no-face", "clip", "clip"]
    assert [r.info.clip_id for r in results if isinstance(r, ClipData)] == ["a", "b"]


def test_max_frames_ends_a_given_track(run: Callable[..., list[Result]], framed: Path, face_box: Box) -> None:
    assert the_clip(run(framed, boxed(face_box), max_frames=26)).info.frames == 26


def test_faces_are_found_by_ourselves_shot_by_shot(run: Callable[..., list[Result]], two_shots: Path) -> None:
    results = run(two_shots)
    assert reasons(results) == ["clip", "clip"]
    first, second = (r for r in results if isinstance(r, ClipData))
    assert [c.info.clip_id for c in (first, second)] == ["vid-00", "vid-01"]
    assert [c.info.utterance for c in (first, second)] == ["00", "01"]
    assert [c.info.frames for c in (first, second)] == [40, 40]
    assert (first.info.start_s, second.info.start_s) == (0.0, pytest.approx(1.6))
    # Nothing is smoothed across the cut.
    assert in_original(second, 0)[1, 0] == pytest.approx(in_original(first, 0)[1, 0] - 180, abs=3)


def test_long_find_goes_on_in_another_clip_and_a_short_rest_is_left(
    run: Callable[..., list[Result]], framed: Path
) -> None:
    assert [r.info.frames for r in run(framed, max_frames=26, min_frames=10)] == [26, 14]  # type: ignore[union-attr]
    assert [r.info.frames for r in run(framed, max_frames=26)] == [26]  # type: ignore[union-attr]
