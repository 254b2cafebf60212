"""What a media file holds: kind, exact frame rate and count, displayed size, rotation, sound."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from avatarkit.errors import InputError
from avatarkit.media.animation import animation_times
from avatarkit.media.demux import Demuxed, Track, demux
from avatarkit.media.describe import Description, StreamLine, describe
from avatarkit.media.ffmpeg import failure_reason
from avatarkit.media.files import check_readable, refuse_playlist
from avatarkit.media.image import image_header
from avatarkit.media.joined import second_start
from avatarkit.media.mp4 import declared_samples, looks_like_mp4
from avatarkit.media.rate import RateEstimate, frame_count, round_half_up
from avatarkit.media.tonemap import ColourSpace, colour_space

FALLBACK_RATE = Fraction(25)
_SECOND_INDEX = "duplicated MOOV"
_BREAK = re.compile(r"partial file|ended prematurely|corrupt input packet|[Tt]runcat")


@dataclass(frozen=True)
class VideoStream:
    """A video stream as it is displayed.

    `width` and `height` are upright square pixels, after rotation and pixel aspect. `rate` is the constant
    rate on which the frames are laid out, exact; with `variable_rate` it is a choice of ours. `frames` is the
    count of readable frames at that rate and `frames_lost` what a truncated file lacks at its end. `start`
    and `duration` are seconds; `last_start` is when the last frame appears, counted from `start`.
    `rotation_deg` is clockwise. `index` is the stream's in the file, and `alone` whether there is no other video.
    `colours` says what has to be done for an SDR screen, None for nothing. `coded_size` is in stored pixels.
    """

    width: int
    height: int
    codec: str
    pix_fmt: str
    rate: Fraction
    variable_rate: bool
    rotation_deg: int
    frames: int
    duration: Fraction
    start: Fraction = Fraction(0)
    last_start: Fraction = Fraction(0)
    frames_lost: int = 0
    matrix: str = ""
    color_range: str = ""
    timed: bool = True
    square_pixels: bool = True
    index: int = 0
    alone: bool = True
    colours: ColourSpace | None = None
    interlaced: bool = False
    coded_size: tuple[int, int] = (0, 0)

    def frames_at(self, rate: Fraction) -> int:
        """Number of frames when laid out at `rate`."""
        return self.frames if rate == self.rate else frame_count(self.duration, rate)


@dataclass(frozen=True)
class AudioStream:
    """An audio stream; `start`, `duration` and `packet_duration` (of the longest packet) are seconds.

    `index` is the stream's in the file.
    """

    codec: str
    sample_rate_hz: int
    channels: int
    duration: Fraction
    start: Fraction = Fraction(0)
    packet_duration: Fraction = Fraction(0)
    index: int = 0


@dataclass(frozen=True)
class MediaInfo:
    """One media file. `kind` is "image", "video" or "audio"; `warning` is one line about a damaged file.

    With `joined` its times start again midway, and every command has to read it with the times continued; of what has
    `second_file` the first part alone can be read.
    """

    path: Path
    kind: str
    container: str
    video: VideoStream | None
    audio: AudioStream | None
    warning: str | None = None
    joined: bool = False
    second_file: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What is done to the pictures that a user may want to know, one line each."""
        video, notes = self.video, []
        if video is not None and video.colours is not None:
            done = "tone-mapped to SDR" if video.colours.hdr else "brought to BT.709"
            notes.append(f"{self.path.name} is {video.colours.name} video: its colours are {done}")
        if video is not None and video.interlaced:
            notes.append(f"{self.path.name} is interlaced: it is deinterlaced to {float(video.rate):g} frames a second")
        if self.joined:
            notes.append(f"{self.path.name} has times that start again, as joined files do: they are continued")
        if self.second_file and video is not None:
            read = f"only the first one's {video.frames} frames are read"
            notes.append(f"{self.path.name} holds another file behind the first: {read}")
        return tuple(notes)


def probe(path: Path | str, *, require_video: bool = False, timeout_s: float = 60) -> MediaInfo:
    """Find out what `path` holds by its content; its name does not matter.

    All packets are read once (not decoded) so that rate and counts are exact. Raises InputError where the
    file is missing, a folder, empty, not media or without frames, and with `require_video` where it holds
    only sound.
    """
    path = Path(path)
    check_readable(path)
    about = path.stat()
    info = _probe(path, about.st_size, about.st_mtime_ns, timeout_s)
    if require_video and info.kind == "audio":
        raise InputError(f"{path}: holds only sound and no video; give a file with a moving picture")
    return info


@lru_cache(maxsize=64)
def _probe(path: Path, size: int, mtime_ns: int, timeout_s: float) -> MediaInfo:
    """What a file of that size and time holds; a job asks more than once."""
    header = image_header(path)
    if header is not None:
        return _probe_picture(path, header.codec, header.width, header.height, header.frames)
    refuse_playlist(path)
    demuxed = demux(path, timeout_s=timeout_s)
    about = describe(demuxed.log)
    if not about.container:
        raise InputError(f"{path}: {_unreadable(path, demuxed)}")
    video_line, audio_line = about.chosen("Video"), about.chosen("Audio")
    audio = _audio(demuxed.audio, audio_line)
    if demuxed.video is None or video_line is None:
        if audio is None:
            raise InputError(f"{path}: holds neither video nor sound")
        return MediaInfo(path, "audio", about.container, None, audio, joined=demuxed.joined)
    if demuxed.video.packets == 0:
        detail = f" ({failure_reason(demuxed.log)})" if demuxed.exit_code else ""
        raise InputError(
            f"{path}: its video has no readable frames{detail}; it is cut off or of zero duration"
        )
    lost_time = _lost_time(path, about, demuxed)
    others = sum(line.kind == "Video" and not line.cover for line in about.streams) - 1
    video = _video(demuxed.video, video_line, lost_time, others)
    warning = None
    if video.frames_lost:
        warning = truncation_warning(path, video.frames_lost, video.frames + video.frames_lost)
    second = any(_SECOND_INDEX in text for text in demuxed.log) or second_start(path)
    return MediaInfo(path, "video", about.container, video, audio, warning, demuxed.joined, second)


