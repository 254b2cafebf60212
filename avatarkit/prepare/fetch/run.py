"""Fetch an original video: checked name, shared rate limit, retries by the kind of failure, complete files only."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import filelock

from avatarkit.atomic import write_whole
from avatarkit.errors import InputError, OutputError
from avatarkit.prepare.fetch.config import FetchConfig, FetchError, video_key, video_url
from avatarkit.prepare.fetch.failures import SHARED_BACK_OFF
from avatarkit.prepare.fetch.limiter import Limiter
from avatarkit.reading import check_text, check_whole, read_json
from avatarkit.runtime import NullProgress, Progress

__all__ = ["FetchConfig", "FetchError", "Note", "fetch", "fetched", "read_note", "video_key", "video_url"]

WORK_FOLDER = ".fetch"
"""Inside the folder of originals: parts that are still coming, notes about what came, locks."""

SIZE_SLACK_BYTES = 100
"""Sites advertise sizes that are off by a few bytes at times; a file that is shorter by more is truncated."""


@dataclass(frozen=True)
class Note:
    """What is known about a fetched original.

    `width`, `height` (pixels) and `rate` (frames a second) are the site's figures, 0 where it gives none. `bytes` is
    the file's true size.
    """

    file: str
    bytes: int
    url: str
    title: str
    author: str
    licence: str
    width: int
    height: int
    rate: float
    format_id: str


def fetch(
    video: str,
    folder: Path,
    config: FetchConfig,
    limiter: Limiter,
    *,
    head_fractions: Sequence[float] = (),
    reserve: Callable[[int], None] | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch one video's picture; sound is left out where the site offers it apart.

    A file that came completely in an earlier run is returned at once. A part is continued. Two processes that
    want the same video fetch it once.

    Args:
        video: an id of 11 characters, or an http address.
        folder: where originals are kept; made if missing.
        config: how to fetch.
        limiter: the budget that all workers share.
        head_fractions: for each person wanted in it, the head's side as a fraction of the picture's height. The
            largest decides whether it is worth fetching, the smallest how high a picture is needed.
        reserve: called with the size in bytes (0 if not advertised) before the download, to keep a disk quota; it
            may wait, or raise.
        stop: asked during waits and while bytes come in; when true the fetch ends with InterruptedError.
        progress: told about retries.

    Returns:
        The file, named by `video_key` and the container's suffix.

    Raises:
        InputError: `video` is neither an id nor an address, or the cookies cannot be read.
        FetchError: it could not be had; with its class, and whether a later run may succeed.
        OutputError: the file cannot be written; a full disk too.
        DependencyError: yt-dlp is not installed.
    """
    key, work = video_key(video), Path(folder) / WORK_FOLDER
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror or error}; choose another folder") from error
    with filelock.FileLock(work / f"{key}.lock"):
        done = fetched(video, folder)
        if done is not None:
            return done
        job = _Fetch(video, key, Path(folder), config, limiter, tuple(head_fractions), reserve)
        return job.run(stop, progress or NullProgress())


def fetched(video: str, folder: Path) -> Path | None:
    """The file of a video that came completely before, or None.

    Raises:
        InputError: as for `video_key`.
    """
    note = read_note(video, folder)
    if note is None:
        return None
    path = Path(folder) / note.file
    try:
        return path if path.stat().st_size == note.bytes else None
    except OSError:
        return None


def read_note(video: str, folder: Path) -> Note | None:
    """What is known about a fetched video, also after its file was deleted; None if it never came.

    Raises:
        InputError: as for `video_key`.
    """
    key = video_key(video)
    try:
        values = read_json(Path(folder) / WORK_FOLDER / f"{key}.json")
        note = Note(**{field.name: values[field.name] for field in fields(Note)})
        check_text(note.file, "file")
        check_whole(note.bytes, "bytes")
    except (OSError, KeyError, ValueError, InputError):
        return None
    # A note is a file that anyone may have changed; it must not lead out of the folder.
    return note if note.file.startswith(f"{key}.") and Path(note.file).name == note.file else None


class _Fetch:
    """One video's tries."""

    def __init__(
        self,
        video: str,
        key: str,
        folder: Path,
        config: FetchConfig,
        limiter: Limiter,
        head_fractions: tuple[float, ...],
        reserve: Callable[[int], None] | None,
    ) -> None:
        self._video, self._key, self._folder, self._config = video, key, folder, config
        self._limiter, self._head_fractions, self._reserve = limiter, head_fractions, reserve
        self._rng = random.Random(key)

    def run(self, stop: Callable[[], bool] | None, progress: Progress) -> Path:
        """Try until it is there, the failure is final, or patience is at its end."""
        counts = {True: 0, False: 0}
        while True:
            self._limiter.acquire(stop)
            try:
                path = self._once(stop)
            except FetchError as error:
                held = error.failure_class in SHARED_BACK_OFF
                wait_s = self._limiter.back_off() if held else 0.0
                if error.failure_class != "network" and not held:
                    self._limiter.succeeded()
                if not error.retryable:
                    self._forget_parts()
                    raise
                counts[held] += 1
                if counts[held] >= (self._config.held_tries if held else self._config.tries):
                    raise
                pause_s = 0.0 if held else self._config.pause_s * 2 ** (counts[held] - 1) * self._rng.uniform(0.5, 1.5)
                progress.notice(f"{error}; trying again in {wait_s or pause_s:.0f} s")
                _wait(pause_s, stop)
                continue
            self._limiter.succeeded()
            return path

    def _once(self, stop: Callable[[], bool] | None) -> Path:
        # yt-dlp takes half a second to import, and most of this package's users fetch nothing.
        from avatarkit.prepare.fetch.ytdlp import Session

        url = video_url(self._video)
        with Session(url, self._video, self._config, self._head_fractions, stop) as session:
            offer = session.look()
            if self._reserve is not None:
                self._reserve(offer.bytes)
            part = session.download(self._folder / WORK_FOLDER, self._key)
            size = part.stat().st_size
            if offer.bytes and size < offer.bytes - SIZE_SLACK_BYTES:
                part.unlink()
                detail = f"{size} bytes came of {offer.bytes} advertised"
                raise FetchError("truncated", detail, self._video)
            if not size:
                part.unlink()
                raise FetchError("truncated", "the file is empty", self._video)
        name = self._key + part.suffix
        note = Note(name, size, url, offer.title, offer.author, offer.licence, offer.width, offer.height, offer.rate,
                    offer.format_id)  # fmt: skip
        return self._keep(part, note)

    def _keep(self, part: Path, note: Note) -> Path:
        """Give the complete file its name. The note comes first: a file without a matching note is fetched again."""
        target = self._folder / note.file
        try:
            _write_json(self._folder / WORK_FOLDER / f"{self._key}.json", asdict(note))
            os.replace(part, target)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from error
        self._forget_parts()
        return target

    def _forget_parts(self) -> None:
        """Remove what earlier tries left, of this format or another."""
        for path in (self._folder / WORK_FOLDER).glob(f"{self._key}.part.*"):
            path.unlink(missing_ok=True)


def _wait(seconds: float, stop: Callable[[], bool] | None) -> None:
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        if stop is not None and stop():
            raise InterruptedError("the fetch was stopped")
        time.sleep(min(left_s, 0.5))


def _write_json(path: Path, values: dict[str, Any]) -> None:
    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, text.encode("utf-8", "backslashreplace"))
