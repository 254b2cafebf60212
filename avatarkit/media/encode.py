"""Frames to a video file: H.264, VP9, ProRes or PNGs, with the driver's sound, at an exact rate."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import ffmpeg
import numpy as np
import numpy.typing as npt

from avatarkit.atomic import begun, left_over_of
from avatarkit.errors import AvatarkitError, OutputError, UsageError
from avatarkit.media.containers import CONTAINERS, Container, choose_codec, encoder_options
from avatarkit.media.ffmpeg import Child, command, enlarge_pipe, file_url, write_problem
from avatarkit.media.mux import add_sound, metadata_options
from avatarkit.media.probe import MediaInfo, probe
from avatarkit.media.rate import format_rate
from avatarkit.media.written import check_pictures, check_written
from avatarkit.media.yuv import yuv420
from avatarkit.runtime import cpu_threads

PNG_PATTERN = "%06d.png"
_PLANAR = ("h264", "hevc", "vp9", "av1")
LARGE_PX = 4_000_000
"""Of larger frames x264 holds as few as it can: dozens would be a gigabyte, and it takes half as long again."""


def takes_planes(path: Path, codec: str = "auto", alpha: bool = False) -> bool:
    """Whether a `FrameWriter` for this path takes planes. Raises as `FrameWriter` for a codec that does not fit."""
    return not alpha and choose_codec(path, codec, alpha) in _PLANAR


class FrameWriter:
    """Writes RGB uint8 frames (H x W x 3), or straight RGBA (H x W x 4) with `alpha`, to `path`.

    The suffix of `path` names the container; a path without suffix is a folder, which gets 000000.png and so
    on. `rate` is exact frames a second; `crf` and `preset` are the encoder's, and `codec` one that the
    container takes. Video is 4:2:0 BT.709 limited range, converted and tagged so; it needs even sides. The
    sound stream of `audio_from` is put under it by presentation time, from `audio_start` seconds on, and
    cut to the video's length; `audio` then says what became of it: "none", "copied" or "encoded". `metadata`
    entries go into the container.

    Use as a context manager: leaving it normally finishes the file and reads it back (`check_written`), leaving it
    by an exception ends ffmpeg and removes the file. An ffmpeg that takes no data for `timeout_s` seconds is ended.
    Raises UsageError for odd sides or a codec the container cannot hold, InputError for an unreadable `audio_from`,
    OutputError with ffmpeg's reason where writing fails or the file lacks anything.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        width: int,
        height: int,
        rate: Fraction,
        codec: str = "auto",
        crf: int | None = None,
        preset: str = "veryfast",
        alpha: bool = False,
        audio_from: Path | str | MediaInfo | None = None,
        audio_start: Fraction = Fraction(0),
        metadata: Mapping[str, str] | None = None,
        timeout_s: float = 120,
    ) -> None:
        self.path = Path(path)
        self.codec = choose_codec(self.path, codec, alpha)
        self.rate = rate
        self.frames = 0
        self.audio = "none"
        self._shape = (height, width, 4 if alpha else 3)
        self._metadata = dict(metadata or {})
        self._timeout_s = timeout_s
        self._audio_start = audio_start
        self._container = CONTAINERS.get(self.path.suffix.lower())
        if (
            width < 1
            or height < 1
            or (self.codec in _PLANAR and (width % 2 or height % 2))
        ):
            raise UsageError(f"a {self.codec} video cannot be {width} x {height}: both sides must be even")
        options = encoder_options(
            self.codec,
            self._container.muxer if self._container else "image2",
            crf=crf,
            preset=preset,
            alpha=alpha,
        )
        if self.codec == "h264":
            # Of its own it takes half as many again, which on busy processors costs a tenth of its time.
            options["threads"] = cpu_threads()
        if self.codec == "h264" and width * height > LARGE_PX:
            few = "threads=2:sliced-threads=1:bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:scenecut=0:weightp=0"
            options["x264-params"] = few
        self._planar = not alpha and self.codec in _PLANAR
        self._sound = self._find_sound(audio_from)
        self._target, self._silent = self.path, contextlib.ExitStack()
        if self._sound is not None:
            # Named after the output itself, so that what a killed program left is swept by the next one.
            final = self.path.with_name(left_over_of(self.path.name) or self.path.name)
            try:
                self._target = self._silent.enter_context(begun(final))
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            self._child: Child | None = Child(self._command(options), stdin=True, timeout_s=timeout_s)
        except BaseException:
            self._silent.close()
            raise
        enlarge_pipe(self._child.stdin)

    def _find_sound(self, source: Path | str | MediaInfo | None) -> MediaInfo | None:
        if source is None or self._container is None:
            return None
        info = source if isinstance(source, MediaInfo) else probe(source)
        return info if info.audio is not None else None

    def _command(self, options: dict[str, Any]) -> list[str]:
        height, width, channels = self._shape
        # Where frames are drawn faster than encoded, ffmpeg holds as many as it may: of large ones for 0.8 GB in all.
        few = {"thread_queue_size": 1} if width * height > LARGE_PX else {}
        source = ffmpeg.input(
            "pipe:0",
            format="rawvideo",
            pix_fmt="yuv420p" if self._planar else "rgba" if channels == 4 else "rgb24",
            s=f"{width}x{height}",
            framerate=format_rate(self.rate),
            **few,
        )
        if self._container is None:
            pattern = file_url(self.path).replace("%", "%%") + "/" + PNG_PATTERN
            return command(ffmpeg.output(source, pattern, format="image2", start_number=0, **options))
        to_yuv = (
            "scale=flags=bicubic+accurate_rnd+full_chroma_int:in_range=full"
            ":out_color_matrix=bt709:out_range=limited,"
            f"format={options['pix_fmt']},"
        )
        filters = (
            f"{'' if self._planar else to_yuv}"
            "setparams=range=limited:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
        )
        if self._sound is None:
            options = {**options, **metadata_options(self._container, self._metadata)}
        return command(
            ffmpeg.output(source, file_url(self._target), format=self._container.muxer, vf=filters, **options)
        )

    def write(self, frame: npt.NDArray[np.uint8]) -> None:
        """Append one frame; it may be changed afterwards. Raises OutputError if ffmpeg stopped, ValueError
        for another shape.
        """
        if self._child is None:
            raise ValueError("the writer is closed")
        if frame.shape != self._shape or frame.dtype != np.uint8:
            raise ValueError(f"frame must be uint8 {self._shape}, not {frame.dtype} {frame.shape}")
        self._put(self._child, yuv420(frame) if self._planar else frame)

    def write_planes(self, packed: npt.NDArray[np.uint8]) -> None:
        """Append one frame as `yuv.yuv420` gives it, only where `takes_planes` says so. Raises as `write`."""
        if self._child is None:
            raise ValueError("the writer is closed")
        count = self._shape[0] * self._shape[1] * 3 // 2
        if not self._planar or packed.shape != (count,) or packed.dtype != np.uint8:
            raise ValueError(f"planes must be uint8 ({count},) of 4:2:0 video, not {packed.dtype} {packed.shape}")
        self._put(self._child, packed)

    def _put(self, child: Child, data: npt.NDArray[np.uint8]) -> None:
        view = np.ascontiguousarray(data).data.cast("B")
        try:
            with child.waiting():
                while view:
                    view = view[child.stdin.write(view) :]
        except OSError as error:  # EPIPE: the child is gone; its own words tell why
            raise self._failed(child) from error
        self.frames += 1

    def _failed(self, child: Child) -> AvatarkitError:
        child.wait()
        self.abort()
        if child.timed_out:
            return OutputError(f"{self.path}: ffmpeg took no data for {self._timeout_s:g} s and was ended")
        return OutputError(f"{self.path}: cannot be written: {write_problem(child.log) or child.reason()}")

    def close(self) -> None:
        """Finish the file: flush the encoder and add the sound. Safe to call again. Raises OutputError."""
        child = self._child
        if child is None:
            return
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()
            code = child.wait()
            if code != 0 or child.timed_out:
                raise self._failed(child)
            if self.frames == 0:
                raise OutputError(f"{self.path}: no frame was written")
            if self._sound is None or self._container is None:
                self._check(child)
            else:
                self._add_sound(child, self._sound, self._container)
        except BaseException:
            self.abort()
            raise
        self._silent.close()
        self._child = None

    def _add_sound(self, child: Child, sound: MediaInfo, container: Container) -> None:
        """Add the sound while what it is added to is read back: both are one thread's work."""
        with ThreadPoolExecutor(1) as pool:
            checked = pool.submit(self._check, child)
            try:
                self.audio = add_sound(
                    self._target,
                    sound,
                    self.path,
                    container=container,
                    frames=self.frames,
                    rate=self.rate,
                    metadata=self._metadata,
                    timeout_s=self._timeout_s,
                    start=self._audio_start,
                )
            finally:
                # Its error comes first: a picture that lacks something is why sound cannot be added to it.
                checked.result()

    def _check(self, child: Child) -> None:
        if self._container is None:
            check_pictures(self.path, PNG_PATTERN, self.frames, child.log)
            return
        try:
            check_written(
                self._target, frames=self.frames, rate=self.rate, log=child.log, timeout_s=self._timeout_s
            )
        except OutputError as error:
            raise OutputError(str(error).replace(str(self._target), str(self.path), 1)) from error

    def abort(self) -> None:
        """End ffmpeg and remove what was written; safe to call more than once."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
        if self._container is None:
            for picture in self.path.glob("[0-9]" * 6 + ".png"):
                picture.unlink(missing_ok=True)
            return
        self._silent.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
