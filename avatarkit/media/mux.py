"""Puts sound under a finished silent video without touching the picture, in sync to the sample or packet."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import ffmpeg

from avatarkit.errors import OutputError
from avatarkit.media.containers import Container
from avatarkit.media.ffmpeg import Child, command, file_url, media_input
from avatarkit.media.probe import AudioStream, MediaInfo

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
    duration: Fraction,
    metadata: Mapping[str, str],
    timeout_s: float,
    start: Fraction = Fraction(0),
) -> str:
    """Write `output`: the video of `silent` and the first sound stream of `sound`; "copied" or "encoded".

    The sound is moved by as much as the first frame of its own video was, begins `start` seconds later, and
    ends with the video (`duration`, seconds). Copied sound can only end between packets: it goes on for at most
    15 ms. Raises OutputError.
    """
    audio = sound.audio
    assert audio is not None
    origin = sound.video.start if sound.video is not None else min(audio.start, Fraction(0))
    copied = audio.codec in container.audio_copied
    recut = copied and audio.codec.startswith(
        "pcm_"
    )  # uncompressed sound can be cut at any sample and stays as is
    picture = ffmpeg.input(file_url(silent))
    source = media_input(sound.path, itsoffset=f"{float(-origin - start):.9f}")
    options: dict[str, Any] = {"c:v": "copy", **metadata_options(container, metadata)}
    if recut:
        options |= {"c:a": audio.codec, "af": _sample_cut(duration)}
    elif copied:
        options |= {"c:a": "copy", "bsf:a": _packet_filter(audio, container, duration, cut_before=start > 0)}
    else:
        options |= _encoding(audio, container, duration)
    stream = ffmpeg.output(picture["v:0"], source["a:0"], file_url(output), format=container.muxer, **options)
    with Child(command(stream), timeout_s=max(timeout_s, float(duration) / 4)) as child:
        if child.wait() != 0 or child.timed_out:
            why = "ffmpeg did not end" if child.timed_out else child.reason()
            raise OutputError(f"{output}: the sound of {sound.path.name} cannot be added: {why}")
    return "copied" if copied else "encoded"


def _packet_filter(audio: AudioStream, container: Container, duration: Fraction, *, cut_before: bool) -> str:
    """A bitstream filter that drops the packets after the end of the video, and with `cut_before` those before it.

    Matroska stores no times below zero and would move the picture instead, so there those packets go too.
    """
    packet = audio.packet_duration
    last_start = duration - max(packet / 2, packet - _MAX_OVERHANG_S)
    drop = f"gte(pts*tb,{float(last_start):.6f})"
    if cut_before or container.muxer in ("matroska", "webm"):
        drop += f"+lt(pts*tb,{float(-packet / 2):.6f})"
    return f"noise=drop='{drop}'"


def _encoding(audio: AudioStream, container: Container, duration: Fraction) -> dict[str, Any]:
    encoder = container.audio_encoder
    rate = audio.sample_rate_hz or 48000
    options: dict[str, Any] = {"c:a": encoder, "b:a": container.audio_bitrate, "af": _sample_cut(duration)}
    if encoder == "libopus":
        options["ar"] = 48000
        options["ac"] = min(2, audio.channels or 2)
    elif rate > 48000:
        options["ar"] = 48000
    return options


def _sample_cut(duration: Fraction) -> str:
    """Filters that pad or cut decoded sound at time zero and at the end of the video, to the sample."""
    return f"aresample=async=1:first_pts=0,atrim=start=0:end={float(duration):.6f},asetpts=PTS-STARTPTS"