def truncation_warning(path: Path, lost: int, total: int) -> str:
    """The one line that tells how much of a truncated file could not be read."""
    return f"{path.name} is truncated: {lost} of {total} frames at the end could not be read"


def _unreadable(path: Path, demuxed: Demuxed) -> str:
    text = "\n".join(demuxed.log)
    if demuxed.exit_code < 0:
        return f"cannot be read: ffmpeg was ended by signal {-demuxed.exit_code}"
    if "moov atom not found" in text and looks_like_mp4(path):
        return "has no index (moov atom): it was cut off before its end; get a complete copy"
    if "not on whitelist" in text:
        return "is in a format that is not read; give a video such as MP4, MOV, MKV, WebM or AVI"
    if "Invalid data found" in text or "Invalid argument" in text:
        return "is not a media file that ffmpeg can read, or is damaged"
    return f"cannot be read: {failure_reason(demuxed.log)}"


def _video(track: Track, line: StreamLine, lost_time: Fraction | None, others: int) -> VideoStream:
    estimate = track.estimator.result() if track.estimator else None
    if estimate is None:
        estimate = RateEstimate(FALLBACK_RATE, False)
    rate, variable = estimate.rate, estimate.variable
    # The last frame takes a slot at least: containers often store next to nothing for it.
    last_duration = max(track.last_duration * track.time_base, 1 / rate)
    last_start = track.last * track.time_base - track.start
    if not variable and last_duration * rate < Fraction(3, 2):
        frames = track.packets
        duration = frames / rate
        last_start = (frames - 1) / rate
    else:
        duration = last_start + last_duration
        frames = frame_count(duration, rate)
    lost = max(0, round_half_up(lost_time * rate)) if lost_time else 0
    width, height = _displayed_size(track, line.rotation_deg)
    colour = line.colour
    return VideoStream(
        width,
        height,
        track.codec,
        line.pixel_format,
        rate,
        variable,
        line.rotation_deg,
        frames,
        duration,
        track.start,
        last_start,
        lost,
        colour.matrix,
        colour.value_range,
        track.timed,
        track.pixel_aspect == 1,
        track.index,
        others == 0,
        colour_space(colour.transfer, colour.primaries, line.peak_nits),
        line.interlaced,
        track.coded_size,
    )


def _displayed_size(track: Track, rotation_deg: int) -> tuple[int, int]:
    width, height = track.coded_size
    aspect = track.pixel_aspect
    # Scalers leave an aspect of 1.01 or so behind odd sizes: resampling for that loses more than it gives.
    if Fraction(1, 4) <= aspect <= 4 and abs(aspect - 1) > Fraction(1, 50):
        if aspect < 1:
            width = max(1, round_half_up(width * aspect))
        elif aspect > 1:
            height = max(1, round_half_up(height / aspect))
    return (height, width) if rotation_deg in (90, 270) else (width, height)


def _audio(track: Track | None, line: StreamLine | None) -> AudioStream | None:
    if track is None or line is None or track.packets == 0:
        return None
    return AudioStream(
        track.codec,
        track.sample_rate_hz,
        line.channels,
        track.end - track.start,
        track.start,
        track.longest * track.time_base,
        track.index,
    )


def _lost_time(path: Path, about: Description, demuxed: Demuxed) -> Fraction | None:
    """Seconds of video that the file promises beyond its last readable packet, None if it is whole."""
    track, line = demuxed.video, about.chosen("Video")
    if track is None or line is None:
        return None
    seen = track.packets + track.hidden
    declared = declared_samples(path) if about.container.startswith("mov,") else None
    if declared is not None:
        if declared <= seen:
            return None
        estimate = track.estimator.result() if track.estimator else None
        constant = estimate is not None and not estimate.variable
        # Frames that are stored out of order leave gaps before a break, which would inflate a mean.
        interval = 1 / estimate.rate if estimate and constant else (track.end - track.start) / track.packets
        return (declared - seen) * interval
    promised = line.tag_duration if line.tag_duration is not None else about.duration
    if promised is None or not any(_BREAK.search(text) for text in demuxed.log):
        return None
    return max(Fraction(0), promised - (track.end - min(Fraction(0), track.start)))


def _probe_picture(path: Path, codec: str, width: int, height: int, frames: int) -> MediaInfo:
    if frames == 1:
        still = VideoStream(width, height, codec, "rgb24", FALLBACK_RATE, False, 0, 1, 1 / FALLBACK_RATE)
        return MediaInfo(path, "image", codec, still, None)
    times = animation_times(path)
    estimate = times.estimate
    shown = frame_count(times.duration, estimate.rate)
    duration = times.duration if estimate.variable else shown / estimate.rate
    video = VideoStream(
        width,
        height,
        codec,
        "rgb24",
        estimate.rate,
        estimate.variable,
        0,
        shown,
        duration,
        last_start=times.starts_ms[-1] / Fraction(1000),
    )
    return MediaInfo(path, "video", codec, video, None)
