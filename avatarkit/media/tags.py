"""Metadata entries of a picture's or video's container, by name."""

from __future__ import annotations

import re
from pathlib import Path

import ffmpeg
from PIL import ExifTags

from avatarkit.media.ffmpeg import Child, command, media_input
from avatarkit.media.image import is_image, open_image

LONGEST = 1 << 20


def read_tags(path: Path) -> dict[str, str]:
    """Entries of the whole file; empty where there are none, or none can be read.

    Raises:
        InputError: a picture that is too large to open.
    """
    return _of_picture(path) if is_image(path) else _of_video(path)


def _of_picture(path: Path) -> dict[str, str]:
    with open_image(path) as picture:
        entries = {str(key): value for key, value in picture.info.items() if isinstance(value, str)}
        about = picture.getexif().get(ExifTags.Base.ImageDescription)
    # `write_image` puts entries in there as "key: value; ...".
    for part in re.split(r"; (?=\w+: )", str(about or "")):
        key, colon, value = part.partition(": ")
        if colon and key.isidentifier():
            entries.setdefault(key, value)
    return entries


def _of_video(path: Path) -> dict[str, str]:
    stream = ffmpeg.output(media_input(path), "pipe:1", format="ffmetadata")
    with Child(command(stream, "error"), stdout=True, timeout_s=60) as child:
        data = b""
        with child.waiting():
            while len(data) < LONGEST and (block := child.stdout.read(1 << 16)):
                data += block
        child.wait()
    entries, key = {}, ""
    for line in data.decode("utf-8", "replace").replace("\\\n", "\0").splitlines()[1:]:
        if line.startswith("["):
            break  # of streams and chapters
        key, equals, value = line.partition("=")
        if equals:
            entries[key.lower()] = _plain(value)
    return entries


def _plain(value: str) -> str:
    """A value of an ffmetadata file without its escapes."""
    return re.sub(r"\\(.?)", r"\1", value.replace("\0", "\n"), flags=re.DOTALL)
