"""What may be fetched and how: settings, checked names of videos, and the error of a video that cannot be had."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from avatarkit.errors import InputError
from avatarkit.prepare.fetch.failures import RETRYABLE, FailureClass

_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")
_IN_URL = re.compile(r"(?:youtu\.be/|/(?:shorts|embed|live|v)/|[?&]v=)([A-Za-z0-9_-]{11})(?=[?&#/]|$)")
_SITE_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")


@dataclass(frozen=True)
class FetchConfig:
    """How originals are fetched.

    Args:
        rate_per_hour: fetches that may begin in an hour, over all workers; sites allow a stranger a few hundred.
        cookies: a cookies.txt of a signed-in browser, read and never written; None fetches as a stranger.
        proxy: address of a proxy, such as socks5://127.0.0.1:1080; None takes the environment's.
        min_head_px: a video whose best picture cannot give a head of this side is not fetched; 0 turns that off.
        min_height: a video whose best picture is lower than this is not fetched, pixels.
        max_height: no picture higher than this is fetched if there is a lower one, pixels.
        tries: how often a video is tried where the network fails or the file breaks off.
        held_tries: how often it is tried where the site asks to wait or doubts that we are people.
        pause_s: seconds before the second try, doubled each time; drawn within 50 % around that.
        hold_s: seconds for which all workers wait when the site asks to, doubled each time, an hour at most.
        silence_s: seconds without a byte after which a connection is given up.
    """

    rate_per_hour: float = 300.0
    cookies: Path | None = None
    proxy: str | None = None
    min_head_px: int = 512
    min_height: int = 0
    max_height: int = 2160
    tries: int = 3
    held_tries: int = 8
    pause_s: float = 5.0
    hold_s: float = 60.0
    silence_s: float = 30.0


class FetchError(InputError):
    """A video that could not be had.

    Args:
        failure_class: why, one of `failures.FAILURE_CLASSES`.
        detail: what the site or yt-dlp said, in its own words, on one line.
        video: the id or address that was asked for.
    """

    def __init__(self, failure_class: FailureClass, detail: str, video: str = "") -> None:
        # All arguments go to the base class: pickled errors of worker processes are built again from them.
        super().__init__(failure_class, detail, video)
        self.failure_class: FailureClass = failure_class
        self.detail, self.video = detail, video

    @property
    def retryable(self) -> bool:
        """Whether a later run may succeed."""
        return self.failure_class in RETRYABLE

    def __str__(self) -> str:
        """One line: which video, which class, what was said."""
        return f"{self.video + ': ' if self.video else ''}{self.failure_class}: {self.detail}"


def video_key(video: str) -> str:
    """The name under which a video is stored: its 11-character id, or "url-" and 16 digits of the address's hash.

    Raises:
        InputError: neither an id nor an address that begins with http:// or https://.
    """
    if _VIDEO_ID.fullmatch(video):
        return video
    if not _is_address(video):
        raise InputError(f"{video[:100]!r} is neither a video id of 11 letters, digits, - or _ nor an http address")
    result = _IN_URL.search(video)
    if result and _on_site(video):
        return result[1]
    return "url-" + hashlib.sha256(video.encode()).hexdigest()[:16]


def video_url(video: str) -> str:
    """The address of a video given by its id or address.

    Raises:
        InputError: as for `video_key`.
    """
    key = video_key(video)
    return video if _is_address(video) else f"https://www.youtube.com/watch?v={key}"


def site_explains(url: str) -> bool:
    """Whether the site says in words why it refuses a video, so that a bare 403 means this session."""
    return _on_site(url)


def _is_address(video: str) -> bool:
    """An http address with a host and without white space or control characters."""
    try:
        parts = urlsplit(video)
        parts.port  # noqa: B018  a port that is no number raises here
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and video.isprintable() and " " not in video


def _on_site(url: str) -> bool:
    host = (urlsplit(url).hostname or "").lower()
    return any(host == site or host.endswith("." + site) for site in _SITE_HOSTS)
