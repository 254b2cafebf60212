"""The one place that knows yt-dlp: look at what a site offers, choose a format, download it, name the failure."""

from __future__ import annotations

import errno
import io
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from avatarkit.errors import DependencyError, InputError, OutputError
from avatarkit.prepare.fetch.config import FetchConfig, FetchError, site_explains
from avatarkit.prepare.fetch.failures import FailureClass, classify, one_line

try:
    import yt_dlp
    from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError
    from yt_dlp.utils import (
        ContentTooShortError,
        DownloadCancelled,
        GeoRestrictedError,
        UnsupportedError,
        YoutubeDLError,
    )
except ImportError as error:
    raise DependencyError(f"fetching videos needs yt-dlp ({error}); pip install yt-dlp") from error

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.ENAMETOOLONG)
_COOKIE_REMEDY = "give a cookies.txt in Netscape's format"
_ASK_EVERY_S = 1.0
_STREAMED = ("is_live", "is_upcoming", "post_live")
# What a site that changed makes of an extractor; its own errors are YoutubeDLError.
_BROKEN_EXTRACTOR = (YoutubeDLError, OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError)
RUNTIMES = {"deno": "deno", "node": "node", "bun": "bun", "quickjs": "qjs"}
"""Programs that run JavaScript for yt-dlp: its name and the command's."""


@dataclass(frozen=True)
class Offer:
    """The chosen format; figures are the site's, 0 where it gives none."""

    format_id: str
    bytes: int
    title: str
    author: str
    licence: str
    width: int
    height: int
    rate: float


