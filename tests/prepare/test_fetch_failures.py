"""Every failure that a site can play, through the real yt-dlp and its real YouTube extractor, gets its true class."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avatarkit.prepare.fetch.failures import FAILURE_CLASSES, RETRYABLE, classify, one_line
from avatarkit.prepare.fetch.limiter import Limiter
from avatarkit.prepare.fetch.run import FetchConfig, FetchError, fetch

VIDEO = "abcDEF-_123"


def load_server() -> Any:
    """The module of the loopback server, which lies beside this file."""
    spec = importlib.util.spec_from_file_location("avatarkit_fetch_server", Path(__file__).with_name("fetch_server.py"))
    assert spec is not None
    assert spec.loader is not None
    if spec.name not in sys.modules:
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    return sys.modules[spec.name]


server = load_server()
Video, Format = server.Video, server.Format


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = server.Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture
def site(shared_site: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The site, trusted; nothing else can be reached, and nobody tried."""
    with server.guarded(shared_site, monkeypatch, tmp_path) as site:
        yield site


@pytest.fixture
def failure(site: Any, tmp_path: Path) -> Callable[..., FetchError]:
    """failure(Video(...)) or failure(url=...): how fetching ends; every try counts, none waits."""

    def run(video: Any = None, url: str = VIDEO, **changes: Any) -> FetchError:
        site.videos[VIDEO] = video
        config = FetchConfig(**{"proxy": site.address, "tries": 1, "held_tries": 1, "silence_s": 20.0, **changes})
        with pytest.raises(FetchError) as caught:
            fetch(url, tmp_path / "originals", config, Limiter(tmp_path / "limit.json", 1e9, hold_s=0.01))
        return caught.value

    return run


SAID = [
    ("private", "LOGIN_REQUIRED", "Private video", "Sign in if you've been granted access to this video"),
    ("private", "LOGIN_REQUIRED", "This is a private video. Please sign in to verify that you may see it.", ""),
    ("private", "UNPLAYABLE", "Join this channel to get access to members-only content like this video", ""),
    ("private", "UNPLAYABLE", "This video is available to this channel's members on level: Friends", ""),
    ("private", "UNPLAYABLE", "This video requires payment to watch.", ""),
    ("private", "UNPLAYABLE", "This video is only available to Music Premium members", ""),
    ("removed", "ERROR", "Video unavailable", "This video has been removed by the uploader"),
    ("removed", "ERROR", "Video unavailable", "This video is no longer available due to a copyright claim by Someone"),
    ("removed", "ERROR", "This video has been removed for violating YouTube's policy on hate speech.", ""),
    ("removed", "ERROR", "This video isn't available anymore", ""),
    ("removed", "ERROR", "Video unavailable", "This video is unavailable"),
    ("terminated", "ERROR", "Video unavailable", "This video is no longer available because the YouTube account "
     "associated with this video has been terminated."),
    ("terminated", "ERROR", "This video is no longer available because the uploader has closed their YouTube account.",
     ""),
    ("terminated", "ERROR", "This video is no longer available because the YouTube account associated with this video "
     "has been closed.", ""),
    ("geo", "UNPLAYABLE", "Video unavailable", "The uploader has not made this video available in your country"),
    ("geo", "UNPLAYABLE", "Video unavailable", "This video contains content from Someone, who has blocked it in your "
     "country on copyright grounds"),
    ("geo", "UNPLAYABLE", "This video is not available in your country", ""),
    ("age", "LOGIN_REQUIRED", "Sign in to confirm your age", "This video may be inappropriate for some users."),
    ("age", "AGE_VERIFICATION_REQUIRED", "Sign in to confirm your age", ""),
    ("bot-check", "LOGIN_REQUIRED", "Sign in to confirm you’re not a bot",
     "This helps protect our community. Learn more"),
    ("bot-check", "LOGIN_REQUIRED", "Sign in to confirm you're not a bot", ""),
    ("bot-check", "UNPLAYABLE", "The page needs to be reloaded.", ""),
    ("rate-limit", "ERROR", "Video unavailable", "This content isn't available, try again later."),
    ("rate-limit", "UNPLAYABLE", "This content isn’t available, try again later.", ""),
    ("no-format", "LIVE_STREAM_OFFLINE", "This live event will begin in 2 hours.", ""),
    ("no-format", "LIVE_STREAM_OFFLINE", "Premieres in 3 days", ""),
    ("no-format", "UNPLAYABLE", "This live stream recording is not available.", ""),
    ("unknown", "ERROR", "Something that nobody has said before", ""),
]  # fmt: skip


@pytest.mark.parametrize(("wanted", "status", "reason", "subreason"), SAID)
def test_what_youtube_says(
    failure: Callable[..., FetchError], wanted: str, status: str, reason: str, subreason: str
) -> None:
    error = failure(Video(status, reason, subreason))
    assert error.failure_class == wanted, str(error)
    assert error.retryable == (wanted in RETRYABLE)
    spoken = (subreason or reason).replace("This helps protect our community. Learn more", reason).rstrip(".")
    assert spoken in error.detail, "the site's own words are kept"
    assert "\n" not in str(error)
    assert str(error).startswith(f"{VIDEO}: {wanted}: ")


