"""The samples of a file's sound, on the clock of its first picture."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import ffmpeg
import numpy as np
from numpy.typing import NDArray

from avatarkit.errors import InputError
from avatarkit.media.ffmpeg import Child, command, media_input
from avatarkit.media.probe import probe

__all__ = ["SAMPLE_RATE_HZ", "read_sound"]

SAMPLE_RATE_HZ = 16000
LONGEST_S = 3600
"""Sound beyond this is not read: an hour is 230 MB."""


def read_sound(path: Path, timeout_s: float = 60.0) -> NDArray[np.float32] | None:
    """Mono samples in [-1, 1] at `SAMPLE_RATE_HZ` from the moment of the first picture on; None without sound.

    Raises:
        InputError: the sound cannot be decoded, or the file is no video.
    """
    info = probe(path, require_video=True)
    if info.audio is None or info.video is None:
        return None
    first = round(Fraction(info.video.start) * SAMPLE_RATE_HZ)
    source = media_input(path)
    stream = source[str(info.audio.index)]
    stream = stream.filter("aformat", sample_rates=SAMPLE_RATE_HZ, channel_layouts="mono")
    stream = stream.filter("aresample", **{"async": 1, "first_pts": first})
    output = ffmpeg.output(stream, "pipe:1", format="f32le", t=LONGEST_S)
    args = command(output, joined=source if info.joined else None)
    with Child(args, stdout=True, timeout_s=timeout_s) as child:
        data = bytearray()
        while True:
            with child.waiting():
                block = child.stdout.read(1 << 20)
            if not block:
                break
            data += block
        code = child.wait()
        if code or len(data) % 4:
            raise InputError(f"{path}: its sound cannot be decoded: {child.reason()}")
    return np.frombuffer(bytes(data), "<f4").astype(np.float32)
