"""Checks on input paths that every reader makes first."""

from __future__ import annotations

import os
import re
from pathlib import Path

from avatarkit.errors import InputError
from avatarkit.reading import open_file

_PLAYLISTS = {
    "HLS": re.compile(rb"\s*#EXTM3U"),
    "ffconcat": re.compile(rb"\s*ffconcat\b|(\s*#[^\n]*\n)*\s*file\s+\S"),
    "DASH": re.compile(rb"[^\0]*<MPD\b"),
    "SDP": re.compile(rb"v=0\r?\n"),
    "Smooth Streaming": re.compile(rb"[^\0]*<SmoothStreamingMedia\b"),
    "ASX": re.compile(rb"\s*(<asx\b|\[Reference\])", re.IGNORECASE),
    "IMF": re.compile(rb"[^\0]*<CompositionPlaylist\b"),
}


def refuse_playlist(path: Path) -> None:
    """Raise InputError, which names the kind, where a file only says which other files to play."""
    with open_file(path, links=True) as file:
        head = file.read(4096).removeprefix(b"\xef\xbb\xbf")
    for kind, form in _PLAYLISTS.items():
        if form.match(head):
            raise InputError(f"{path}: is a playlist ({kind}) that names other files; give the video itself")


def check_readable(path: Path) -> None:
    """Raise InputError unless `path` is a readable, non-empty regular file."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give a file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if not path.is_file():
        raise InputError(f"{path}: is not a regular file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path}: permission denied")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty (0 bytes)")
