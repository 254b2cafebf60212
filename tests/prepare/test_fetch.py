"""Fetching with the real yt-dlp from a site on 127.0.0.1: names, choice of format, pre-flight, resuming, retries."""

from __future__ import annotations

import errno
import importlib.util
import json
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avatarkit.errors import InputError, OutputError
from avatarkit.prepare.fetch.limiter import Limiter
from avatarkit.prepare.fetch.run import FetchConfig, FetchError, fetch, fetched, read_note

ID = "abcDEF-_123"


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
Video, Format, BODY = server.Video, server.Format, server.BODY


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    site = server.Site(tmp_path_factory.mktemp("site"))
    yield site
    site.close()


@pytest.fixture
def site(shared_site: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The site, trusted, with one good video; nothing else can be reached."""
    with server.guarded(shared_site, monkeypatch, tmp_path) as site:
        site.videos[ID] = Video()
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "originals"


@pytest.fixture
def limiter(tmp_path: Path) -> Limiter:
    return Limiter(tmp_path / "limit.json", 1e9, hold_s=0.01)


@pytest.fixture
def get(site: Any, folder: Path, limiter: Limiter) -> Callable[..., Path]:
    """get(video, head_fractions=..., reserve=..., **settings)."""

    def run(video: str = ID, head_fractions: tuple[float, ...] = (), reserve: Any = None, **changes: Any) -> Path:
        config = FetchConfig(**{"proxy": site.address, "pause_s": 0.01, "silence_s": 20.0, **changes})
        return fetch(video, folder, config, limiter, head_fractions=head_fractions, reserve=reserve)

    return run


def looks(site: Any) -> int:
    """How often a video's page was asked for."""
    return sum(path == "/watch" for _, path, _ in site.requests)


def left(folder: Path) -> list[str]:
    """Parts that were left lying."""
    return [path.name for path in (folder / ".fetch").iterdir() if ".part." in path.name]


def test_a_video_comes_whole_and_is_asked_for_once(get: Callable[..., Path], site: Any, folder: Path) -> None:
    site.videos[ID].title = "<script>alert(1)</script>"
    path = get()
    assert (path, path.read_bytes()) == (folder / f"{ID}.mp4", BODY)
    note = read_note(ID, folder)
    assert note is not None
    assert (note.title, note.author, note.height, note.width, note.rate) == (
        "<script>alert(1)</script>", "An author", 1080, 1920, 30.0)  # fmt: skip
    assert (note.bytes, note.file, note.url) == (len(BODY), f"{ID}.mp4", f"https://www.youtube.com/watch?v={ID}")
    site.requests.clear()
    assert get() == fetched(ID, folder) == path
    assert site.requests == []
    assert left(folder) == []


def test_a_file_that_changed_or_went_is_fetched_again(get: Callable[..., Path], folder: Path) -> None:
    path = get()
    path.write_bytes(b"short")
    assert fetched(ID, folder) is None
    assert get().read_bytes() == BODY
    path.unlink()
    assert get().read_bytes() == BODY


def test_a_note_that_leads_outside_is_not_believed(get: Callable[..., Path], folder: Path, tmp_path: Path) -> None:
    get()
    note_path = folder / ".fetch" / f"{ID}.json"
    (tmp_path / "secret").write_bytes(BODY)
    note_path.write_text(json.dumps({**json.loads(note_path.read_text()), "file": "../secret"}))
    assert fetched(ID, folder) is None


OFFERED = [
    Format(160, 144),
    Format(134, 360),
    Format(136, 720),
    Format(137, 1080),
    Format(401, 2160),
    Format(571, 4320),
]


@pytest.mark.parametrize(
    ("fractions", "height"), [((), 2160), ((0.9,), 720), ((0.5,), 1080), ((0.9, 0.5), 1080), ((0.3, 0.1), 2160)]
)
def test_no_more_pixels_than_needed(
    get: Callable[..., Path], site: Any, folder: Path, fractions: tuple[float, ...], height: int
) -> None:
    site.videos[ID].formats = OFFERED
    get(head_fractions=fractions)
    note = read_note(ID, folder)
    assert note is not None
    assert note.height == height


def test_enlarged_pictures_are_not_taken(get: Callable[..., Path], site: Any, folder: Path) -> None:
    site.videos[ID].formats = [Format(134, 360), Format(399, 1080, sr=True)]
    with pytest.raises(FetchError) as caught:
        get(head_fractions=(0.6,))
    assert caught.value.failure_class == "too-small-advertised"
    assert "360 px high at most, so the head is 216 px at most, 512 wanted" in caught.value.detail
    get(min_head_px=200, head_fractions=(0.6,))
    note = read_note(ID, folder)
    assert note is not None
    assert note.height == 360


def test_the_pre_flight_downloads_nothing(get: Callable[..., Path], site: Any) -> None:
    reserved: list[int] = []
    site.videos[ID].formats = [Format(136, 720), Format(137, 1080)]
    with pytest.raises(FetchError) as caught:
        get(head_fractions=(0.2, 0.47), reserve=reserved.append)
    assert caught.value.failure_class == "too-small-advertised"
    assert not caught.value.retryable
    assert (site.media_requests(), reserved, looks(site)) == ([], [], 1)
    get(head_fractions=(0.2, 0.48), reserve=reserved.append)
    assert reserved == [len(BODY)]


def test_a_small_verdict_tells_what_may_be_missing(get: Callable[..., Path], site: Any) -> None:
    """Without JavaScript yt-dlp cannot read formats with a puzzle in their address, and says so."""
    from yt_dlp.extractor.youtube import YoutubeIE

    original = YoutubeIE._real_extract

    def puzzled(self: Any, url: str) -> Any:
        self.report_warning("n challenge solving failed: Some formats may be missing.", video_id=ID)
        return original(self, url)

    site.videos[ID].formats = [Format(134, 360)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(YoutubeIE, "_real_extract", puzzled)
        with pytest.raises(FetchError, match=r"too-small-advertised: 360 px high .*formats may be missing"):
            get(head_fractions=(0.5,))


def test_the_quota_may_refuse(get: Callable[..., Path], site: Any) -> None:
    def full(_: int) -> None:
        raise OutputError("the quota is used up")

    with pytest.raises(OutputError, match="quota"):
        get(reserve=full)
    assert site.media_requests() == []


def begins(ranges: list[str | None]) -> list[int]:
    return [int((asked or "bytes=0-").removeprefix("bytes=").split("-")[0]) for asked in ranges]


def test_a_part_is_continued(get: Callable[..., Path], site: Any, folder: Path) -> None:
    site.videos[ID].media = ["cut:60000", "reset:20000"]
    assert get().read_bytes() == BODY
    first, second, third = begins(site.media_requests())
    assert first == 0
    assert 0 < second <= third <= 80_000
    assert left(folder) == []


def test_a_part_is_continued_by_the_next_run(get: Callable[..., Path], site: Any, folder: Path) -> None:
    site.videos[ID].media = ["cut:60000"]
    with pytest.raises(FetchError, match="truncated"):
        get(tries=1)
    assert len(left(folder)) == 1
    assert get().read_bytes() == BODY
    assert begins(site.media_requests())[1] > 0


def test_parts_of_another_version_are_not_mixed_in(get: Callable[..., Path], site: Any, folder: Path) -> None:
    site.videos[ID].media = ["cut:60000"]
    with pytest.raises(FetchError):
        get(tries=1)
    other = BODY[::-1][:-7]
    site.videos[ID].body, site.videos[ID].formats = other, [Format(advertised=len(other))]
    assert get().read_bytes() == other
    assert begins(site.media_requests())[1] == 0
    assert left(folder) == []


@pytest.mark.parametrize(("missing", "comes"), [(100, True), (101, False)])
def test_size_against_what_was_advertised(get: Callable[..., Path], site: Any, missing: int, comes: bool) -> None:
    site.videos[ID].body = BODY[:-missing]
    if comes:
        assert get().read_bytes() == BODY[:-missing]
    else:
        with pytest.raises(FetchError, match=f"truncated: {len(BODY) - 101} bytes came of {len(BODY)} advertised"):
            get(tries=1)


def test_final_failures_are_not_tried_again(get: Callable[..., Path], site: Any, folder: Path) -> None:
    site.videos[ID] = Video("ERROR", "Video unavailable", "This video has been removed by the uploader")
    with pytest.raises(FetchError) as caught:
        get()
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.failure_class, copy.retryable, str(copy)) == ("removed", False, str(caught.value))
    assert looks(site) == 1
    assert left(folder) == []


def test_passing_failures_are_tried_again(get: Callable[..., Path], site: Any) -> None:
    site.videos[ID].media = ["503", "503"]
    assert get().read_bytes() == BODY
    assert looks(site) == 3
    site.videos["another-vid"] = Video(media=["503"] * 3)
    with pytest.raises(FetchError, match="network"):
        get("another-vid", tries=2)
    assert len(site.videos["another-vid"].media) == 1


def test_try_again_later_holds_everybody_back(get: Callable[..., Path], site: Any, limiter: Limiter) -> None:
    site.videos[ID].media = ["429", "403"]
    held: list[float] = []
    original = limiter.back_off
    limiter.back_off = lambda: held.append(original()) or held[-1]  # type: ignore[method-assign, func-returns-value]
    assert get(tries=1, held_tries=3).read_bytes() == BODY
    assert len(held) == 2
    assert held[1] > held[0] > 0
    assert json.loads(limiter.path.read_text())["strikes"] == 0, "the success ends the series"
    site.videos["another-vid"] = Video(media=["429"] * 5)
    with pytest.raises(FetchError, match="rate-limit"):
        get("another-vid", held_tries=2)
    assert len(held) == 4, "the last refusal holds the others back too"


def test_a_full_disk_is_no_failure_of_the_video(
    get: Callable[..., Path], site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from yt_dlp.downloader.http import HttpFD

    class Full:
        def write(self, _: bytes) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            pass

    monkeypatch.setattr(HttpFD, "sanitize_open", lambda self, name, mode: (Full(), name))
    with pytest.raises(OutputError, match="No space left on device"):
        get()
    assert looks(site) == 1


def test_cookies_are_read_and_never_written(get: Callable[..., Path], site: Any, tmp_path: Path) -> None:
    cookies = tmp_path / "cookies.txt"
    text = "# Netscape HTTP Cookie File\n.youtube.com\tTRUE\t/\tTRUE\t4000000000\tPREF\thl=en\n"
    cookies.write_text(text)
    get(cookies=cookies)
    assert cookies.read_text() == text
    cookies.write_text("not cookies")
    site.videos["another-vid"] = Video()
    with pytest.raises(InputError, match=r"cookies\.txt"):
        get("another-vid", cookies=cookies)
    with pytest.raises(InputError, match=r"missing\.txt"):
        get("another-vid", cookies=tmp_path / "missing.txt")


def test_any_address_will_do(get: Callable[..., Path], site: Any) -> None:
    site.files["/a%20clip.mp4"] = Video()
    path = get(f"{site.address}/a%20clip.mp4", proxy="")
    assert path.read_bytes() == BODY
    assert path.name.startswith("url-")
    assert path.suffix == ".mp4"


def test_two_workers_fetch_a_video_once(get: Callable[..., Path], site: Any) -> None:
    site.videos[ID].media = ["slow:0.1"]
    found: list[bytes] = []
    workers = [threading.Thread(target=lambda: found.append(get().read_bytes())) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [BODY, BODY]
    assert len(site.media_requests()) == 1


def test_stop(site: Any, folder: Path, limiter: Limiter) -> None:
    site.videos[ID].media = ["503"] * 3
    config = FetchConfig(proxy=site.address, pause_s=60.0)
    with pytest.raises(InterruptedError):
        fetch(ID, folder, config, limiter, stop=lambda: bool(site.media_requests()))


def test_stop_in_the_middle_of_a_download(
    site: Any, folder: Path, limiter: Limiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avatarkit.prepare.fetch.ytdlp._ASK_EVERY_S", 0.0)
    site.videos[ID].media = ["slow:0.1"]
    with pytest.raises(InterruptedError):
        fetch(ID, folder, FetchConfig(proxy=site.address), limiter, stop=lambda: bool(site.media_requests()))
    assert len(left(folder)) == 1
    assert fetch(ID, folder, FetchConfig(proxy=site.address), limiter).read_bytes() == BODY
    assert begins(site.media_requests())[1] > 0
