"""What `probe` says about generated, damaged and misnamed files."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.describe import Colour, describe
from avatarkit.media.probe import probe
from avatarkit.media.random_access import can_seek

from .conftest import (
    H264,
    REAL_MEDIA,
    ClipMaker,
    gradient,
    run_ffmpeg,
    skip_where_ffmpeg_crashes,
    source,
    tone,
    turned,
)
from .test_encode import write


def test_constant_rate_clip(clip: Path) -> None:
    info = probe(clip)
    video, audio = info.video, info.audio
    assert (info.kind, info.warning) == ("video", None)
    assert video is not None
    assert audio is not None
    assert (video.width, video.height, video.codec, video.pix_fmt) == (128, 96, "h264", "yuv420p")
    assert (video.rate, video.variable_rate, video.frames, video.rotation_deg) == (Fraction(25), False, 50, 0)
    assert (video.duration, video.start, video.frames_lost) == (Fraction(2), 0, 0)
    assert (audio.codec, audio.sample_rate_hz, audio.channels) == ("aac", 44100, 1)
    assert abs(audio.duration - 2) < Fraction(1, 20)


def test_ntsc_rate_is_exact(ntsc_clip: Path) -> None:
    video = probe(ntsc_clip).video
    assert video is not None
    assert (video.rate, video.frames, video.duration) == (Fraction(30000, 1001), 60, Fraction(60060, 30000))
    assert video.frames_at(Fraction(60000, 1001)) == 120
    assert probe(ntsc_clip).audio is None


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".avi", ".ts"])
def test_ntsc_rate_survives_other_containers(make_clip: ClipMaker, ntsc_clip: Path, suffix: str) -> None:
    path = make_clip(f"ntsc{suffix}", "-i", f"file:{ntsc_clip}", "-c", "copy")
    skip_where_ffmpeg_crashes(path)
    video = probe(path).video
    assert video is not None
    assert (video.rate, video.variable_rate, video.frames) == (Fraction(30000, 1001), False, 60)


def test_variable_rate(variable_clip: Path) -> None:
    video = probe(variable_clip).video
    assert video is not None
    assert (video.rate, video.variable_rate, video.frames) == (Fraction(30), True, 60)
    assert video.start == Fraction(1, 5)
    assert video.duration == 2


@pytest.mark.parametrize(
    ("name", "encoder", "codec"),
    [
        ("hevc.mp4", "libx265", "hevc"),
        ("vp9.webm", "libvpx-vp9", "vp9"),
        ("av1.mkv", "libsvtav1", "av1"),
        ("mpeg4.avi", "mpeg4", "mpeg4"),
        ("prores.mov", "prores_ks", "prores"),
    ],
)
def test_codecs(make_clip: ClipMaker, name: str, encoder: str, codec: str) -> None:
    path = make_clip(name, *source("24", 24), "-c:v", encoder, needs=encoder)
    video = probe(path).video
    assert video is not None
    assert (video.codec, video.rate, video.frames) == (codec, 24, 24)


@pytest.mark.parametrize(("angle", "clockwise_deg"), [("90", 270), ("-90", 90), ("180", 180)])
def test_rotation_swaps_the_sides(make_clip: ClipMaker, clip: Path, angle: str, clockwise_deg: int) -> None:
    path = make_clip(f"turned{angle}.mp4", *turned(clip, angle))
    video = probe(path).video
    assert video is not None
    assert video.rotation_deg == clockwise_deg
    assert (video.width, video.height) == ((128, 96) if angle == "180" else (96, 128))


def test_pixel_aspect_gives_square_pixels(make_clip: ClipMaker) -> None:
    path = make_clip("anamorphic.mp4", *source("25", 5), "-vf", "setsar=3/4", *H264)
    video = probe(path).video
    assert video is not None
    assert (video.width, video.height) == (96, 96)


def test_the_default_tracks_are_taken(make_clip: ClipMaker, tmp_path: Path) -> None:
    path = make_clip(
        "tracks.mp4", *source("25", 10, "64x48")[:4], *source("25", 10, "128x96")[:4],
        "-f", "lavfi", "-i", "sine=sample_rate=8000", "-f", "lavfi", "-i", "sine=sample_rate=44100", "-t", "0.4",
        "-map", "0", "-map", "1", "-map", "2", "-map", "3", *H264, "-c:a", "aac",
        "-disposition:v:0", "0", "-disposition:v:1", "default", "-disposition:a:0", "0", "-disposition:a:1", "default",
    )  # fmt: skip
    info = probe(path)
    assert info.video is not None
    assert info.audio is not None
    assert (info.video.width, info.video.index, info.video.alone, info.video.frames) == (128, 1, False, 10)
    assert (info.audio.sample_rate_hz, info.audio.index) == (44100, 3)
    assert not can_seek(info)
    with FrameReader(path, info=info) as reader:
        assert next(reader).std() > 0
        assert (reader.width, reader.height) == (128, 96)
    # The first where none is marked, and the sound that is copied is the one that was chosen.
    plain = make_clip(
        "unmarked.mkv", "-i", f"file:{path}", "-map", "0", "-c", "copy", *(
            word for track in ("v:0", "v:1", "a:0", "a:1") for word in (f"-disposition:{track}", "0")
        ), "-default_mode", "passthrough",
    )  # fmt: skip
    first = probe(plain)
    assert first.video is not None
    assert first.audio is not None
    assert (first.video.index, first.video.width, first.audio.sample_rate_hz) == (0, 64, 8000)
    write(tmp_path / "o.mp4", 10, rate=Fraction(25), audio_from=path)
    written = probe(tmp_path / "o.mp4").audio
    assert written is not None
    assert written.sample_rate_hz == 44100


def test_one_frame(make_clip: ClipMaker) -> None:
    video = probe(make_clip("one.mp4", *source("25", 1), *H264)).video
    assert video is not None
    assert (video.frames, video.rate, video.duration) == (1, 25, Fraction(1, 25))


def test_sound_only_with_a_cover_is_audio(make_clip: ClipMaker) -> None:
    path = make_clip(
        "cover.mp3", *tone(1), "-f", "lavfi", "-i", "color=red:s=32x32:d=1", "-map", "0:a", "-map", "1:v",
        "-frames:v", "1", "-c:v", "mjpeg", "-disposition:v", "attached_pic", needs="libmp3lame",
    )  # fmt: skip
    assert probe(path).kind == "audio"
    with pytest.raises(InputError, match="only sound"):
        probe(path, require_video=True)


def test_truncated_mp4_counts_what_is_lost(truncated_clip: Path) -> None:
    info = probe(truncated_clip)
    assert info.video is not None
    lost, readable = info.video.frames_lost, info.video.frames
    assert lost + readable == 50
    assert 0 < lost < 50
    assert info.warning == f"truncated.mp4 is truncated: {lost} of 50 frames at the end could not be read"


def test_truncated_matroska_counts_what_is_lost(make_clip: ClipMaker, clip: Path) -> None:
    whole = make_clip("whole.mkv", "-i", f"file:{clip}", "-c", "copy")
    cut = whole.with_name("cut.mkv")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    video = probe(cut).video
    assert video is not None
    assert video.frames + video.frames_lost == 50
    assert video.frames_lost > 0


def test_mp4_without_index_says_so(make_clip: ClipMaker, tmp_path: Path) -> None:
    whole = make_clip("index_last.mp4", *source(), *H264)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(InputError, match=r"cut\.mp4: has no index .*cut off"):
        probe(cut)


def test_zero_duration(make_clip: ClipMaker, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "zero.mp4"
    run_ffmpeg("-f", "lavfi", "-i", "color=s=64x64:d=1", "-t", "0", *H264, f"file:{path}")
    with pytest.raises(InputError, match=r"zero\.mp4"):
        probe(path, require_video=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (bytes(range(256)) * 50, "not a media file"),
        (b"just words\n" * 20, "not a media file"),
    ],
)
def test_not_media(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "driver.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        probe(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_text_file_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("just words\n" * 20)
    with pytest.raises(InputError):
        probe(path)


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        probe(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="is a folder"):
        probe(tmp_path)


def test_content_decides_and_not_the_name(clip: Path, tmp_path: Path) -> None:
    misnamed = tmp_path / "clip.png"
    misnamed.write_bytes(clip.read_bytes())
    assert probe(misnamed).kind == "video"
    picture = tmp_path / "picture.mp4"
    Image.fromarray(gradient()).save(picture, "PNG")
    info = probe(picture)
    assert info.video is not None
    assert (info.kind, info.container, info.video.width, info.video.height) == ("image", "png", 64, 48)


@pytest.mark.parametrize(
    "name", ["-dash.mp4", "with space.mp4", 'it\'s "q".mp4', "a:b.mp4", "100%d.mp4", "größe日.mp4"]
)
def test_odd_names(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    video = probe(Path(name)).video
    assert video is not None
    assert video.frames == 50


def test_animated_gif_and_webp(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.roll(gradient(), 4 * i, 1)) for i in range(6)]
    for name, delays in (("a.gif", 40), ("b.webp", 40), ("c.gif", [40, 80, 40, 40, 40, 40])):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=delays, loop=0)
        video = probe(tmp_path / name).video
        assert video is not None
        assert video.rate == 25
        assert video.variable_rate == (name == "c.gif")
        assert video.frames == (7 if name == "c.gif" else 6)


def test_description_of_an_older_ffmpeg() -> None:
    log = [
        "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/a/b.mp4':",
        "  Duration: 00:01:02.50, start: 0.000000, bitrate: 1 kb/s",
        "    Stream #0:0(und): Video: h264 (High) (avc1 / 0x31637661), yuv420p(tv, bt709), 1920x1080 "
        "[SAR 1:1 DAR 16:9], 5 kb/s, 29.97 fps, 29.97 tbr, 30k tbn, 59.94 tbc (default)",
        "    Side data:",
        "      displaymatrix: rotation of -90.00 degrees",
        "    Stream #0:1(und): Audio: aac (LC) (mp4a / 0x6134706D), 48000 Hz, 5.1(side), fltp, 9 kb/s",
        "Stream mapping:",
    ]
    about = describe(log)
    video, audio = about.chosen("Video"), about.chosen("Audio")
    assert video is not None
    assert audio is not None
    assert about.duration == Fraction(125, 2)
    assert (video.pixel_format, video.rotation_deg) == ("yuv420p", 90)
    assert video.colour == Colour("bt709", "tv", "bt709", "bt709")
    assert video.rates == (Fraction(30000, 1001), Fraction(30000, 1001))
    assert audio.channels == 6


@pytest.mark.media
@pytest.mark.skipif(not REAL_MEDIA.is_dir(), reason="real media are absent")
def test_real_drivers() -> None:
    expected = {"d08": ("30000/1001", 150, False), "d11": ("30", 183, True), "d12": ("25", 250, False)}
    for prefix, (rate, frames, variable) in expected.items():
        video = probe(next((REAL_MEDIA / "drivers").glob(f"{prefix}*"))).video
        assert video is not None
        assert (str(video.rate), video.frames, video.variable_rate) == (rate, frames, variable)
