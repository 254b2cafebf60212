"""The main job, end to end, on a generated driver."""

from __future__ import annotations

import hashlib
import json
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import avatarkit
from avatarkit.errors import OutputError
from avatarkit.face.mediapipe_tracker import MediaPipeTracker
from avatarkit.media.image import read_image
from avatarkit.media.probe import probe
from avatarkit.motion.config import MotionConfig
from avatarkit.pipelines.driver import DriverPart
from avatarkit.pipelines.report import ReenactReport

from .conftest import FRAMES, RATE, SIZE, Notices, Run, frames_of, run_ffmpeg


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reenact")


@pytest.fixture(scope="module")
def progress() -> Notices:
    return Notices()


@pytest.fixture(scope="module")
def result(folder: Path, run: Run, progress: Notices) -> tuple[Path, ReenactReport]:
    """The plain job, with a report."""
    output = folder / "out.mp4"
    return output, run(output, report=folder / "out.json", progress=progress)


@pytest.fixture(scope="module")
def pngs(folder: Path, run: Run) -> list[np.ndarray]:
    """The frames of the same job without compression."""
    run(folder / "frames", codec="png")
    return frames_of(folder / "frames")


def test_length_rate_and_size_are_exact(result: tuple[Path, ReenactReport], driver: Path) -> None:
    video, wanted = probe(result[0]).video, probe(driver).video
    assert video is not None
    assert wanted is not None
    assert (video.frames, video.rate, video.variable_rate) == (FRAMES, RATE, False)
    assert (video.frames, video.rate) == (wanted.frames, wanted.rate)
    assert (video.width, video.height, video.codec, video.pix_fmt) == (SIZE, SIZE, "h264", "yuv420p")
    assert (video.matrix, video.color_range) == ("bt709", "tv")
    assert len(frames_of(result[0])) == FRAMES


def test_sound_passes_through(result: tuple[Path, ReenactReport], driver: Path) -> None:
    audio, wanted = probe(result[0]).audio, probe(driver).audio
    assert audio is not None
    assert wanted is not None
    assert result[1].content["output"]["audio"] == "copied"
    assert (audio.codec, audio.sample_rate_hz, audio.channels) == (
        wanted.codec, wanted.sample_rate_hz, wanted.channels,
    )  # fmt: skip
    assert abs(audio.duration - wanted.duration) < Fraction(1, 20)
    assert abs(audio.start - wanted.start) < Fraction(1, 50)


def test_container_says_that_it_is_synthetic(result: tuple[Path, ReenactReport]) -> None:
    text = run_ffmpeg("-i", f"file:{result[0]}", "-f", "ffmetadata", "-").decode()
    assert "ynthetic" in text
    assert f"avatarkit {avatarkit.__version__}" in text
    assert "warp" in text


