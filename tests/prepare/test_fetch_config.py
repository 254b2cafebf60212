"""Names of videos: ids and addresses that may be fetched, and nothing that leads elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatarkit.errors import InputError
from avatarkit.prepare.fetch.limiter import Limiter
from avatarkit.prepare.fetch.run import FetchConfig, fetch, video_key, video_url

ID = "abcDEF-_123"


@pytest.mark.parametrize(
    ("video", "key"),
    [
        (ID, ID),
        ("-----------", "-----------"),
        (f"https://www.youtube.com/watch?v={ID}&t=3", ID),
        (f"https://m.youtube.com/watch?list=x&v={ID}", ID),
        (f"https://youtu.be/{ID}?si=x", ID),
        (f"https://www.youtube.com/shorts/{ID}", ID),
    ],
)
def test_names(video: str, key: str) -> None:
    assert video_key(video) == key


def test_other_addresses_are_named_by_their_hash() -> None:
    keys = {video_key(f"https://{host}/watch?v={ID}") for host in ("notyoutube.com", "youtube.com.evil.org", "a.org")}
    assert len(keys) == 3
    assert all(key.startswith("url-") and len(key) == 20 for key in keys)
    assert video_url(ID) == f"https://www.youtube.com/watch?v={ID}"
    assert video_url("http://a.org/x.mp4") == "http://a.org/x.mp4"


@pytest.mark.parametrize(
    "video",
    ["", "../../../x", "/etc/passwd", "abc", f"{ID}x", "abcde/ghijk", "..........\n", "file:///etc/passwd",
     "ytsearch:x", "https://", "http://a b/", "https://a.org/\n", "ftp://a.org/x.mp4", "http://[::1", "-o/tmp/x"],
)  # fmt: skip
def test_what_is_no_video(video: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a video id"):
        fetch(video, tmp_path / "originals", FetchConfig(), Limiter(tmp_path / "limit.json", 1.0))
    assert list(tmp_path.iterdir()) == []
