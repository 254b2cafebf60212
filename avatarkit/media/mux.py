"""Puts sound under a finished silent video without touching the picture, in sync to the sample or packet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from avatarkit.errors import OutputError
from avatarkit.media.containers import Container
from avatarkit.media.demux import packet_times
from avatarkit.media.ffmpeg import Child, command, file_url, media_input, write_problem
from avatarkit.media.probe import AudioStream, MediaInfo
from avatarkit.media.written import check_written

_STANDARD_TAGS = frozenset(
    (
        "title",
        "artist",
        "album",
        "comment",
        "description",
        "synopsis",
        "copyright",
        "date",
        "genre",
        "encoder",
    )
)
_MAX_OVERHANG_S = Fraction(15, 1000)


def metadata_options(container: Container, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Output options that write `metadata` into a container, and nothing else's metadata."""
    options: dict[str, Any] = {"map_metadata:g": -1}
    for index, (key, value) in enumerate(metadata.items()):
        options[f"metadata:g:{index}"] = f"{key}={value}"
    if container.muxer in ("mp4", "mov"):
        flags = "+faststart"
        if not metadata.keys() <= _STANDARD_TAGS:
            flags += "+use_metadata_tags"
        options["movflags"] = flags
    return options


def add_sound(
    silent: Path,
    sound: MediaInfo,
    output: Path,
    *,
    container: Container,
    frames: int,
    rate: Fraction,
    metadata: Mapping[str, str],
    timeout_s: float,
    start: Fraction = Fraction(0),
) -> str:
    """Write `output`: the video of `silent` and the sound stream of `sound`; "copied" or "encoded".

    The sound is moved by as much as the first frame of its own video was, begins `start` seconds later, and
    ends with the video, which has `frames` at `rate`. Copied sound can only end between packets: it goes on for at
    most 15 ms. Raises OutputError, also where the written file lacks anything.
    """
    audio = sound.audio
    assert audio is not None
    origin = sound.video.start if sound.video is not None else min(audio.start, Fraction(0))
    shift, duration = -origin - start, frames / rate
    heard = max(Fraction(0), audio.start + shift), min(duration, audio.start + audio.duration + shift)
    # Where parts were joined, packets need not follow each other without a gap.
    copied = audio.codec in container.audio_copied and not sound.joined
    recut = copied and audio.codec.startswith(
        "pcm_"
    )  # uncompressed sound can be cut at any sample and stays as is
    picture = ffmpeg.input(file_url(silent))
    source = media_input(sound.path, itsoffset=f"{float(shift):.9f}")
    options: dict[str, Any] = {"c:v": "copy", **metadata_options(container, metadata)}
    if recut:
        options |= {"c:a": audio.codec, "af": _sample_cut(heard[1])}
    elif copied:
        times = packet_times(sound.path, str(audio.index), timeout_s=timeout_s)
        kept = _kept_packets(times, audio, container, shift, duration, cut_before=start > 0)
        options |= {"c:a": "copy", "bsf:a": f"noise=drop='lt(n,{kept.start})+gte(n,{kept.stop})'"}
    else:
        options |= _encoding(audio, container, heard[1])
    if container.muxer in ("matroska", "webm"):
        # Opus begins with a few milliseconds to be skipped; older versions would move the picture for them.
        options["avoid_negative_ts"] = "disabled"
    tracks = picture["v:0"], source[str(audio.index)]
    stream = ffmpeg.output(*tracks, file_url(output), format=container.muxer, **options)
    args = command(stream, joined=source if sound.joined else None)
    with Child(args, timeout_s=max(timeout_s, float(duration) / 4)) as child:
        if child.wait() != 0 or child.timed_out:
            why = "ffmpeg did not end" if child.timed_out else write_problem(child.log) or child.reason()
            raise OutputError(f"{output}: the sound of {sound.path.name} cannot be added: {why}")
        log = child.log
    check_written(output, frames=frames, rate=rate, sound=heard, log=log, timeout_s=timeout_s)
    return "copied" if copied else "encoded"


def _kept_packets(
    times: Iterable[Fraction],
    audio: AudioStream,
    container: Container,
    shift: Fraction,
    duration: Fraction,
    *,
    cut_before: bool,
) -> range:
    """Which packets to copy: those up to the end of the video, and with `cut_before` none before its beginning.

    Matroska stores no times below zero and would move the picture instead, so there earlier packets go too. They
    are named by number, since versions of ffmpeg differ in the times that a packet filter sees.
    """
    packet = audio.packet_duration
    last_start = duration - max(packet / 2, packet - _MAX_OVERHANG_S)
    early = cut_before or container.muxer in ("matroska", "webm")
    first = stop = 0
    for number, time in enumerate(times):
        if early and time + shift < -packet / 2:
            first = number + 1
        if time + shift < last_start:
            stop = number + 1
    return range(first, max(first, stop))


def _encoding(audio: AudioStream, container: Container, end: Fraction) -> dict[str, Any]:
    encoder = container.audio_encoder
    rate = audio.sample_rate_hz or 48000
    options: dict[str, Any] = {"c:a": encoder, "b:a": container.audio_bitrate, "af": _sample_cut(end)}
    if encoder == "libopus":
        options["ar"] = 48000
        options["ac"] = min(2, audio.channels or 2)
    elif rate > 48000:
        options["ar"] = 48000
    return options


def _sample_cut(end: Fraction) -> str:
    """Filters that pad or cut decoded sound at time zero and at `end` (seconds), to the sample.

    The end is padded too, since packets that do not decode would leave the sound short.
    """
    end_s = f"{max(float(end), 1e-3):.6f}"
    return f"aresample=async=1:first_pts=0,apad=whole_dur={end_s},atrim=start=0:end={end_s},asetpts=PTS-STARTPTS"
