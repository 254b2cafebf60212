"""Finds originals below folders, links followed, and checks them again when their turn comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from avatarkit.data.plan import Original, fingerprint
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.reading import check_inside

_VIDEOS = ".gif .mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .m2ts .mts .wmv .flv .ogv .3gp .mxf .y4m"
VIDEO_SUFFIXES = frozenset(_VIDEOS.split())
PHOTO_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".bmp"))
_UNREADABLE = {".jxl": "JPEG XL", ".heic": "HEIC", ".heif": "HEIC"}


def find(root: Path, suffixes: frozenset[str], problems: list[Problem]) -> list[str]:
    """Files below a folder with one of the endings, as sorted relative paths with / between parts.

    Symbolic links are followed wherever they lead, since whole datasets are made of them; loops, and folders that
    came before under another name, are left out and reported. Names that begin with a dot are left out.

    Raises:
        InputError: the folder cannot be listed.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder")
    return sorted(_walk(root, "", suffixes, problems, (), {}))


def _walk(
    root: Path,
    here: str,
    suffixes: frozenset[str],
    problems: list[Problem],
    above: tuple[Path, ...],
    seen: dict[Path, str],
) -> Iterator[str]:
    folder = (root / here).resolve()
    if folder in above:
        problems.append(Problem(here, 0, "a link to a folder that it lies in; left out"))
        return
    if folder in seen:
        problems.append(Problem(here, 0, f"the same folder as {seen[folder] or '.'}; left out"))
        return
    seen[folder] = here
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if not here:
            raise InputError(f"{root}: cannot be listed: {error.strerror or error}") from error
        problems.append(Problem(here, 0, f"cannot be listed: {error.strerror or error}"))
        return
    for entry in sorted(entries, key=os.DirEntry.is_symlink):  # folders under their own names first
        name = f"{here}/{entry.name}" if here else entry.name
        suffix = Path(entry.name).suffix.lower()
        if entry.name.startswith("."):
            continue
        if not is_text(entry.name):
            shown = name.encode("utf-8", "backslashreplace").decode()
            problems.append(Problem(shown, 0, "its name is not UTF-8; left out: rename it"))
            continue
        if _is(entry.is_dir):
            yield from _walk(root, name, suffixes, problems, (*above, folder), seen)
        elif suffix in suffixes and _is(entry.is_file):
            yield name
        elif suffix in suffixes:
            kind = "a link that leads nowhere" if entry.is_symlink() else "not a regular file"
            problems.append(Problem(name, 0, f"is {kind}; left out"))
        elif suffix in _UNREADABLE:
            what = f"is a {_UNREADABLE[suffix]} picture, which cannot be read; convert it to PNG or JPEG"
            problems.append(Problem(name, 0, what))


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8, so that it can stand in a plan, a ledger and a report."""
    return name.encode("utf-8", "ignore").decode() == name


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a link to itself
        return False


def original_of(root_number: int, root: Path, path: str) -> Original:
    """A file as it is now. `path` may be "" where `root` is the file itself. Raises InputError if unreadable."""
    size, digest = fingerprint(root / path if path else root)
    return Original(root_number, path, size, digest)


def original_path(original: Original, roots: tuple[Path, ...]) -> Path:
    """Where an original lies now; InputError where its path leads out of the folders given otherwise than by links."""
    if original.root >= len(roots):
        raise InputError(f"original {original.path}: lies in folder {original.root + 1} of {len(roots)} given")
    root = roots[original.root]
    return root / check_inside(original.path, "original") if original.path else root


def what_changed(original: Original, path: Path) -> tuple[str, str] | None:
    """Reason and detail why a file is not the one that was planned; None where it is."""
    if not path.is_file():
        return "original-missing", f"{original.path or path.name} was there when the plan was made and is gone"
    try:
        size, digest = fingerprint(path)
    except InputError as error:
        return "original-unreadable", str(error)
    if (size, digest) != (original.bytes, original.digest):
        return (
            "original-changed",
            f"{original.path or path.name} has changed since the plan was made"
            f" ({original.bytes} bytes then, {size} now); plan again in another --output",
        )
    return None