class Session:
    """One try at one video, as a context.

    Args:
        url: the address.
        video: the video's name in errors.
        config: how to fetch.
        head_fractions: head sides as fractions of the picture's height; empty if not known.
        stop: asked while bytes come in; when true the download ends with InterruptedError and the part stays.

    Raises:
        InputError: the cookies cannot be read.
    """

    def __init__(
        self,
        url: str,
        video: str,
        config: FetchConfig,
        head_fractions: Sequence[float] = (),
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._url, self._video, self._config = url, video, config
        self._fractions = [fraction for fraction in head_fractions if fraction > 0]
        self._stop, self._asked_s = stop, time.monotonic()
        self._heard = _Listener()
        self._info: dict[str, Any] = {}
        self._tag = ""
        self._ydl = yt_dlp.YoutubeDL(self._params())
        try:
            # Read now: a cookie file that is none would raise again when the session is closed.
            self._ydl.cookiejar  # noqa: B018
        except YoutubeDLError as error:
            said = one_line(str(error).rpartition(">")[2])
            raise InputError(f"{config.cookies}: these cookies cannot be read: {said}; {_COOKIE_REMEDY}") from error

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ydl.close()

    def look(self) -> Offer:
        """Ask what there is, without downloading, and choose.

        Raises:
            FetchError: the site refuses, offers nothing, or nothing large enough.
        """
        info = self._site(lambda: self._ydl.extract_info(self._url, download=False))
        entries = list(info.get("entries") or ()) if info else []
        if info and info.get("_type") in ("playlist", "multi_video"):
            if len(entries) != 1 or not entries[0]:
                raise self._failed("no-format", f"the address holds {len(entries)} videos; name one of them")
            info = entries[0]
        if not info:
            raise self._failed("no-format", "the site offers nothing at this address")
        if info.get("is_live") or info.get("live_status") in _STREAMED:
            raise self._failed("no-format", f"a live stream ({info.get('live_status') or 'is_live'})")
        self._info = info
        offer = _offer(info)
        self._check_height(offer.height)
        self._tag = f"{''.join(c if c.isalnum() else '-' for c in offer.format_id)}-{offer.bytes}"
        return offer

    def download(self, folder: Path, key: str) -> Path:
        """Download what `look` chose into `folder`, going on where an earlier try of the same format broke off.

        Raises:
            FetchError: it broke off or was refused; the part stays.
            OutputError: the file cannot be written.
        """
        # The size is in the name: parts of two versions of a video never end up in one file.
        stem = str(folder / f"{key}.part.{self._tag}").replace("%", "%%")
        self._ydl.params["outtmpl"]["default"] = stem + ".%(ext)s"
        info = self._site(lambda: self._ydl.process_ie_result(dict(self._info), download=True))
        files = [item.get("filepath") for item in info.get("requested_downloads") or ()]
        if not files or not files[0] or not Path(files[0]).is_file():
            raise self._failed("unknown", f"yt-dlp reported success and left no file; {self._heard.last}")
        return Path(files[0])

    def _check_height(self, height: int) -> None:
        """The pre-flight: what the best offered picture can give at most."""
        if not height:
            return
        if height < self._config.min_height:
            raise self._too_small(f"{height} px high at most, {self._config.min_height} wanted")
        largest = max(self._fractions, default=math.inf)
        if height * largest < self._config.min_head_px:
            most = f"{height} px high at most, so the head is {height * largest:.0f} px at most"
            raise self._too_small(f"{most}, {self._config.min_head_px} wanted")

    def _too_small(self, detail: str) -> FetchError:
        """The verdict, with yt-dlp's own doubt: where it cannot solve a site's puzzles it sees fewer formats."""
        doubt = next((text for text in self._heard.warnings if "formats may be missing" in text), "")
        return self._failed("too-small-advertised", f"{detail} ({doubt})" if doubt else detail)

    def _params(self) -> dict[str, Any]:
        config = self._config
        needed = config.min_head_px / min(self._fractions) if self._fractions and config.min_head_px else math.inf

        def select(context: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            result = choose_format(context["formats"], max(needed, config.min_height), config.max_height)
            if result is not None:
                yield result

        params: dict[str, Any] = {
            "format": select,
            "logger": self._heard,
            "progress_hooks": [self._received],
            "quiet": True,
            "noprogress": True,
            "color": "no_color",
            "noplaylist": True,
            "continuedl": True,
            "overwrites": True,
            "updatetime": False,
            "fixup": "never",
            "outtmpl": {"default": "%(id)s.%(ext)s"},
            # Retries are ours: only then do all workers wait when one is refused.
            "retries": 0,
            "fragment_retries": 2,
            "skip_unavailable_fragments": False,
            "extractor_retries": 0,
            "file_access_retries": 1,
            "socket_timeout": config.silence_s,
            "js_runtimes": {name: {} for name in RUNTIMES},
        }
        if config.proxy is not None:
            params["proxy"] = config.proxy
        if config.cookies is not None:
            # yt-dlp writes cookies back at the end; workers would overwrite each other, so each has a copy.
            params["cookiefile"] = io.StringIO(_read_cookies(config.cookies))
        return params

    def _received(self, _: Mapping[str, Any]) -> None:
        """Called by yt-dlp for every block; its own exception for this passes through all its handlers."""
        now_s = time.monotonic()
        if self._stop is not None and now_s - self._asked_s >= _ASK_EVERY_S:
            self._asked_s = now_s
            if self._stop():
                raise DownloadCancelled

    def _site(self, work: Any) -> dict[str, Any]:
        """Run yt-dlp; every way in which it fails becomes one of our errors."""
        try:
            return dict(work() or {})
        except FetchError:
            raise
        except DownloadCancelled as error:
            raise InterruptedError("the download was stopped") from error
        except _BROKEN_EXTRACTOR as error:
            raise self._translated(error) from error

    def _translated(self, error: BaseException) -> Exception:
        chain = list(causes(error))
        for cause in chain:
            if isinstance(cause, OSError) and cause.errno in _DISK_ERRORS:
                return OutputError(f"{self._video}: cannot be stored: {cause.strerror}; free some space and run again")
        text = one_line(str(error)) or type(error).__name__
        by_type = _class_of_type(chain)
        if by_type is not None:
            return self._failed(by_type, text)
        status = next((cause.status for cause in chain if isinstance(cause, HTTPError)), None)
        result = classify(text, status=status, site_knows=site_explains(self._url), hints=self._heard.warnings)
        if result == "unknown" and any(isinstance(cause, TransportError) for cause in chain):
            result = "network"
        # An error that says nothing is told together with the warning that led to it.
        hint = f" ({self._heard.last})" if status is None and self._heard.last and "any player" in text else ""
        return self._failed(result, text + hint)

    def _failed(self, failure_class: FailureClass, detail: str) -> FetchError:
        return FetchError(failure_class, detail, self._video)


class _Listener:
    """Takes what yt-dlp would print."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    @property
    def last(self) -> str:
        """The last warning, "" if there was none."""
        return self.warnings[-1] if self.warnings else ""

    def debug(self, text: str) -> None:
        """Ignore what is said on the way."""

    def warning(self, text: str) -> None:
        """Keep a warning: it may be the reason of a later error."""
        self.warnings.append(one_line(text))

    def error(self, text: str) -> None:
        """Ignore it: it is raised as well."""


def choose_format(
    formats: Sequence[Mapping[str, Any]], needed_height: float, max_height: int
) -> Mapping[str, Any] | None:
    """The format to download, None if none has a picture.

    The lowest picture of at least `needed_height`, else the highest, none above `max_height` if avoidable. Pictures
    that the site enlarged by itself are left out: their pixels are invented. Standard dynamic range, plain files
    and formats without sound come first; then yt-dlp's own order decides.

    Args:
        formats: yt-dlp's formats, worst first.
        needed_height: pixels; infinite for the highest there is.
        max_height: pixels.
    """
    usable = [
        item for item in formats if item.get("vcodec") != "none" and not item.get("has_drm") and not _enlarged(item)
    ]
    heights = sorted({int(item["height"]) for item in usable if item.get("height")})
    if heights:
        allowed = [height for height in heights if height <= max_height] or heights[:1]
        height = next((height for height in allowed if height >= needed_height), allowed[-1])
        usable = [item for item in usable if item.get("height") == height]

    def rank(place: int) -> tuple[bool, bool, bool, int]:
        item = usable[place]
        plain = str(item.get("protocol", "")) in ("http", "https")
        return (item.get("dynamic_range") in (None, "SDR"), plain, item.get("acodec") == "none", place)

    return usable[max(range(len(usable)), key=rank)] if usable else None


def advice() -> str | None:
    """What would let yt-dlp see all formats, in one line; None where nothing is missing."""
    if find_spec("yt_dlp_ejs") is None:
        return "pip install 'yt-dlp[default]' and install deno: without them YouTube shows fewer formats"
    if not any(shutil.which(command) for command in RUNTIMES.values()):
        return "install deno (or node, bun, quickjs): without one YouTube shows fewer formats"
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error and all that led to it, outermost first: yt-dlp hides causes in several places."""
    todo, seen = [error], set()
    while todo:
        item = todo.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        info = getattr(item, "exc_info", None)
        inner = [info[1] if info else None, getattr(item, "cause", None), getattr(item, "orig_msg", None)]
        todo += [other for other in (*inner, item.__cause__, item.__context__) if isinstance(other, BaseException)]


def _class_of_type(chain: Sequence[BaseException]) -> FailureClass | None:
    kinds: tuple[tuple[FailureClass, tuple[type[BaseException], ...]], ...] = (
        ("geo", (GeoRestrictedError,)),
        ("no-format", (UnsupportedError,)),
        ("truncated", (ContentTooShortError, IncompleteRead)),
    )
    return next((name for name, types in kinds if any(isinstance(cause, types) for cause in chain)), None)


def _offer(info: Mapping[str, Any]) -> Offer:
    def text(*names: str) -> str:
        return one_line(next((str(info[name]) for name in names if info.get(name)), ""))

    def number(name: str) -> float:
        value = info.get(name)
        return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else 0.0

    return Offer(
        format_id=text("format_id"),
        bytes=int(number("filesize")),
        title=text("title"),
        author=text("uploader", "channel", "creator"),
        licence=text("license"),
        width=int(number("width")),
        height=int(number("height")),
        rate=number("fps"),
    )


def _enlarged(one: Mapping[str, Any]) -> bool:
    """YouTube marks pictures that it enlarged by a network with "-sr" and "AI-upscaled"."""
    return str(one.get("format_id", "")).endswith("-sr") or "upscaled" in str(one.get("format_note", "")).lower()


def _read_cookies(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: these cookies cannot be read: {error}; {_COOKIE_REMEDY}") from error
