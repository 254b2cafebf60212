"""A film as source: it keeps its head and its background, and takes the driver's expression."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import UsageError
from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.head.coordinates import head_frame, mouth_opening
from avatarkit.motion.config import MotionConfig

from .conftest import FRAMES, Run, frames_of, run_ffmpeg


@pytest.fixture(scope="module")
def film(driver: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The driver backwards, without sound, at half of its rate: mouths of the two do not go together."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    run_ffmpeg("-i", str(driver), "-an", "-vf", "reverse,fps=15000/1001", "-c:v", "ffv1", str(path))
    return path


@pytest.fixture(scope="module")
def frames(run: Run, film: Path, tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    folder = tmp_path_factory.mktemp("filmed") / "frames"
    report = run(folder, source=film, size=None, codec="png")
    assert report.content["output"]["frames"] == FRAMES
    return frames_of(folder)


def shown(film: Path) -> list[np.ndarray]:
    """The film's frames at the driver's rate."""
    return [frame for frame in frames_of(film) for _ in range(2)][:FRAMES]


def test_all_but_the_face_is_the_films(frames: list[np.ndarray], film: Path) -> None:
    for frame, own in zip(frames[::6], shown(film)[::6], strict=True):
        np.testing.assert_array_equal(frame[:30], own[:30])
        np.testing.assert_array_equal(frame[:, :20], own[:, :20])


def test_the_mouth_is_the_drivers_and_the_head_the_films(
    frames: list[np.ndarray], film: Path, driver: Path, tracker: MediaPipeTracker
) -> None:
    seen, own, asked = (
        [tracker.detect(frame)[0].landmarks.astype(np.float64) for frame in video[::2]]
        for video in (frames, shown(film), frames_of(driver))
    )
    mouths = np.array([[mouth_opening(face[:, :2]) for face in faces] for faces in (seen, own, asked)])
    assert np.corrcoef(mouths[0], mouths[2])[0, 1] > 0.8
    assert np.corrcoef(mouths[0], mouths[1])[0, 1] < 0.5
    # Nose and corners of the eyes: the turn that a tracker sees also goes by what it sees of a mouth.
    fixed = [1, 4, 6, 168, 33, 133, 263, 362]
    ours, theirs = (
        [np.abs(a[fixed, :2] - b[fixed, :2]).mean() / head_frame(b).scale for a, b in zip(faces, own, strict=True)]
        for faces in (seen, asked)
    )
    assert np.median(ours) < 0.02
    assert np.median(ours) < 0.25 * np.median(theirs)


def test_region_mouth_leaves_the_eyes_alone(run: Run, film: Path, tmp_path: Path) -> None:
    run(tmp_path / "frames", source=film, size=None, codec="png", motion=MotionConfig(region="mouth"))
    for frame, own in zip(frames_of(tmp_path / "frames")[::6], shown(film)[::6], strict=True):
        # Places are sums of floats: a level may be rounded the other way.
        np.testing.assert_allclose(frame[:95].astype(int), own[:95].astype(int), rtol=0, atol=1)


@pytest.mark.parametrize(
    "options", [{"size": 256}, {"background": "#00b140"}, {"preview": True}, {"motion": MotionConfig(mode="absolute")}]
)
def test_what_films_cannot_do_is_refused(run: Run, film: Path, tmp_path: Path, options: dict[str, object]) -> None:
    output = tmp_path / ("out.png" if options.get("preview") else "out.mp4")
    with pytest.raises(UsageError, match="is a video, whose frames keep"):
        run(output, **{"source": film, "size": None, **options})