def test_captcha(failure: Callable[..., FetchError]) -> None:
    screen = {"playerCaptchaViewModel": {"some": "thing"}}
    assert failure(Video("ERROR", "Video unavailable", screen=screen)).failure_class == "bot-check"


PLAYED: list[tuple[str, dict[str, Any]]] = [
    ("rate-limit", {"page": ["429"] * 3, "player": ["429"] * 9}),
    ("bot-check", {"page": ["403"] * 3, "player": ["403"] * 9}),
    ("network", {"page": ["503"] * 3, "player": ["503"] * 9}),
    ("network", {"page": ["reset:0"] * 3, "player": ["reset:0"] * 9}),
    ("rate-limit", {"media": ["429"] * 3}),
    ("bot-check", {"media": ["403"] * 3}),
    ("network", {"media": ["404"] * 3}),
    ("network", {"media": ["500"] * 3}),
    ("network", {"media": ["reset:0"] * 3}),
    ("truncated", {"media": ["cut:50000"] * 3}),
    ("truncated", {"body": server.BODY[:60_000]}),
    ("truncated", {"body": server.BODY[:0]}),
    ("no-format", {"formats": []}),
    ("no-format", {"formats": [Format(140, 0, 'audio/mp4; codecs="mp4a.40.2"')]}),
    ("no-format", {"details": {"isLive": True, "isLiveContent": True}}),
    ("too-small-advertised", {"formats": [Format(136, 360), Format(160, 144)]}),
]


@pytest.mark.parametrize(("wanted", "behaviour"), PLAYED)
def test_what_youtube_does(failure: Callable[..., FetchError], wanted: str, behaviour: dict[str, Any]) -> None:
    error = failure(Video(**behaviour), min_height=480)
    assert error.failure_class == wanted, str(error)
    assert "\n" not in str(error)


def test_silence_is_the_networks(failure: Callable[..., FetchError]) -> None:
    assert failure(Video(media=["hang"] * 3), silence_s=0.3).failure_class == "network"


DIRECT = [
    ("removed", ["404"]),
    ("removed", ["410"]),
    ("private", ["403"]),
    ("private", ["401"]),
    ("geo", ["451"]),
    ("rate-limit", ["429"]),
    ("network", ["502"]),
    ("network", ["hang"]),
    ("truncated", ["ok", "cut:50000", "cut:50000"]),
    ("network", ["redirect:/loop.mp4"] * 40),
]


@pytest.mark.parametrize(("wanted", "media"), DIRECT)
def test_plain_files(failure: Callable[..., FetchError], site: Any, wanted: str, media: list[str]) -> None:
    site.files["/loop.mp4"] = Video(media=media * 4 if len(media) == 1 else media)
    silence_s = 0.5 if "hang" in media else 20.0
    error = failure(url=f"{site.address}/loop.mp4", silence_s=silence_s, proxy="")
    assert error.failure_class == wanted, str(error)


def test_nobody_there(failure: Callable[..., FetchError]) -> None:
    assert failure(url="http://127.0.0.1:9/clip.mp4", proxy="").failure_class == "network"
    assert failure(url=VIDEO, proxy="http://127.0.0.1:9").failure_class == "network"


def test_a_page_without_a_video(failure: Callable[..., FetchError], site: Any) -> None:
    page = b"<html><p>Nothing to see, not even a private video.</p></html>"
    site.files["/page"] = Video(body=page, kind="text/html")
    assert failure(url=f"{site.address}/page", proxy="").failure_class == "no-format"


def test_all_classes_are_played() -> None:
    played = {case[0] for case in (*SAID, *PLAYED, *DIRECT)}
    assert played == set(FAILURE_CLASSES)


def test_hints_decide_only_when_the_error_does_not() -> None:
    hints = ["Unable to download API page: HTTP Error 429: Too Many Requests"]
    assert classify("Failed to extract any player response", hints=hints) == "rate-limit"
    assert classify("[youtube] abcDEF-_123: Private video", hints=hints) == "private"
    assert classify("Failed to extract any player response") == "unknown"
    assert classify("", status=403) == "private"
    assert classify("", status=403, site_knows=True) == "bot-check"
    assert classify("", status=418) == "unknown"


def test_an_id_is_no_reason() -> None:
    assert classify("ERROR: [youtube] private-abc: Something nobody has said") == "unknown"
    assert classify("ERROR: [youtube] abc: Odd; see https://example.org/private-video") == "unknown"


def test_one_line() -> None:
    assert one_line("\x1b[0;31mERROR:\x1b[0m a\n  b\tc ") == "ERROR: a b c"
