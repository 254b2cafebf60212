"""The demo, at a small size: what it writes, what it refuses, what it leaves behind."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import OutputError, UsageError
from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.face.types import FaceChoice
from avatarkit.media.image import read_image
from avatarkit.media.probe import probe
from avatarkit.motion.columns import Motion
from avatarkit.motion.file import read_motion
from avatarkit.motion.script import Script
from avatarkit.pipelines import demo
from avatarkit.pipelines.contact_sheet import contact_sheet
from avatarkit.pipelines.driver import load_driver
from avatarkit.pipelines.voice import SAMPLE_RATE_HZ, voice
from avatarkit.runtime import NullProgress

SIZE = 256


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> demo.DemoResult:
    folder = tmp_path_factory.mktemp("demo") / "out put"
    return demo.run_demo(folder, size=SIZE, overwrite=False, progress=NullProgress())


def tracked(path: Path) -> Motion:
    tracker = MediaPipeTracker()
    try:
        return load_driver(path, tracker, FaceChoice(), "interpolate", NullProgress()).motion
    finally:
        tracker.close()


def test_everything_is_there(result: demo.DemoResult) -> None:
    assert {what: path.name for what, path in result.paths.items()} == demo.NAMES
    folder = result.paths["result"].parent
    assert {path.name for path in folder.iterdir()} == set(demo.NAMES.values())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name], "nothing temporary is left"


@pytest.mark.parametrize(
    ("what", "size"), [("driver", (SIZE, SIZE)), ("result", (SIZE, SIZE)), ("side by side", (3 * SIZE, SIZE))]
)
def test_videos(result: demo.DemoResult, what: str, size: tuple[int, int]) -> None:
    info = probe(result.paths[what])
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.width, info.video.height) == size
    assert (info.video.rate, info.video.frames) == (Fraction(25), 150)
    assert abs(float(info.audio.duration) - 6.0) < 0.02


def test_contact_sheet_shows_what_the_videos_show(result: demo.DemoResult) -> None:
    sheet = read_image(result.paths["contact sheet"])
    assert sheet.shape == (2 * demo.CELL_PX, len(demo.MOMENTS_S) * demo.CELL_PX, 3)
    cells = sheet.reshape(2, demo.CELL_PX, len(demo.MOMENTS_S), demo.CELL_PX, 3)
    assert float(cells.std(axis=(1, 3, 4)).min()) > 20, "no empty cell"


def test_result_follows_the_driver(result: demo.DemoResult) -> None:
    script = read_motion(result.paths["script"])
    driver, made = tracked(result.paths["driver"]), tracked(result.paths["result"])
    assert (driver.missing, made.missing, made.cuts) == (0, 0, [])

    def alike(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1])

    assert alike(script.mouth_opening, driver.mouth_opening) > 0.9
    assert alike(driver.mouth_opening, made.mouth_opening) > 0.9
    assert alike(driver.rotation[:, 0, 2], made.rotation[:, 0, 2]) > 0.9
    assert alike(driver.gaze.mean(1)[:, 0], made.gaze.mean(1)[:, 0]) > 0.7


def test_existing_folder_needs_overwrite(result: demo.DemoResult) -> None:
    folder = result.paths["result"].parent
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    with pytest.raises(OutputError, match="--overwrite"):
        demo.run_demo(folder, size=SIZE, overwrite=False, progress=NullProgress())
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_other_files_are_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(OutputError, match=r"thesis\.txt"):
        demo.run_demo(folder, size=SIZE, overwrite=True, progress=NullProgress())
    assert (folder / "thesis.txt").read_text() == "precious"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="not a folder"):
        demo.run_demo(tmp_path / "out", size=SIZE, overwrite=True, progress=NullProgress())


@pytest.mark.parametrize("size", [255, 0, 10000])
def test_impossible_size_is_refused_first(tmp_path: Path, size: int) -> None:
    with pytest.raises(UsageError, match="even number"):
        demo.run_demo(tmp_path / "out", size=size, overwrite=False, progress=NullProgress())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OutputError("disk full")])
@pytest.mark.parametrize("earlier", [False, True])
def test_failure_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, earlier: bool
) -> None:
    folder = tmp_path / "out"
    if earlier:
        folder.mkdir()
        (folder / "result.mp4").write_bytes(b"earlier")

    def fail(output: Path, **_: object) -> None:
        output.write_bytes(b"half")
        raise error

    monkeypatch.setattr(demo, "make_driver", fail)
    with pytest.raises(type(error)):
        demo.run_demo(folder, size=SIZE, overwrite=earlier, progress=NullProgress())
    kept = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert kept == ({"out", "out/result.mp4"} if earlier else set())


def test_overwrite_replaces_the_whole_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "side-by-side.mp4").write_bytes(b"earlier")
    with demo._pending_folder(folder, overwrite=True) as fresh:
        (fresh / "result.mp4").write_bytes(b"new")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")} == {"out", "out/result.mp4"}


def test_contact_sheet_refuses_nothing_to_show() -> None:
    with pytest.raises(UsageError):
        contact_sheet([], [0], 10)


def test_voice_is_as_long_as_the_frames_and_loud_when_the_jaw_is_open() -> None:
    script = Script(duration_s=3.0, rate=Fraction(30000, 1001))
    samples = voice(script).astype(np.float64)
    assert len(samples) == round(90 * Fraction(1001, 30000) * SAMPLE_RATE_HZ)
    assert 0.1 < np.abs(samples).max() / 32767 < 0.3

    def loudness(start_s: float, stop_s: float) -> float:
        part = samples[round(start_s * SAMPLE_RATE_HZ) : round(stop_s * SAMPLE_RATE_HZ)]
        return float(np.sqrt(np.mean(part**2)))

    assert loudness(0.0, 0.75) == 0.0
    assert loudness(1.40, 1.52) > 1000
    assert not voice(Script(duration_s=1.0, speech=0.0)).any()
