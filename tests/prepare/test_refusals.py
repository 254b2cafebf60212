"""Everything that is no clip: each with its own reason, and nothing thrown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from avatarkit.data.clip import ClipData, Rejected
from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import write_image
from avatarkit.prepare import process
from avatarkit.prepare.config import PrepareConfig
from avatarkit.prepare.job import Track, VideoJob
from avatarkit.prepare.tools import Tools

from .conftest import run_ffmpeg

AT, SHOWN = (200, 60), (640, 360)
SMALL = PrepareConfig(size=128, matting="mediapipe", iqa="sharpness")
Run = Callable[..., ClipData | Rejected]


@pytest.fixture(scope="module")
def outcome(tools: Tools, face_box: tuple[float, float, float, float]) -> Run:
    """`outcome(path, frames=..., box=..., **settings)`: what becomes of one given track."""

    def make(
        path: Path, frames: np.ndarray | None = None, box: tuple[float, ...] | None = None, **settings: object
    ) -> ClipData | Rejected:
        numbers = np.arange(30) if frames is None else frames
        left, top, right, bottom = face_box
        row = box or (
            (left + AT[0]) / SHOWN[0], (top + AT[1]) / SHOWN[1], (right - left) / SHOWN[0], (bottom - top) / SHOWN[1],
        )  # fmt: skip
        track = Track("clip", "id1", "00001", "train", numbers, np.tile(row, (len(numbers), 1)))
        job = VideoJob("vid", path, "vid.mp4", "", "", (track,))
        (result,) = process.process_video(job, replace(SMALL, **settings), tools)  # type: ignore[arg-type]
        return result

    return make


def reason(result: ClipData | Rejected) -> str:
    return result.reason if isinstance(result, Rejected) else f"clip of {result.info.frames}"


def test_cut_inside_of_a_track(outcome: Run, two_shots: Path) -> None:
    assert reason(outcome(two_shots, np.arange(10, 70))) == "cut"


def test_cut_at_the_ends_of_a_track_trims_it(
    outcome: Run, two_shots: Path, face_box: tuple[float, float, float, float]
) -> None:
    assert reason(outcome(two_shots, np.arange(5, 42))) == "clip of 35"
    left, top, right, bottom = face_box
    box = (left + 20) / SHOWN[0], (top + 100) / SHOWN[1], (right - left) / SHOWN[0], (bottom - top) / SHOWN[1]
    assert reason(outcome(two_shots, np.arange(38, 75), box)) == "clip of 35"


def test_face_that_leaves_its_box(outcome: Run, stage: Callable[..., Path]) -> None:
    assert reason(outcome(stage("leaving.mp4", at=("200+5*n", "60")))) == "drift"


def covered(face_box: tuple[float, float, float, float], when: str) -> str:
    """A filter that paints over the face."""
    left, top, right, bottom = (int(v) for v in face_box)
    place = f"x={left + AT[0] - 20}:y={top + AT[1] - 20}:w={right - left + 40}:h={bottom - top + 40}"
    return f"drawbox={place}:color=0x605040:t=fill:enable='{when}'"


def test_face_that_vanishes(
    outcome: Run, stage: Callable[..., Path], face_box: tuple[float, float, float, float]
) -> None:
    assert reason(outcome(stage("vanishing.mp4", look=covered(face_box, "gte(n,12)")))) == "face-lost"


def test_short_gap_leaves_frames_out(
    outcome: Run, stage: Callable[..., Path], face_box: tuple[float, float, float, float]
) -> None:
    found = outcome(stage("blinking.mp4", look=covered(face_box, "between(n,8,10)")), np.arange(36))
    assert isinstance(found, ClipData)
    numbers = np.rint(found.columns["time_s"] * 25).astype(int).tolist()
    assert numbers == [n for n in range(36) if not 8 <= n <= 10]


def test_nobody_in_the_box(outcome: Run, framed: Path) -> None:
    assert reason(outcome(framed, box=(0.02, 0.1, 0.1, 0.2))) == "no-face"


@pytest.mark.parametrize(
    "box", [(0.9, 0.4, 0.3, 0.3), (-0.5, 0.0, 0.4, 0.4), (0.2, 0.2, 0.0, 0.1), (float("nan"),) * 4]
)
def test_box_outside_of_the_picture(outcome: Run, framed: Path, box: tuple[float, ...]) -> None:
    assert reason(outcome(framed, box=box)) == "outside-frame"


def test_head_too_small(outcome: Run, framed: Path) -> None:
    found = outcome(framed, min_head_px=300)
    assert reason(found) == "too-small"
    assert isinstance(found, Rejected)
    assert "300 are needed" in found.detail


def test_hopelessly_small_head_ends_the_work_early(
    outcome: Run, framed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = FrameReader.__next__

    def counting(reader: FrameReader) -> np.ndarray:
        seen.append(1)
        return real(reader)

    monkeypatch.setattr(FrameReader, "__next__", counting)
    assert reason(outcome(framed, np.arange(40), min_head_px=1000)) == "too-small"
    assert len(seen) < 40


def test_blurred_picture(outcome: Run, stage: Callable[..., Path]) -> None:
    blurred = stage("blurred.mp4", look="gblur=sigma=3")
    assert reason(outcome(blurred, min_effective_px=40.0)) == "low-effective-resolution"
    assert reason(outcome(blurred, min_effective_px=0.0)) == "clip of 30"


def test_track_too_short(outcome: Run, framed: Path) -> None:
    assert reason(outcome(framed, np.arange(10))) == "too-short"


def test_track_beyond_the_end(outcome: Run, framed: Path) -> None:
    assert reason(outcome(framed, np.arange(100, 140))) == "beyond-end"
    assert reason(outcome(framed, np.arange(10, 80))) == "clip of 30"


def test_several_people_in_the_crop(
    outcome: Run, talking_frames: list[np.ndarray], face_box: tuple[float, float, float, float], studio: Path
) -> None:
    from fractions import Fraction

    from avatarkit.media.encode import FrameWriter

    left, top, right, bottom = (int(v) for v in face_box)
    width = right - left
    path = studio / "couple.mp4"
    with FrameWriter(path, width=SHOWN[0], height=SHOWN[1], rate=Fraction(25)) as writer:
        for frame in talking_frames[:30]:
            shown = np.full((SHOWN[1], SHOWN[0], 3), 80, np.uint8)
            shown[AT[1] : AT[1] + 240, AT[0] : AT[0] + 240] = frame
            head = frame[max(0, top - width // 3) : bottom + 4, left - 2 : right + 2]
            x = AT[0] + right + 4
            shown[AT[1] + max(0, top - width // 3) :, x : x + head.shape[1]][: head.shape[0]] = head
            writer.write(shown)
    assert reason(outcome(path)) == "several-people"


def test_truncated_video_gives_what_is_whole_with_a_note(
    outcome: Run, stage: Callable[..., Path], studio: Path
) -> None:
    whole = stage("fast.mp4", "-movflags", "+faststart", "-g", "5", "-bf", "0")
    cut = studio / "cut-short.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.8)])
    found = outcome(cut, np.arange(40))
    assert isinstance(found, ClipData)
    assert 25 <= found.info.frames < 40
    assert "truncated" in found.info.extra["note"]
    assert reason(outcome(cut, np.arange(38, 60))) == "truncated"


def test_video_without_its_index_is_truncated(outcome: Run, framed: Path, studio: Path) -> None:
    cut = studio / "no-index.mp4"
    cut.write_bytes(framed.read_bytes()[:4000])
    assert reason(outcome(cut)) == "truncated"


def test_files_that_are_no_video(outcome: Run, talking: Path, studio: Path, astronaut: np.ndarray) -> None:
    from avatarkit.media.binary import ffmpeg_binary

    sound, empty, text, photo = (studio / name for name in ("sound.m4a", "empty.mp4", "text.mp4", "photo.png"))
    import subprocess

    command = [ffmpeg_binary(), "-loglevel", "error", "-y", "-i", str(talking), "-vn", str(sound)]
    subprocess.run(command, check=True, timeout=300)
    empty.touch()
    text.write_text("not a video\n" * 100)
    write_image(photo, astronaut)
    found = [reason(outcome(path)) for path in (sound, empty, text, photo, studio / "absent.mp4")]
    assert found == ["audio-only", "not-a-video", "not-a-video", "not-a-video", "not-a-video"]


def test_decoder_that_fails_midway_is_no_error(
    outcome: Run, framed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = FrameReader.__next__

    def failing(reader: FrameReader) -> np.ndarray:
        if reader.frames_read == 27:
            raise InputError("framed.mp4: the decoder gave no frame for 60 s and was ended")
        return real(reader)

    monkeypatch.setattr(FrameReader, "__next__", failing)
    kept = outcome(framed, np.arange(40))
    assert isinstance(kept, ClipData)
    assert kept.info.frames == 27
    assert "gave no frame" in kept.info.extra["note"]
    lost = outcome(framed, np.arange(20, 40))
    assert reason(lost) == "decode-error"


def test_rejections_name_their_track(tools: Tools, studio: Path) -> None:
    absent = studio / "absent.mp4"
    tracks = tuple(Track(name, "id9", "00002", "test") for name in ("a", "b"))
    results = list(process.process_video(VideoJob("vid", absent, "", "", "", tracks), SMALL, tools))
    assert [(r.clip_id, r.identity, r.split, r.stage) for r in results if isinstance(r, Rejected)] == [
        ("a", "id9", "test", "track"),
        ("b", "id9", "test", "track"),
    ]


def test_video_without_a_face_is_one_rejection(tools: Tools, studio: Path) -> None:
    from avatarkit.media.binary import ffmpeg_binary

    path = studio / "bars.mp4"
    import subprocess

    source = "testsrc2=s=320x240:r=25:d=1"
    command = [ffmpeg_binary(), "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, str(path)]
    subprocess.run(command, check=True, timeout=300)
    job = VideoJob("bars", path, "", "", "", (Track("bars", "bars", "", "train"),))
    (found,) = process.process_video(job, SMALL, tools)
    assert reason(found) == "no-face"


def test_errors_of_our_own_are_not_taken_for_the_videos(
    tools: Tools, framed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> Iterator[None]:
        raise InputError("a fault of ours")

    monkeypatch.setattr("avatarkit.prepare.piece.encode_matte", broken)
    job = VideoJob("v", framed, "", "", "", (Track("v", "v", "", "train"),))
    with pytest.raises(InputError, match="a fault of ours"):
        list(process.process_video(job, SMALL, tools))


def test_frames_that_do_not_decode_are_kept_out(outcome: Run, framed: Path, studio: Path) -> None:
    damaged = studio / "damaged.mp4"
    run_ffmpeg(
        "-i", str(framed), "-an", "-c:v", "libx264", "-g", "10", "-bf", "0", "-sc_threshold", "0", str(damaged)
    )  # fmt: skip
    data = bytearray(damaged.read_bytes())
    begin = data.index(b"mdat") + 4
    for _ in range(35):  # each unit begins with its length; the first one holds the encoder's words
        begin += 4 + int.from_bytes(data[begin : begin + 4], "big")
    data[begin : begin + 40] = b"\xff" * 40
    damaged.write_bytes(data)
    found = outcome(damaged, np.arange(5, 40))
    assert reason(found) == "damaged-frames"
    assert isinstance(found, Rejected)
    assert found.detail == "6 of 35 frames did not decode without errors"
    assert reason(outcome(damaged, np.arange(0, 32))) == "clip of 32"


def test_clips_of_converted_videos_say_so(outcome: Run, framed: Path, stage: Callable[..., Path]) -> None:
    fields = stage("fields.mp4", "-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    found = outcome(fields)
    assert isinstance(found, ClipData)
    assert found.info.extra == {"converted": "fields.mp4 is interlaced: it is deinterlaced to 25 frames a second"}
    plain = outcome(framed)
    assert isinstance(plain, ClipData)
    assert plain.info.extra == {}
