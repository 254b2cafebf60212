"""Frames of any video, one after another, at an exact constant rate."""

from __future__ import annotations

import contextlib
import queue
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType

import cv2
import ffmpeg
import numpy as np

from avatarkit.errors import InputError
from avatarkit.media.animation import animation_frames
from avatarkit.media.damage import damage_warning, damaged_frames, suspicious
from avatarkit.media.ffmpeg import Child, command, enlarge_pipe, media_input
from avatarkit.media.image import ImageArray, read_image
from avatarkit.media.probe import MediaInfo, VideoStream, probe, truncation_warning
from avatarkit.media.rate import format_rate, round_half_up
from avatarkit.media.tonemap import ColourSpace, tables

_PREFETCH = 4


class FrameReader:
    """Iterator over the RGB uint8 frames (H x W x 3) of a video, upright, laid onto a constant rate by
    display time.

    Frame 0 is the first frame that the file shows; frame i is what is on screen i / rate seconds later.
    Decoding runs ahead of the consumer by a few frames in another process. Every frame is an array of its
    own.

    `rate` sets another rate than the file's own; `max_side` (pixels) scales down, never up; `part` gives only
    the frames from the first number up to the second, which must be within the file. A decoder that
    gives no frame for `timeout_s` seconds is ended and raises InputError. `info` saves a second probe. After
    the last frame `frames_lost` and `damaged` (frames of the whole file) tell what a truncated or damaged file
    lacks, and `warning` both in one line. Raises InputError where the file has no video that can be read.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        rate: Fraction | None = None,
        max_side: int | None = None,
        part: tuple[int, int] | None = None,
        timeout_s: float = 60,
        info: MediaInfo | None = None,
    ) -> None:
        self.path = Path(path)
        self.info = info or probe(self.path, require_video=True)
        if self.info.video is None:
            raise InputError(f"{self.path}: holds no video")
        self._video: VideoStream = self.info.video
        self.rate = rate or self._video.rate
        self.width, self.height = _fit(self._video.width, self._video.height, max_side)
        self._part = part
        self._first, end = part or (0, self._video.frames_at(self.rate))
        self.frames_expected = end - self._first
        self.frames_lost = 0
        self.frames_read = 0
        self.warning: str | None = None
        self.damaged: tuple[range, ...] = ()
        self._timeout_s = timeout_s
        self._stop = threading.Event()
        self._queue: queue.Queue[ImageArray | BaseException | None] = queue.Queue(_PREFETCH)
        self._thread: threading.Thread | None = None
        self._child: Child | None = None
        self._ended = False

    def __iter__(self) -> Iterator[ImageArray]:
        return self

    def __next__(self) -> ImageArray:
        if self._ended:
            raise StopIteration
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="frame-reader", daemon=True)
            self._thread.start()
        item = self._queue.get()
        if isinstance(item, np.ndarray):
            self.frames_read += 1
            return item
        self._ended = True
        self.close()
        if item is not None:
            raise item
        self._account()
        raise StopIteration

    def _account(self) -> None:
        """Compare what came with what the file promised."""
        lost = 0 if self._part else self._video.frames_lost
        promised_lost = round_half_up(lost * self.rate / self._video.rate)
        total = self.frames_expected + promised_lost
        self.frames_lost = total - self.frames_read
        texts = [truncation_warning(self.path, self.frames_lost, total)] if self.frames_lost else []
        if self.doubtful:
            inside = range(self._first, self._first + self.frames_read)
            spans = damaged_frames(self.info, self.rate, timeout_s=self._timeout_s)
            cut = (range(max(s.start, inside.start), min(s.stop, inside.stop)) for s in spans)
            self.damaged = tuple(span for span in cut if span)
        if self.damaged:
            texts.append(damage_warning(self.path, self.damaged, self._video.frames_at(self.rate)))
        self.warning = "; ".join(texts) or None

    @property
    def doubtful(self) -> bool:
        """Whether the decoder has complained so far; frames from here on may then be damaged."""
        return self._child is not None and suspicious(self._child.log)

    def close(self) -> None:
        """End the decoder; safe to call more than once."""
        self._stop.set()
        self._ended = True
        child = self._child
        if child is not None:
            child.kill()
        if self._thread is not None and self._thread is not threading.current_thread():
            with contextlib.suppress(queue.Empty):
                while True:
                    self._queue.get_nowait()
            self._thread.join(timeout=10)

    def __enter__(self) -> FrameReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        """Body of the prefetch thread: frames, then None or the error that ended them."""
        last: BaseException | None = None
        try:
            for frame in self._frames():
                if not self._put(frame):
                    return
        except Exception as error:  # noqa: BLE001 - handed to the consumer, who raises it
            last = error
        self._put(last)

    def _put(self, item: ImageArray | BaseException | None) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _frames(self) -> Iterator[ImageArray]:
        if self.info.kind == "image":
            picture = self._resize(read_image(self.path))
            for _ in range(self.frames_expected):
                yield picture.copy()
        elif self.info.container in ("gif", "webp", "png", "avif"):
            end = self._first + self.frames_expected
            for frame in islice(animation_frames(self.path, self.rate, end), self._first, None):
                yield self._resize(frame)
        else:
            yield from self._decoded()

    def _resize(self, frame: ImageArray) -> ImageArray:
        if frame.shape[:2] == (self.height, self.width):
            return frame
        resized = cv2.resize(frame, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return resized.astype(np.uint8, copy=False)

    def _decoded(self) -> Iterator[ImageArray]:
        last: ImageArray | None = None
        count = 0
        with (
            _tables(self._video.colours) as tables,
            Child(self._command(tables), stdout=True, timeout_s=self._timeout_s) as child,
        ):
            self._child = child
            enlarge_pipe(child.stdout)
            while count < self.frames_expected and not self._stop.is_set():
                with child.waiting():
                    frame = self._read_frame(child)
                if frame is None:
                    break
                last = frame
                count += 1
                yield frame
            if count < self.frames_expected and not self._stop.is_set():
                self._check_end(child, count)
        # ffmpeg versions differ in how long they hold the last frame; a hold is no loss.
        last_index = round_half_up(self._video.last_start * self.rate) - self._first
        while last is not None and last_index < count < self.frames_expected:
            count += 1
            yield last.copy()

    def _read_frame(self, child: Child) -> ImageArray | None:
        frame = np.empty((self.height, self.width, 3), np.uint8)
        view = frame.data.cast("B")
        while view:
            got = child.stdout.readinto(view)
            if not got:
                return None
            view = view[got:]
        return frame

    def _check_end(self, child: Child, count: int) -> None:
        child.wait()
        if child.timed_out:
            raise InputError(
                f"{self.path}: the decoder gave no frame for {self._timeout_s:g} s and was ended"
            )
        if child.crashed:
            raise InputError(f"{self.path}: {child.crashed} after frame {count}")
        if count == 0:
            raise InputError(f"{self.path}: no frame could be decoded: {child.reason()}")

    def _command(self, tables: Sequence[Path]) -> list[str]:
        video = self._video
        matrix = assumed_matrix(video)
        assumed = f":in_color_matrix={matrix}" if matrix else ""
        start = f":start_time={float(video.start):.9f}" if video.timed else ""
        width, height = _fitting(video, self.width, self.height)
        filters = [
            *([] if video.timed else ["setpts=PTS-STARTPTS"]),
            # Frames that are not marked as interlaced pass through as they are.
            *(["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []),
            # Repeating the last frame keeps older versions of fps from dropping one of next to no duration.
            f"tpad=stop_duration={float(1 / self.rate):.6f}:stop_mode=clone",
            f"fps=fps={format_rate(self.rate)}:round=near{start}",
            *self._trim(),
            "setpts=N",
            # By way of planar RGB: swscale's accurate path to it uses all cores; packing is nearly free.
            f"scale=w='{width}':h='{height}':eval=frame:flags=bicubic+accurate_rnd+full_chroma_int{assumed}",
            *(["format=gbrp12le", *map(_table_filter, tables)] if tables else []),
            "format=gbrp",
            f"pad=w={self.width}:h={self.height}:x=-1:y=-1:eval=frame",
            "scale=flags=bicubic",
            "format=rgb24",
        ]
        # A filter graph that is made anew where the resolution changes would lose and delay frames. Filters that
        # turn or deinterlace pictures cannot do with another size, though.
        keep = {} if video.rotation_deg or video.interlaced else {"reinit_filter": 0}
        source = media_input(self.path, **keep)
        stream = ffmpeg.output(
            source[str(video.index)],
            "pipe:1",
            format="rawvideo",
            pix_fmt="rgb24",
            vf=",".join(filters),
            r=format_rate(self.rate),
        )
        return command(stream, joined=source if self.info.joined else None)

    def _trim(self) -> list[str]:
        if self._part is None:
            return []
        return [f"trim=start_frame={self._first}:end_frame={self._first + self.frames_expected}"]


@contextlib.contextmanager
def _tables(colours: ColourSpace | None) -> Iterator[list[Path]]:
    """Files with the tables that bring `colours` to SDR, for as long as ffmpeg may read them."""
    if colours is None:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="avatarkit-") as folder:
        paths = []
        for name, table in zip(("lut1d", "lut3d"), tables(colours), strict=True):
            paths.append(Path(folder) / f"{name}.cube")
            paths[-1].write_bytes(table)
        yield paths


def _table_filter(path: Path) -> str:
    # Once for the value of an option, once for the description of the graph.
    value = re.sub(r"([\\':])", r"\\\1", str(path))
    return f"{path.stem}=" + re.sub(r"([\\'\[\],;])", r"\\\1", value)


def _fitting(video: VideoStream, width: int, height: int) -> tuple[str, str]:
    """Expressions for the sides of a frame within `width` x `height`.

    The file may change its resolution midway: what has another aspect is then reduced to fit, and padded.
    """
    coded = video.coded_size if video.rotation_deg in (0, 180) else video.coded_size[::-1]
    same = f"eq(iw,{coded[0]})*eq(ih,{coded[1]})+lt(abs({height}*dar-{width}),{width}*0.02)"
    return (
        f"if({same},{width},clip(round({height}*dar),1,{width}))",
        f"if({same},{height},clip(round({width}/dar),1,{height}))",
    )


def assumed_matrix(video: VideoStream) -> str | None:
    """The colour matrix to assume where the file names none: BT.709 from HD size on, as players do.

    BT.2020 for HDR; None where the file names it or its pixels are not YUV.
    """
    if video.matrix == "" and video.colours is not None and video.colours.hdr:
        return "bt2020"
    if video.matrix or not video.pix_fmt.startswith(("yuv", "nv", "p0")):
        return None
    high_definition = max(video.width, video.height) >= 1280 or min(video.width, video.height) > 576
    return "bt709" if high_definition and video.codec != "mjpeg" else "bt601"


def _fit(width: int, height: int, max_side: int | None) -> tuple[int, int]:
    longest = max(width, height)
    if max_side is None or longest <= max_side:
        return width, height
    scale = Fraction(max_side, longest)
    return max(1, round_half_up(width * scale)), max(1, round_half_up(height * scale))
