"""Which codecs each output container takes, and how ffmpeg is asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatarkit.errors import DependencyError, OutputError, UsageError
from avatarkit.media.binary import encoders
from avatarkit.media.image import IMAGE_SUFFIXES

_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"})
_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus"})


@dataclass(frozen=True)
class Container:
    """One output file type: ffmpeg's muxer, video codecs (the default first), and what it does with sound.

    `alpha_codec` is used for transparent output, None where the container has no such codec. Sound in
    `audio_copied` passes through untouched; other sound is encoded by `audio_encoder` at `audio_bitrate`.
    """

    muxer: str
    codecs: tuple[str, ...]
    alpha_codec: str | None
    audio_copied: frozenset[str]
    audio_encoder: str
    audio_bitrate: str


CONTAINERS: Mapping[str, Container] = {
    ".mp4": Container("mp4", ("h264", "hevc", "av1"), None, _MP4_AUDIO, "aac", "192k"),
    ".mov": Container(
        "mov", ("h264", "hevc", "prores"), "prores", _PCM | _MP4_AUDIO - {"opus"}, "aac", "192k"
    ),
    ".mkv": Container(
        "matroska",
        ("h264", "hevc", "vp9", "av1"),
        "vp9",
        _PCM | _MP4_AUDIO | {"vorbis", "flac", "mp2", "dts", "truehd"},
        "aac",
        "192k",
    ),
    ".webm": Container("webm", ("vp9", "av1"), "vp9", frozenset({"opus", "vorbis"}), "libopus", "128k"),
}
VIDEO_SUFFIXES = tuple(CONTAINERS)

_ENCODERS = {
    "h264": ("libx264",),
    "hevc": ("libx265",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
    "prores": ("prores_ks",),
    "png": ("png",),
}
_DEFAULT_CRF = {"h264": 18, "hevc": 21, "vp9": 27, "av1": 28, "prores": 4}
# ProRes takes it as its quantiser, much faster than meeting a bit rate; PNG is lossless and ignores it.
_CRF_RANGE = {
    "h264": (0, 51),
    "hevc": (0, 51),
    "vp9": (0, 63),
    "av1": (0, 63),
    "prores": (1, 31),
    "png": (0, 63),
}
_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
_BT709 = {"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709", "color_range": "tv"}


def output_kind(path: Path) -> str:
    """What an output name asks for: "video", "image" or (without a suffix) "folder".

    Raises OutputError, which lists the known extensions, for any other suffix.
    """
    suffix = path.suffix.lower()
    if suffix in CONTAINERS:
        return "video"
    if suffix in IMAGE_SUFFIXES:
        return "image"
    if not suffix:
        return "folder"
    raise OutputError(
        f"{path}: unknown output extension {suffix}; use {' '.join(VIDEO_SUFFIXES)} for video, "
        f"{' '.join(IMAGE_SUFFIXES)} for a picture, or a name without extension for a folder of PNGs"
    )


def choose_codec(path: Path, codec: str, alpha: bool) -> str:
    """The codec for an output: the container's default for "auto". "png" stands for a folder.

    Raises UsageError if the container cannot hold the codec, or transparency where it is wanted.
    """
    if output_kind(path) == "folder":
        if codec not in ("auto", "png"):
            raise UsageError(f"codec {codec}: a folder output ({path.name}) holds PNGs; leave the codec out")
        return "png"
    container = CONTAINERS.get(path.suffix.lower())
    if container is None:
        raise OutputError(f"{path}: is a picture name; a video needs {' '.join(VIDEO_SUFFIXES)}")
    if alpha:
        if container.alpha_codec is None or codec not in ("auto", container.alpha_codec):
            raise UsageError(
                f"{path.name}: {path.suffix} with codec {codec} cannot hold transparency; "
                "use .mov (ProRes 4444), .webm (VP9) or a folder name (PNGs)"
            )
        return container.alpha_codec
    if codec == "auto":
        return container.codecs[0]
    if codec not in container.codecs:
        raise UsageError(f"codec {codec}: {path.suffix} takes {', '.join(container.codecs)}")
    return codec


def encoder_options(codec: str, muxer: str, *, crf: int | None, preset: str, alpha: bool) -> dict[str, Any]:
    """Output options of ffmpeg for a codec. Raises UsageError for a bad crf or preset, DependencyError if it
    is missing.
    """
    if preset not in _PRESETS:
        raise UsageError(f"preset {preset!r} is not known; use one of {', '.join(_PRESETS)}")
    encoder = _find_encoder(codec)
    best, worst = _CRF_RANGE[codec]
    if crf is not None and not best <= crf <= worst:
        raise UsageError(f"crf {crf} is out of range for {codec}: give {best} (best) to {worst}")
    quality = _DEFAULT_CRF.get(codec) if crf is None else crf
    speed = _PRESETS.index(preset)
    if codec == "png":
        return {"c:v": encoder, "pix_fmt": "rgba" if alpha else "rgb24", "compression_level": 1, "pred": "up"}
    if codec == "prores":
        pixels = "yuva444p10le" if alpha else "yuv444p10le"
        return {
            "c:v": encoder,
            "profile:v": "4444",
            "pix_fmt": pixels,
            "alpha_bits": 16,
            "qscale:v": quality,
            "vendor": "apl0",
            **_BT709,
        }
    options: dict[str, Any] = {
        "c:v": encoder,
        "crf": quality,
        "pix_fmt": "yuva420p" if alpha else "yuv420p",
        **_BT709,
    }
    if codec in ("h264", "hevc"):
        options["preset"] = preset
        if codec == "h264" and speed < _PRESETS.index("veryfast"):
            # To look for what suits B-frames, cuts and fades takes a fifth of the time here, and saves 1 % of bytes.
            options["x264-params"] = "b-adapt=0:scenecut=0:weightp=0"
        if codec == "hevc":
            options["x265-params"] = "log-level=error"
            if muxer in ("mp4", "mov"):
                options["tag:v"] = "hvc1"
    elif codec == "vp9":
        options |= {"b:v": 0, "row-mt": 1, "deadline": "realtime" if speed < 3 else "good"}
        options["cpu-used"] = (8, 7, 6, 5, 4, 3, 2, 1, 0)[speed]
        if alpha:
            options["auto-alt-ref"] = 0
    elif encoder == "libsvtav1":
        options["preset"] = (12, 11, 10, 9, 8, 7, 6, 5, 4)[speed]
    else:
        options |= {"b:v": 0, "row-mt": 1, "cpu-used": (8, 8, 7, 6, 6, 5, 4, 3, 2)[speed]}
    return options


def _find_encoder(codec: str) -> str:
    available = encoders()
    encoder = next((name for name in _ENCODERS[codec] if name in available), None)
    if encoder is None:
        raise DependencyError(
            f"this ffmpeg has no encoder for {codec}; install one with {_ENCODERS[codec][0]}"
        )
    return encoder
