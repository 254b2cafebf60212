"""What lies behind the head: transparency, colours, pictures, the source's own frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avatarkit.geometry.crop import head_crop
from avatarkit.media.encode import FrameWriter
from avatarkit.media.image import read_image, write_image
from avatarkit.media.probe import probe
from avatarkit.motion.config import MotionConfig
from avatarkit.motion.file import read_motion, write_motion

from .conftest import FRAMES, SIZE, Notices, Run, frames_of, run_ffmpeg


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("layers")


@pytest.fixture(scope="module")
def short(motion_file: Path, folder: Path) -> Path:
    """Every fifth frame of the driver's motion."""
    from dataclasses import replace

    motion = read_motion(motion_file)
    names = (
        "rotation",
        "translation",
        "scale",
        "expression",
        "mouth_opening",
        "eye_opening",
        "gaze",
        "presence",
    )
    rows = {name: getattr(motion, name)[::5] for name in (*names, "state", "shot")}
    path = folder / "short.motion"
    write_motion(path, replace(motion, **rows))
    return path


@pytest.fixture(scope="module")
def layer(run: Run, short: Path, folder: Path) -> list[np.ndarray]:
    """The transparent layer as PNGs, RGBA."""
    run(folder / "layer", driver=short, background="transparent")
    return frames_of(folder / "layer")


