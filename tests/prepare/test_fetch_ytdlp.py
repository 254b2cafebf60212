"""What does not need a site: the choice among formats, causes of errors, what would let yt-dlp see more."""

from __future__ import annotations

import math
from typing import Any

import pytest

from avatarkit.prepare.fetch import ytdlp as fetch_ytdlp
from avatarkit.prepare.fetch.ytdlp import advice, causes, choose_format


def test_choice_among_equals() -> None:
    base = {"height": 1080, "vcodec": "vp9", "acodec": "none", "protocol": "https", "dynamic_range": "SDR"}
    sound = {**base, "format_id": "sound", "acodec": "opus"}
    hdr = {**base, "format_id": "hdr", "dynamic_range": "HDR10"}
    pieces = {**base, "format_id": "pieces", "protocol": "m3u8_native"}
    good, better = {**base, "format_id": "good"}, {**base, "format_id": "better"}
    locked = {**base, "format_id": "locked", "has_drm": True}

    def chosen(*formats: dict[str, Any]) -> Any:
        found = choose_format(formats, math.inf, 2160)
        return found and found["format_id"]

    assert chosen(good, better, sound, hdr, pieces, locked) == "better"
    assert chosen(hdr, sound, pieces) == "sound"
    assert chosen(hdr, locked) == "hdr"
    assert chosen(locked) is None
    assert chosen({"format_id": "unknown-height"}) == "unknown-height"


def test_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_ytdlp, "find_spec", lambda name: None)
    assert "yt-dlp[default]" in (advice() or "")
    monkeypatch.setattr(fetch_ytdlp, "find_spec", lambda name: name)
    monkeypatch.setattr("shutil.which", lambda command: None)
    assert "install deno" in (advice() or "")
    monkeypatch.setattr("shutil.which", lambda command: "/usr/bin/qjs" if command == "qjs" else None)
    assert advice() is None


def test_causes_are_found_wherever_they_hide() -> None:
    from yt_dlp.utils import DownloadError, ExtractorError

    disk = OSError(28, "No space left on device")
    extractor = ExtractorError("odd", cause=disk)
    error = DownloadError("failed", (ExtractorError, extractor, None))
    error.__cause__ = error.__context__ = error  # a circle ends
    assert list(causes(error)) == [error, extractor, disk]
