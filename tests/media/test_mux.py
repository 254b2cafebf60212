"""Sound under the written video: in sync, as long as the picture, untouched where it can be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.media.probe import probe

from .conftest import H264, REAL_MEDIA, ClipMaker, run_ffmpeg, skip_where_ffmpeg_crashes, tone
from .test_encode import NTSC, SUFFIXES, write

FLASH_FRAME = 45


KINDS = ("ntsc", "variable", "late", "sound_late", "transport", "matroska", "opus", "avi")


@pytest.fixture(scope="module", params=KINDS)
def flash_clip(request: pytest.FixtureRequest, make_clip: ClipMaker) -> Path:
    """A black clip of 3 s with a white flash and a beep that start together, stored in awkward ways."""
    kind = request.param
    rate = "30000/1001" if kind == "ntsc" else "30"
    at = FLASH_FRAME / Fraction(rate)
    picture = (
        f"color=black:size=64x48:rate={rate}:duration=3,drawbox=color=white:t=fill:enable='between(n,45,49)'"
    )
    if kind == "variable":
        picture += r",select='eq(mod(n\,3)\,0)+eq(mod(n\,3)\,1)*lt(n\,40)+between(n\,44\,51)'"
    picture_late = 0.2 if kind == "late" else 0.0
    sound_late = 0.25 if kind == "sound_late" else 0.0
    beep = float(at) + picture_late - sound_late
    sound = f"aevalsrc='if(between(t,{beep},{beep}+0.1),0.8*sin(2*PI*1000*t),0)':s=44100:d=3.4"
    suffix = {"transport": ".ts", "matroska": ".mkv", "opus": ".mkv", "avi": ".avi"}.get(kind, ".mp4")
    codec = {"opus": "libopus", "avi": "ac3"}.get(kind, "aac")
    path = make_clip(
        f"flash_{kind}{suffix}", "-itsoffset", str(picture_late), "-f", "lavfi", "-i", picture,
        "-itsoffset", str(sound_late), "-f", "lavfi", "-i", sound,
        *H264, "-c:a", codec, "-fps_mode", "vfr", "-g", "30", "-bf", "2",
    )  # fmt: skip
    skip_where_ffmpeg_crashes(path)
    return path


def flash_and_beep(path: Path) -> tuple[float, float]:
    """Seconds at which a file's flash and beep begin, each by the file's own time stamps."""
    info = probe(path)
    assert info.video is not None
    with FrameReader(path, info=info) as reader:
        first = next(i for i, frame in enumerate(reader) if frame.mean() > 128)
    flash = float(info.video.start + first / reader.rate)
    # -copyts and first_pts put sample 0 at time 0 of the file.
    raw = run_ffmpeg(
        "-copyts", "-i", f"file:{path}", "-map", "0:a:0", "-af", "aresample=44100:async=1:first_pts=0",
        "-ac", "1", "-f", "f32le", "-",
    )  # fmt: skip
    loud = np.flatnonzero(np.abs(np.frombuffer(raw, np.float32)) > 0.25)
    return flash, float(loud[0]) / 44100


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_sound_is_in_sync_and_as_long(flash_clip: Path, tmp_path: Path, suffix: str) -> None:
    source_flash, source_beep = flash_and_beep(flash_clip)
    assert abs(source_flash - source_beep) < 0.012  # the clip itself is right
    path = tmp_path / f"o{suffix}"
    with FrameReader(flash_clip) as reader:
        with FrameWriter(path, width=64, height=48, rate=reader.rate, audio_from=flash_clip) as writer:
            for frame in reader:
                writer.write(frame)
        source = reader.info
    assert source.audio is not None
    copied = {".webm": {"opus"}, ".mov": {"aac", "ac3"}}.get(suffix, {"aac", "ac3", "opus"})
    assert writer.audio == ("copied" if source.audio.codec in copied else "encoded")
    flash, beep = flash_and_beep(path)
    assert abs(flash - beep) < 0.020
    out = probe(path)
    assert out.video is not None
    assert out.audio is not None
    assert source.video is not None
    assert abs(out.video.duration - source.video.duration) <= 1 / out.video.rate
    assert out.video.start == 0
    assert out.audio.start + out.audio.duration - out.video.duration <= Fraction(20, 1000)
    assert out.audio.start + out.audio.duration - out.video.duration >= -Fraction(40, 1000)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_copied_sound_is_untouched(clip: Path, tmp_path: Path) -> None:
    write(tmp_path / "o.mp4", 50, rate=Fraction(25), audio_from=clip)
    hashes = [
        run_ffmpeg("-i", f"file:{path}", "-map", "0:a", "-c", "copy", "-f", "framehash", "-").split(b"\n")
        for path in (clip, tmp_path / "o.mp4")
    ]
    source, copy = ([line.split(b",")[-1] for line in lines if line[:1] == b"0"] for lines in hashes)
    assert copy == source[: len(copy)]
    assert len(source) - len(copy) <= 2


def test_sound_is_cut_when_fewer_frames_are_written(clip: Path, tmp_path: Path) -> None:
    write(tmp_path / "o.mp4", 20, rate=Fraction(25), audio_from=clip)
    out = probe(tmp_path / "o.mp4")
    assert out.audio is not None
    assert abs(out.audio.start + out.audio.duration - Fraction(4, 5)) <= Fraction(20, 1000)


def test_uncompressed_sound(make_clip: ClipMaker, tmp_path: Path) -> None:
    wave = make_clip("tone.wav", *tone(2))
    for suffix, kept in ((".mov", "copied"), (".mp4", "encoded")):
        writer = write(tmp_path / f"o{suffix}", 30, audio_from=wave)
        assert writer.audio == kept
        out = probe(tmp_path / f"o{suffix}")
        assert out.audio is not None
        assert -0.03 < float(out.audio.start + out.audio.duration - Fraction(1001, 1000)) <= 0.02


def test_silent_source_gives_silent_output(ntsc_clip: Path, tmp_path: Path) -> None:
    assert write(tmp_path / "o.mp4", 3, audio_from=ntsc_clip).audio == "none"
    assert probe(tmp_path / "o.mp4").audio is None


def test_missing_sound_source(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        FrameWriter(tmp_path / "o.mp4", width=64, height=48, rate=NTSC, audio_from=tmp_path / "none.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.media
@pytest.mark.skipif(not REAL_MEDIA.is_dir(), reason="real media are absent")
@pytest.mark.parametrize("prefix", ["d08", "d11"])
def test_real_drivers_keep_their_length(tmp_path: Path, prefix: str) -> None:
    driver = next((REAL_MEDIA / "drivers").glob(f"{prefix}*"))
    with FrameReader(driver, max_side=96) as reader:
        size = {"width": reader.width // 2 * 2, "height": reader.height // 2 * 2}
        with FrameWriter(tmp_path / "o.mp4", rate=reader.rate, audio_from=reader.info, **size) as writer:
            for frame in reader:
                writer.write(frame[: size["height"], : size["width"]])
    out = probe(tmp_path / "o.mp4")
    assert writer.audio == "copied"
    assert out.video is not None
    assert reader.info.video is not None
    assert out.video.frames == reader.info.video.frames
    assert out.audio is not None
    assert out.audio.start + out.audio.duration - out.video.duration <= Fraction(20, 1000)