def test_png_folder_has_straight_alpha(layer: list[np.ndarray], folder: Path) -> None:
    assert [path.name for path in sorted((folder / "layer").iterdir())] == [f"{n:06d}.png" for n in range(5)]
    for frame in layer:
        assert frame.shape == (SIZE, SIZE, 4)
        alpha = frame[..., 3]
        assert alpha[:8, :8].max() == 0
        assert alpha[SIZE // 3 : SIZE // 2, SIZE // 2 - 20 : SIZE // 2 + 20].min() > 250
        assert 0.2 < (alpha > 127).mean() < 0.8


@pytest.mark.parametrize(("name", "codec", "pixels"), [("a.mov", "prores", "yuva444p"), ("a.webm", "vp9", "yuva420p")])
def test_transparent_video(
    run: Run, short: Path, layer: list[np.ndarray], folder: Path, name: str, codec: str, pixels: str
) -> None:
    run(folder / name, driver=short, background="transparent")
    video = probe(folder / name).video
    assert video is not None
    assert (video.codec, video.frames) == (codec, 5)
    decoder = ("-c:v", "libvpx-vp9") if codec == "vp9" else ()
    raw = run_ffmpeg(*decoder, "-i", f"file:{folder / name}", "-f", "rawvideo", "-pix_fmt", "rgba", "-")
    frames = np.frombuffer(raw, np.uint8).reshape(-1, SIZE, SIZE, 4)
    for frame, wanted in zip(frames, layer, strict=True):
        assert np.abs(frame[..., 3].astype(int) - wanted[..., 3]).mean() < 2.0
        seen = wanted[..., 3] > 250
        assert np.abs(frame.astype(int) - wanted)[seen].mean() < 6.0


def test_colour_behind_the_head(run: Run, short: Path, layer: list[np.ndarray], folder: Path) -> None:
    run(folder / "green", driver=short, background="#00b140", codec="png")
    for frame, cutout in zip(frames_of(folder / "green"), layer, strict=True):
        assert tuple(frame[2, 2]) == tuple(frame[2, -3]) == (0, 0xB1, 0x40)
        alpha = cutout[..., 3:].astype(float) / 255.0
        expected = alpha * cutout[..., :3] + (1.0 - alpha) * (0, 0xB1, 0x40)
        assert np.abs(frame - expected).max() <= 3.0


def test_picture_behind_the_head(run: Run, short: Path, folder: Path) -> None:
    image = np.zeros((100, 150, 3), np.uint8)
    image[:, :75], image[:, 75:] = (250, 10, 10), (10, 10, 250)
    write_image(folder / "wall.png", image)
    run(folder / "walled", driver=short, background=str(folder / "wall.png"), codec="png")
    frame = frames_of(folder / "walled")[0]
    assert tuple(frame[3, 3]) == (250, 10, 10)
    assert tuple(frame[3, -4]) == (10, 10, 250)


def test_plate_shows_the_sources_own_wall(
    run: Run, short: Path, folder: Path, own_picture: np.ndarray, hopper_landmarks: np.ndarray
) -> None:
    run(folder / "plate", driver=short, codec="png")
    crop = head_crop(hopper_landmarks, 512, 600, SIZE)
    frames = frames_of(folder / "plate")
    corner = crop.to_picture(np.array([6.0, 6.0])).round().astype(int)
    own = own_picture[corner[1] - 3 : corner[1] + 4, corner[0] - 3 : corner[0] + 4].reshape(-1, 3).mean(0)
    assert np.abs(frames[0][3:9, 3:9].reshape(-1, 3).mean(0) - own).max() < 12.0
    for frame in frames:
        np.testing.assert_array_equal(frame[:6, :6], frames[0][:6, :6])


def test_keep_without_motion_is_the_source(run: Run, short: Path, folder: Path, grace_hopper_path: Path) -> None:
    still = MotionConfig(strength=0.0)
    run(folder / "keep", driver=short, background="keep", codec="png", motion=still, paste_back=True)
    for frame in frames_of(folder / "keep"):
        assert np.abs(frame.astype(int) - read_image(grace_hopper_path)).mean() < 0.5


def test_keep_leaves_the_world_straight(run: Run, driver: Path, folder: Path, own_picture: np.ndarray) -> None:
    """Some way from the subject nothing moves, and what the head uncovers is filled."""
    run(folder / "world", driver=driver, background="keep", codec="png", motion=MotionConfig(strength=1.5))
    frames = np.stack(frames_of(folder / "world")).astype(int)
    change = np.abs(frames - frames[0]).max((0, 3))
    assert change[: SIZE // 2, : SIZE // 8].max() == change[: SIZE // 2, -SIZE // 8 :].max() == 0
    assert change[SIZE // 3 : SIZE // 2, SIZE // 3 : -SIZE // 3].max() > 40


@pytest.fixture(scope="module")
def pasted(run: Run, short: Path, framed: Path, folder: Path) -> list[np.ndarray]:
    run(folder / "pasted", source=framed, driver=short, paste_back=True, codec="png")
    return frames_of(folder / "pasted")


def test_paste_back_returns_the_full_frame(pasted: list[np.ndarray], framed: Path) -> None:
    whole = read_image(framed)
    change = np.abs(np.stack(pasted).astype(int) - whole)
    assert change.shape == (5, 700, 800, 3)
    # The face is 102 px high, at (378, 266).
    y, x = np.mgrid[0:700, 0:800]
    distance = np.hypot(x - 378, y - 266)
    assert change[:, distance > 300].max() == 0
    assert change[:, distance < 60].max() > 40


def test_paste_back_shows_no_box(pasted: list[np.ndarray], framed: Path) -> None:
    """Along the edge of all that changes the frame hardly differs from the source."""
    whole = read_image(framed)
    for frame in pasted:
        change = np.abs(frame.astype(int) - whole).max(2)
        rows, columns = np.flatnonzero(change.any(1)), np.flatnonzero(change.any(0))
        box = change[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        for edge in (box[0], box[-1], box[:, 0], box[:, -1]):
            assert edge.mean() < 3.0
            assert np.percentile(edge, 95) < 12


def test_paste_back_keeps_the_sources_sharpness(run: Run, short: Path, framed: Path, folder: Path) -> None:
    """The size option, meant for crops, must not shrink the frame."""
    report = run(folder / "small", source=framed, driver=short, paste_back=True, codec="png", size=64)
    assert (report.content["output"]["width"], report.content["output"]["height"]) == (800, 700)
    assert report.content["source"]["enlarged"] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def odd(framed: Path, folder: Path) -> Path:
    """A source of 501 x 401 pixels."""
    write_image(folder / "odd.png", np.ascontiguousarray(read_image(framed)[140:541, 120:621]))
    return folder / "odd.png"


def test_odd_frames_get_an_even_video(run: Run, short: Path, odd: Path, folder: Path) -> None:
    progress = Notices()
    run(folder / "odd.mp4", source=odd, driver=short, paste_back=True, progress=progress)
    video = probe(folder / "odd.mp4").video
    assert video is not None
    assert (video.width, video.height, video.frames) == (502, 402, 5)
    (notice,) = progress.notices
    assert "501 x 401" in notice


def test_odd_frames_stay_odd_as_pictures(run: Run, short: Path, odd: Path, folder: Path) -> None:
    progress = Notices()
    run(folder / "odd", source=odd, driver=short, paste_back=True, codec="png", progress=progress)
    assert frames_of(folder / "odd")[0].shape == (401, 501, 3)
    assert progress.notices == []


def test_transparent_paste_back(run: Run, short: Path, framed: Path, folder: Path) -> None:
    run(folder / "cutout", source=framed, driver=short, paste_back=True, background="transparent")
    for frame in frames_of(folder / "cutout"):
        assert frame.shape == (700, 800, 4)
        assert frame[:60, :, 3].max() == 0
        assert frame[300, 378, 3] > 250


def test_a_source_with_its_own_alpha_keeps_it(run: Run, short: Path, layer: list[np.ndarray], folder: Path) -> None:
    """A cut-out portrait (here a frame of the layer) is not matted again."""
    write_image(folder / "cutout.png", layer[0])
    report = run(folder / "again", source=folder / "cutout.png", driver=short, background="#ff00ff", codec="png")
    assert "own alpha" in report.content["source"]["matting"]
    assert tuple(frames_of(folder / "again")[0][2, 2]) == (255, 0, 255)


def test_several_faces_are_a_notice_and_can_be_chosen(
    run: Run, photo: Path, grace_hopper: np.ndarray, astronaut: np.ndarray, folder: Path
) -> None:
    from avatarkit.face.types import FaceChoice

    both = np.full((600, 1024, 3), 120, np.uint8)
    both[:512, :512], both[:, 512:] = astronaut, grace_hopper
    write_image(folder / "both.png", both)
    heights = {}
    for name, choice in (
        ("any", FaceChoice()),
        ("left", FaceChoice(index=0)),
        ("at", FaceChoice(at=(780.0, 230.0))),
    ):
        progress = Notices()
        report = run(folder / f"{name}.png", source=folder / "both.png", driver=photo, face=choice, progress=progress)
        heights[name] = report.content["source"]["face_height_px"]
        assert report.content["source"]["faces"] == 2
        told = [text for text in progress.notices if "2 faces" in text]
        assert len(told) == (name == "any")
        assert all("--face" in text for text in told)
    assert heights["any"] == heights["at"] > heights["left"]


def test_a_driver_that_loses_its_face_for_a_while(run: Run, driver: Path, folder: Path) -> None:
    frames = frames_of(driver)
    rng = np.random.default_rng(0)
    with FrameWriter(folder / "gap.mp4", width=SIZE, height=SIZE, rate=probe(driver).video.rate) as writer:
        for number, frame in enumerate(frames):
            if 9 <= number < 15:
                frame = frame.copy()
                frame[40:200, 60:200] = rng.integers(0, 256, (160, 140, 3))
            writer.write(frame)
    report = run(folder / "gap-out.mp4", driver=folder / "gap.mp4", size=96)
    assert report.content["output"]["frames"] == FRAMES
    motion = report.content["motion"]
    assert 4 <= motion["missing_frames"] <= 10
    assert motion["frames_by_state"]["interpolated"] == motion["missing_frames"]
    assert any("without the driver's face" in line for line in report.summary_lines())
