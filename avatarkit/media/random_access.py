"""Single frames of a video by index, quickly where the file allows it and correctly everywhere."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatarkit.errors import InputError, UsageError
from avatarkit.media.decode import FrameReader, assumed_matrix
from avatarkit.media.image import ImageArray
from avatarkit.media.probe import MediaInfo, VideoStream, probe
from avatarkit.reading import open_file

_SEEKABLE_CODECS = frozenset({"h264", "hevc", "vp8", "vp9", "mpeg4"})


def frames_at(path: Path | str, indices: Sequence[int], *, info: MediaInfo | None = None) -> list[ImageArray]:
    """RGB uint8 frames (H x W x 3) of the given 0-based indices, in the order asked; the same ones as
    FrameReader's.

    Where decord seeks, its plainer colour conversion leaves values about one level lower. Indices count
    frames at the file's own constant rate. All asked frames are in memory at once. Raises UsageError for an
    index outside the video, InputError where the file cannot be read.
    """
    path = Path(path)
    info = info or probe(path, require_video=True)
    if info.video is None:
        raise InputError(f"{path}: holds no video")
    outside = [i for i in indices if not 0 <= i < info.video.frames]
    if outside:
        raise UsageError(
            f"frame {outside[0]} is outside {path.name}, which has frames 0 to {info.video.frames - 1}"
        )
    if not indices:
        return []
    result = _by_seeking(path, indices, info.video) if can_seek(info) else None
    return result if result is not None else _by_reading(path, indices, info)


def can_seek(info: MediaInfo) -> bool:
    """Whether decord finds exactly the frames that FrameReader yields.

    It does not where frames are laid out anew (variable rate), turned, stretched, deinterlaced or given other
    colours, where there are several tracks, where the file is damaged, for AV1, and where the colour matrix is not
    named (it assumes BT.601 for every size).
    """
    video = info.video
    return (
        info.kind == "video"
        # decord knows no list of allowed formats: it gets nothing but these two, by their first bytes.
        and _is_mp4_or_matroska(info.path)
        and video is not None
        and video.codec in _SEEKABLE_CODECS
        and video.pix_fmt == "yuv420p"
        and (video.matrix != "" or assumed_matrix(video) == "bt601")
        and video.square_pixels
        and not (video.variable_rate or video.rotation_deg or video.frames_lost)
        and video.timed
        and video.alone
        and video.colours is None
        and not video.interlaced
        and _decord() is not None
    )


def _is_mp4_or_matroska(path: Path) -> bool:
    with open_file(path, links=True) as file:
        head = file.read(8)
    return head[4:] == b"ftyp" or head[:4] == b"\x1a\x45\xdf\xa3"


def _decord() -> Any:
    try:
        return importlib.import_module("decord")
    except (ImportError, OSError):
        return None


def _by_seeking(path: Path, indices: Sequence[int], video: VideoStream) -> list[ImageArray] | None:
    """The frames through decord, or None where it fails or counts another number of frames."""
    decord = _decord()
    try:
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != video.frames:
            return None
        return [np.array(frame) for frame in reader.get_batch(list(indices)).asnumpy()]
    except (decord.DECORDError, RuntimeError, UnicodeEncodeError):  # it takes names in UTF-8 alone
        return None


def _by_reading(path: Path, indices: Sequence[int], info: MediaInfo) -> list[ImageArray]:
    wanted = set(indices)
    result: dict[int, ImageArray] = {}
    with FrameReader(path, info=info) as reader:
        for index, frame in enumerate(reader):
            if index in wanted:
                result[index] = frame
                if len(result) == len(wanted):
                    break
    missing = sorted(wanted - result.keys())
    if missing:
        raise InputError(f"{path}: frame {missing[0]} cannot be decoded; the file is damaged")
    return [result[index] for index in indices]
