"""Files that were joined by `cat`: read whole where that can be, and never in part without a word."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.encode import FrameWriter
from avatarkit.media.joined import second_start
from avatarkit.media.probe import probe
from avatarkit.media.sound import SAMPLE_RATE_HZ, read_sound

from .conftest import H264, ClipMaker, skip_where_ffmpeg_crashes

RATE = 25
PARTS = ((60, 20, 2.4), (100, 50, 2.3), (140, 30, 3.0))
"""Of each: a grey level, the frame at which flash and beep begin, and the seconds of sound under 2.4 s of video."""
FRAMES = 60
CODECS = {
    ".ts": (*H264, "-bf", "2", "-c:a", "aac"),
    ".mpg": ("-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"),
    ".mkv": (*H264, "-c:a", "aac"),
    ".mp4": (*H264, "-c:a", "aac"),
    ".flv": (*H264, "-c:a", "aac", "-ar", "44100"),
    ".wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    ".mxf": ("-c:v", "mpeg2video", "-c:a", "pcm_s16le", "-ar", "48000"),
}


def part(make_clip: ClipMaker, suffix: str, number: int, silent: bool = False) -> Path:
    level, at, sound_s = PARTS[number]
    picture = f"color=0x{level:02x}{level:02x}{level:02x}:size=64x48:rate={RATE}:duration={FRAMES / RATE}"
    flash = f"drawbox=color=white:t=fill:enable='between(n,{at},{at + 3})'"
    beep = f"aevalsrc='if(between(t,{at / RATE},{at / RATE}+0.1),0.8*sin(2*PI*1000*t),0)':s=44100:d={sound_s}"
    words = () if silent else ("-f", "lavfi", "-i", beep)
    name = f"part-{number}{'-silent' if silent else ''}{suffix}"
    path = make_clip(name, "-f", "lavfi", "-i", f"{picture},{flash}", *words, *CODECS[suffix])
    skip_where_ffmpeg_crashes(path)
    return path


def joined(folder: Path, *parts: Path) -> Path:
    path = folder / f"joined{parts[0].suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def beginnings(path: Path) -> tuple[list[float], list[float]]:
    """Seconds at which flashes begin, and beeps."""
    with FrameReader(path) as reader:
        bright = [frame.mean() > 200 for frame in reader]
    flashes = [i / RATE for i, on in enumerate(bright) if on and not bright[i - 1]]
    sound = read_sound(path)
    assert sound is not None
    loud = np.flatnonzero(np.abs(sound) > 0.25)
    beeps = loud[np.diff(loud, prepend=-SAMPLE_RATE_HZ) > SAMPLE_RATE_HZ // 4] / SAMPLE_RATE_HZ
    return flashes, beeps.tolist()


# Program streams store few times: what ffmpeg assumes for the rest may be two frames off at a joint.
@pytest.mark.parametrize(("suffix", "off_s"), [(".ts", 0.05), (".mpg", 0.09)])
def test_streams_are_read_whole(make_clip: ClipMaker, tmp_path: Path, suffix: str, off_s: float) -> None:
    parts = [part(make_clip, suffix, number) for number in range(3)]
    path = joined(tmp_path, *parts)
    info = probe(path)
    assert info.joined
    assert info.video is not None
    assert "they are continued" in info.notes[0]
    with FrameReader(path) as reader:
        levels = [float(frame.mean()) for frame in reader]
    assert (reader.warning, reader.damaged) == (None, ())
    assert abs(len(levels) - 3 * FRAMES) <= 9
    flashes, beeps = beginnings(path)
    assert len(flashes) == 3
    assert flashes == pytest.approx(beeps, abs=off_s)
    seen = [min(range(3), key=lambda n: abs(PARTS[n][0] - level)) for level in levels if level < 200]
    assert [number for number, _ in groupby(seen)] == [0, 1, 2]
    # What is written has the sound of all of it, as far in sync.
    out = tmp_path / "out.mp4"
    with (
        FrameReader(path) as reader,
        FrameWriter(out, width=64, height=48, rate=reader.rate, audio_from=path) as writer,
    ):
        for frame in reader:
            writer.write(frame)
    assert beginnings(out) == (pytest.approx(flashes), pytest.approx(beeps, abs=0.03))


def test_part_without_sound(make_clip: ClipMaker, tmp_path: Path) -> None:
    silent = part(make_clip, ".ts", 1, silent=True)
    path = joined(tmp_path, part(make_clip, ".ts", 0), silent, part(make_clip, ".ts", 2))
    flashes, beeps = beginnings(path)
    assert len(flashes) == 3
    assert beeps == pytest.approx([flashes[0], flashes[2]], abs=0.02)


def test_unjoined_streams_keep_their_times(make_clip: ClipMaker) -> None:
    info = probe(part(make_clip, ".ts", 0))
    assert not info.joined
    assert info.notes == ()
    assert info.video is not None
    assert info.video.start > 1


def test_what_cannot_be_continued_is_refused(make_clip: ClipMaker, tmp_path: Path) -> None:
    path = joined(tmp_path, part(make_clip, ".mkv", 0), part(make_clip, ".mkv", 1))
    with pytest.raises(InputError, match="start again midway"):
        probe(path)


@pytest.mark.parametrize("suffix", [".mp4", ".flv", ".wmv"])
def test_second_file_is_mentioned(suffix: str, make_clip: ClipMaker, tmp_path: Path) -> None:
    path = joined(tmp_path, part(make_clip, suffix, 0), part(make_clip, suffix, 1))
    info = probe(path)
    assert info.video is not None
    assert (info.video.frames, info.warning) == (FRAMES, None)
    only = f"only the first one's {FRAMES} frames are read"
    assert info.notes == (f"joined{suffix} holds another file behind the first: {only}",)


@pytest.mark.parametrize("suffix", [".flv", ".wmv", ".mxf"])
def test_one_file_is_whole(suffix: str, make_clip: ClipMaker) -> None:
    assert probe(part(make_clip, suffix, 0)).notes == ()


def test_second_start_between_blocks(tmp_path: Path) -> None:
    header = b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"
    path = tmp_path / "long.flv"
    for gap in range((1 << 20) - 30, (1 << 20) + 5):
        path.write_bytes(header + bytes(gap) + header)
        assert second_start(path)
    path.write_bytes(header + bytes(3 << 20) + header[:-1])
    assert not second_start(path)
