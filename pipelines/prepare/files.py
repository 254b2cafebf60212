"""Finds originals below folders, without leaving them by links, and checks them again when their turn comes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from avatarkit.data.plan import Original, fingerprint
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.reading import inside

_VIDEOS = ".mp4 .m4v .mov .mkv .webm .avi .mpg .mpeg .ts .m2ts .mts .wmv .flv .ogv .3gp .mxf .y4m"
VIDEO_SUFFIXES = frozenset(_VIDEOS.split())
PHOTO_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"))


def find(root: Path, suffixes: frozenset[str], problems: list[Problem]) -> list[str]:
    """Files below a folder with one of the endings, as sorted relative paths with / between parts.

    Symbolic links are followed as long as they stay inside the folder; others are left out and reported. Names that
    begin with a dot are left out.

    Raises:
        InputError: the folder cannot be listed.
    """
    if not root.is_dir():
        raise InputError(f"{root}: is not a folder")
    return sorted(_walk(root, root.resolve(), "", suffixes, problems, frozenset()))


def _walk(
    root: Path, real: Path, here: str, suffixes: frozenset[str], problems: list[Problem], above: frozenset[Path]
) -> Iterator[str]:
    folder = (root / here).resolve()
    if folder in above:
        problems.append(Problem(here, 0, "a link to a folder that it lies in; left out"))
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if not here:
            raise InputError(f"{root}: cannot be listed: {error.strerror or error}") from error
        problems.append(Problem(here, 0, f"cannot be listed: {error.strerror or error}"))
        return
    for entry in entries:
        name = f"{here}/{entry.name}" if here else entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_symlink() and not (root / name).resolve().is_relative_to(real):
            problems.append(Problem(name, 0, "a link that leads out of the folder; left out"))
        elif entry.is_dir():
            yield from _walk(root, real, name, suffixes, problems, above | {folder})
        elif Path(entry.name).suffix.lower() in suffixes:
            if entry.is_file():
                yield name
            else:
                problems.append(Problem(name, 0, "is not a regular file; left out"))


def original_of(root_number: int, root: Path, path: str) -> Original:
    """A file as it is now. `path` may be "" where `root` is the file itself. Raises InputError if unreadable."""
    size, digest = fingerprint(root / path if path else root)
    return Original(root_number, path, size, digest)


def original_path(original: Original, roots: tuple[Path, ...]) -> Path:
    """Where an original lies now; InputError where that is outside the folders given."""
    if original.root >= len(roots):
        raise InputError(f"original {original.path}: lies in folder {original.root + 1} of {len(roots)} given")
    root = roots[original.root]
    return inside(root, original.path, "original") if original.path else root


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