def test_report(
    result: tuple[Path, ReenactReport], folder: Path, grace_hopper_path: Path, driver: Path
) -> None:
    content = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert content == json.loads(result[1].to_text())
    for name, path in (("source", grace_hopper_path), ("driver", driver)):
        assert content[name]["path"] == str(path)
        assert content[name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (content["source"]["width"], content["source"]["height"]) == (512, 600)
    assert content["source"]["face_height_px"] == pytest.approx(204, abs=12)
    assert content["output"] == {
        "path": str(folder / "out.mp4"), "width": SIZE, "height": SIZE, "rate": "30000/1001",
        "frames": FRAMES,
        "audio": "copied",
    }  # fmt: skip
    assert content["engine"].startswith("warp ")
    assert content["motion"]["missing_frames"] == 0
    assert content["motion"]["cuts"] == []
    (reference,) = content["motion"]["reference_frames"]
    assert 0 <= reference < FRAMES
    assert content["motion"]["frames_by_state"]["tracked"] == FRAMES
    assert {"source", "track", "prepare", "render"} <= set(content["seconds"])
    assert content["peak_memory_bytes"] > 50e6
    assert content["versions"]["avatarkit"] == avatarkit.__version__
    assert content["options"]["size"] == SIZE
    assert content["options"]["motion"]["mode"] == "relative"


def test_summary_states_the_faces_resolution(result: tuple[Path, ReenactReport]) -> None:
    text = "\n".join(result[1].summary_lines())
    assert "out.mp4" in text
    assert f"{SIZE} x {SIZE}, {FRAMES} frames" in text
    assert "face in the source: 20" in text
    assert "px high" in text


def test_progress_counts_every_frame(result: tuple[Path, ReenactReport], progress: Notices) -> None:
    totals = dict(progress.stages)
    assert (totals["track"], totals["render"]) == (FRAMES, FRAMES)
    assert (progress.stages[-1][0], progress.done) == ("render", FRAMES)
    assert progress.notices == []


def test_nothing_temporary_is_left(
    result: tuple[Path, ReenactReport], pngs: list[np.ndarray], folder: Path
) -> None:
    names = {path.name for path in folder.iterdir()}
    assert names >= {"frames", "out.json", "out.mp4"}
    assert not [name for name in names if name.startswith(".") or "partial" in name]


def test_the_face_moves_and_the_corners_do_not(pngs: list[np.ndarray]) -> None:
    stack = np.stack(pngs).astype(int)
    moving = np.abs(stack - stack[0]).max((0, 3))
    assert moving[SIZE // 3 : 2 * SIZE // 3, SIZE // 3 : 2 * SIZE // 3].max() > 40
    assert moving[:8, :8].max() == moving[:8, -8:].max() == 0


def test_video_shows_the_same_frames(result: tuple[Path, ReenactReport], pngs: list[np.ndarray]) -> None:
    for frame, png in zip(frames_of(result[0]), pngs, strict=True):
        assert np.abs(frame.astype(int) - png).mean() < 4.0


def test_result_speaks_like_the_driver(
    pngs: list[np.ndarray], driver: Path, tracker: MediaPipeTracker
) -> None:
    """Mouth openings over time, measured on the result, rise and fall with the driver's."""
    from avatarkit.head.coordinates import mouth_opening

    rows = []
    for frames in (frames_of(driver), pngs):
        rows.append([mouth_opening(tracker.detect(frame)[0].landmarks[:, :2]) for frame in frames])
    assert np.ptp(rows[0]) > 0.1
    assert np.corrcoef(rows)[0, 1] > 0.8


def test_motion_file_gives_the_same_frames(
    run: Run, motion_file: Path, pngs: list[np.ndarray], folder: Path
) -> None:
    report = run(folder / "from-motion", driver=motion_file, codec="png")
    for one, other in zip(frames_of(folder / "from-motion"), pngs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert report.content["output"]["audio"] == "none"
    assert report.content["output"]["rate"] == "30000/1001"
    assert report.content["driver"]["kind"] == "motion"


def test_same_command_same_bytes(run: Run, pngs: list[np.ndarray], folder: Path) -> None:
    run(folder / "again", codec="png")
    for file in sorted((folder / "again").iterdir()):
        assert file.read_bytes() == (folder / "frames" / file.name).read_bytes(), file.name


def test_photo_as_driver_gives_a_picture(
    run: Run, photo: Path, folder: Path, own_picture: np.ndarray
) -> None:
    report = run(folder / "photo.png", driver=photo)
    picture = read_image(folder / "photo.png")
    assert picture.shape == (SIZE, SIZE, 3)
    assert report.content["output"]["frames"] == 1
    with Image.open(folder / "photo.png") as opened:
        assert "ynthetic" in " ".join(str(value) for value in opened.info.values())


def test_part_of_a_driver(run: Run, driver: Path, motion_file: Path, folder: Path) -> None:
    """Frames, sound and the driver beside them begin at --start; a motion file is cut at the same frames."""
    part = DriverPart(float(8 / RATE), float(20 / RATE))
    report = run(folder / "part.mp4", part=part, side_by_side=True)
    video, audio = probe(folder / "part.mp4").video, probe(folder / "part.mp4").audio
    assert video is not None
    assert audio is not None
    assert report.content["output"]["frames"] == video.frames == 12
    assert abs(float(audio.duration - 12 / RATE)) < 0.06
    assert abs(float(audio.start)) < 0.03
    shown = frames_of(folder / "part.mp4")[0][:, SIZE : 2 * SIZE].astype(int)
    far = [np.abs(shown - frame).mean() for frame in frames_of(driver)]
    assert int(np.argmin(far)) == 8
    run(folder / "part-motion", driver=motion_file, part=part, codec="png")
    assert len(frames_of(folder / "part-motion")) == 12


def test_sound_of_a_part_is_that_part(folder: Path, run: Run, motion_file: Path) -> None:
    """A click at 0.5 s is heard 0.3 s after a start at 0.2 s, under a motion file that has no sound of its own."""
    click, output = folder / "click.wav", folder / "clicked.mov"
    samples = np.zeros(48000, np.int16)
    samples[24000:24480] = 20000
    with wave.open(str(click), "wb") as file:
        file.setparams((1, 2, 48000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    report = run(output, driver=motion_file, audio=click, part=DriverPart(start_s=0.2), size=96)
    assert report.content["output"]["audio"] in ("copied", "encoded")
    raw = run_ffmpeg("-i", f"file:{output}", "-map", "0:a", "-ac", "1", "-ar", "48000", "-f", "s16le", "-")
    heard = np.flatnonzero(np.abs(np.frombuffer(raw, np.int16).astype(int)) > 8000)
    wanted = 0.5 - float(round(0.2 * RATE) / RATE)
    assert heard[0] / 48000 == pytest.approx(wanted, abs=0.03)


def test_preview_is_one_picture_of_eight_cells(run: Run, folder: Path) -> None:
    report = run(folder / "preview.png", preview=True)
    assert read_image(folder / "preview.png").shape == (2 * SIZE, 4 * SIZE, 3)
    assert report.content["output"]["frames"] == 7


def test_crop_scale_and_offset_move_the_face(run: Run, photo: Path, folder: Path, tracker: MediaPipeTracker) -> None:
    faces = []
    for name, options in (
        ("plain", {}), ("wide", {"crop_scale": 2.8}), ("moved", {"crop_offset": (0.1, 0.0), "crop_scale": 2.0}),
        ("still", {"crop_scale": 2.0}),
    ):  # fmt: skip
        run(folder / f"{name}.png", driver=photo, **options)
        faces.append(tracker.detect(read_image(folder / f"{name}.png"))[0])
    plain, wide, moved, still = faces
    assert plain.extent_px > wide.extent_px
    assert moved.centre[0] - still.centre[0] == pytest.approx(0.1 * SIZE, abs=6)


def test_an_output_folder_is_made(run: Run, photo: Path, tmp_path: Path) -> None:
    run(tmp_path / "new" / "folder" / "out.png", driver=photo, size=96)
    assert (tmp_path / "new" / "folder" / "out.png").is_file()


def test_one_frame_video_gives_one_frame(run: Run, driver: Path, folder: Path) -> None:
    one = folder / "one.mp4"
    run_ffmpeg("-i", f"file:{driver}", "-frames:v", "1", "-an", f"file:{one}")
    report = run(folder / "one-out.mp4", driver=one)
    assert report.content["output"]["frames"] == 1
    assert len(frames_of(folder / "one-out.mp4")) == 1


def test_side_by_side_shows_source_driver_and_result(
    run: Run, driver: Path, folder: Path, pngs: list[np.ndarray]
) -> None:
    report = run(folder / "beside", side_by_side=True, codec="png")
    frames, shown = frames_of(folder / "beside"), frames_of(driver)
    assert (report.content["output"]["width"], report.content["output"]["height"]) == (3 * SIZE, SIZE)
    for number in (0, FRAMES // 2, FRAMES - 1):
        assert frames[number].shape == (SIZE, 3 * SIZE, 3)
        np.testing.assert_array_equal(frames[number][:, :SIZE], frames[0][:, :SIZE])
        assert np.abs(frames[number][:, SIZE : 2 * SIZE].astype(int) - shown[number]).mean() < 1.0
        np.testing.assert_array_equal(frames[number][:, 2 * SIZE :], pngs[number])


def test_strength_zero_stands_still(run: Run, motion_file: Path, folder: Path) -> None:
    run(folder / "still", driver=motion_file, codec="png", motion=MotionConfig(strength=0.0))
    frames = frames_of(folder / "still")
    for frame in frames[1:]:
        np.testing.assert_array_equal(frame, frames[0])


def test_existing_output_is_kept_without_overwrite(run: Run, motion_file: Path, folder: Path) -> None:
    output = folder / "kept.mp4"
    output.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"kept\.mp4: exists already.*--overwrite"):
        run(output, driver=motion_file)
    assert output.read_bytes() == b"precious"
    run(output, driver=motion_file, overwrite=True)
    assert probe(output).video is not None


@pytest.mark.parametrize(
    "name", ["with space.mp4", 'quo\'te "x".mp4', "-dash.mp4", "Zoë 東京 %03d.mp4", "back\\slash & $HOME.mp4"]
)
def test_any_name_will_do(
    name: str,
    run: Run,
    driver: Path,
    grace_hopper_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Source, driver and output are relative names, so that a leading dash leads."""
    monkeypatch.chdir(tmp_path)
    source, clip = Path(f"{name}.source.jpg"), Path(f"{name}.driver.mp4")
    source.write_bytes(grace_hopper_path.read_bytes())
    run_ffmpeg("-t", "0.12", "-i", f"file:{driver}", "-c", "copy", f"file:{clip}")
    report = run(Path(name), source=source, driver=clip, size=96)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, source.name, clip.name])
    assert report.content["output"]["audio"] == "copied"
    video = probe(Path(name)).video
    assert video is not None
    assert video.frames == report.content["output"]["frames"]


def test_extensions_of_inputs_do_not_matter(
    run: Run, driver: Path, grace_hopper_path: Path, tmp_path: Path
) -> None:
    source, clip = tmp_path / "source.mp4", tmp_path / "driver.jpg"
    source.write_bytes(grace_hopper_path.read_bytes())
    clip.write_bytes(driver.read_bytes())
    assert (
        run(tmp_path / "out.mp4", source=source, driver=clip, size=96).content["output"]["frames"] == FRAMES
    )


def test_truncated_driver_is_used_up_to_the_break(run: Run, driver: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mp4", tmp_path / "cut.mp4"
    plain = ("-c:v", "libx264", "-bf", "0", "-g", "4", "-c:a", "copy", "-movflags", "+faststart")
    run_ffmpeg("-i", f"file:{driver}", *plain, f"file:{whole}")
    data = whole.read_bytes()
    cut.write_bytes(data[: len(data) * 7 // 10])
    progress = Notices()
    report = run(tmp_path / "out.mp4", driver=cut, progress=progress, size=96)
    frames = report.content["output"]["frames"]
    assert 3 < frames < FRAMES
    (warning,) = report.content["driver"]["warnings"]
    assert "cut.mp4" in warning
    assert f"{FRAMES - frames} of {FRAMES}" in warning
    assert progress.notices == [warning]
    assert len(frames_of(tmp_path / "out.mp4")) == frames
    audio = probe(tmp_path / "out.mp4").audio
    assert audio is None or abs(float(audio.duration) - float(frames / RATE)) < 0.06


def test_a_very_large_source(run: Run, grace_hopper: np.ndarray, photo: Path, tmp_path: Path) -> None:
    """8K: read, tracked and cut; nothing else is done at that size."""
    with Image.new("RGB", (7680, 4320), (90, 100, 120)) as wall:
        wall.paste(Image.fromarray(grace_hopper).resize((2560, 3000)), (2600, 700))
        wall.save(tmp_path / "8k.jpg", quality=80)
    report = run(tmp_path / "out.png", source=tmp_path / "8k.jpg", driver=photo)
    assert (report.content["source"]["width"], report.content["source"]["height"]) == (7680, 4320)
    assert report.content["source"]["face_height_px"] > 900
    assert read_image(tmp_path / "out.png").shape == (SIZE, SIZE, 3)
