"""Why a video could not be fetched: one of eleven classes, read from what the site and yt-dlp say.

`MEANINGS` says what each class means. A bot check is bound to the network address and passes with time, so it is tried
again like a rate limit. `unknown` is not: mostly a site has changed, and a newer yt-dlp knows what to do.
`too-small-advertised` is no failure of the network: the pre-flight found that no offered picture is high enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

FailureClass = Literal[
    "private",
    "removed",
    "terminated",
    "geo",
    "age",
    "bot-check",
    "rate-limit",
    "no-format",
    "truncated",
    "network",
    "unknown",
    "too-small-advertised",
]
FAILURE_CLASSES: tuple[FailureClass, ...] = get_args(FailureClass)
"""All classes; the last is the pre-flight's."""

MEANINGS: Mapping[str, str] = {
    "private": "only invited people, members or buyers may watch",
    "removed": "deleted by its owner or the site, or never there",
    "terminated": "the whole account is gone",
    "geo": "not shown in this country",
    "age": "needs a signed-in adult; cookies may help",
    "bot-check": "the site wants proof of a person, or refuses the file to this session",
    "rate-limit": "too many requests from this address or account",
    "no-format": "nothing to download: a live stream, protected, or a page without a video",
    "truncated": "the file ended before its advertised size",
    "network": "no connection, a time-out, or a server in trouble",
    "unknown": "none of the others; a newer yt-dlp may help",
    "too-small-advertised": "no offered picture is large enough for the smallest head wanted",
}
"""What each class means, for people."""

RETRYABLE: frozenset[FailureClass] = frozenset({"bot-check", "rate-limit", "truncated", "network"})
"""Classes that a later try can overcome."""

SHARED_BACK_OFF: frozenset[FailureClass] = frozenset({"bot-check", "rate-limit"})
"""Classes that stop all workers for a while: they come from the address, not from the video."""

_STATUS: dict[int, FailureClass] = {
    401: "private",
    402: "private",
    403: "private",
    404: "removed",
    408: "network",
    410: "removed",
    425: "network",
    416: "truncated",
    429: "rate-limit",
    451: "geo",
}

# Texts as lower-case words with straight quotes; the first pattern that is found decides. Order matters where
# one sentence holds another's words: "Video unavailable. This content isn't available, try again later".
_TEXTS: tuple[tuple[FailureClass, str], ...] = (
    ("rate-limit", r"try again later|rate.?limit|too many requests|ip is likely being blocked"),
    ("bot-check", r"not a bot|captcha|unusual traffic|page needs to be reloaded|content is not available on this app"),
    ("age", r"confirm your age|age.?restricted|age.?verif|inappropriate for some users|adults? only"),
    ("terminated", r"account (associated with this video )?(has been|was|is) (terminated|closed|suspended)"),
    ("terminated", r"closed their (youtube )?account|channel (has been|was) (terminated|deleted)"),
    ("geo", r"(in|from) your (country|location|region)|geo.?(restrict|block)"),
    ("removed", r"(has been|was) (removed|deleted)|no longer available|isn't available anymore|copyright"),
    ("private", r"private|members.?only|(channel's|music premium|premium) members|join this channel|requires payment"),
    ("private", r"registered users|purchase|rent this|granted access|log ?in (is )?required|requires login"),
    ("no-format", r"no video formats|format is not available|drm|unsupported url|live event|premieres? (in|will)"),
    ("no-format", r"live ?stream|will begin|only images|no media found|not a video|is not live"),
    ("no-format", r"other websites has been disabled"),
    ("truncated", r"content too short|bytes read, \d+ more expected|downloaded \d+ bytes, expected \d+"),
    ("truncated", r"incomplete read|did not get any data blocks|file is empty"),
    ("network", r"timed? ?out|connection|name or service not known|temporary failure in name|getaddrinfo|unreachable"),
    ("network", r"network|remote end closed|\bssl|\btls\b|certificate|\bproxy|errno (101|104|110|111|113)\b"),
    ("removed", r"(video|content) (is )?(un|not |isn't )available|does not exist|incomplete youtube id"),
)
_PATTERNS = tuple((name, re.compile(pattern)) for name, pattern in _TEXTS)
_NOISE = re.compile(
    r"\x1b\[[0-9;]*m|; please report this issue on .*|use --cookies.*|for more information,? refer to .*"
    r"|see +https?:\S+.*|https?://\S+",
    re.DOTALL,
)
_NUMBER = re.compile(r"\bHTTP Error (\d{3})\b")
_LABEL = re.compile(r"^\s*(error: *|warning: *|\[[\w:+.-]+\] *|[\w-]{11}: )")


def classify(
    message: str, *, status: int | None = None, site_knows: bool = False, hints: Sequence[str] = ()
) -> FailureClass:
    """The class of one failed fetch.

    Args:
        message: the final error as yt-dlp words it.
        status: the HTTP status behind it, if there is one.
        site_knows: the site explains its refusals in words (YouTube), so a bare 401 or 403 is its mistrust of this
            session, and a missing media file is an address that has run out: neither is a property of the video.
        hints: warnings that went before, oldest first; they decide only if the error itself does not.
    """
    if status is not None:
        return _of_status(status, site_knows)
    for text in (message, *reversed(hints)):
        numbered = _NUMBER.search(text)
        result = _of_status(int(numbered[1]), site_knows) if numbered else _of_text(text)
        # A warning that one of the site's many pages is missing says nothing about the video.
        if result != "unknown" and (text is message or not numbered or numbered[1] not in ("404", "410")):
            return result
    return "unknown"


def one_line(message: str) -> str:
    """The message in its own words on one line, without terminal colours."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", message).split())


def _of_status(status: int, site_knows: bool) -> FailureClass:
    if site_knows and status in (401, 403):
        return "bot-check"
    if status >= 500 or 300 <= status < 400 or (site_knows and status in (404, 410)):
        return "network"
    return _STATUS.get(status, "unknown")


def _of_text(message: str) -> FailureClass:
    text = message.replace("’", "'").replace("‘", "'").lower()
    text = " ".join(_NOISE.sub(" ", text).split())
    for _ in range(3):
        text = _LABEL.sub("", text, count=1)
    for name, pattern in _PATTERNS:
        if pattern.search(text):
            return name
    return "unknown"
