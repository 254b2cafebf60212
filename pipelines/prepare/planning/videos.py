"""Plans anyone's videos: files and folders, a key and a person for each."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avatarkit.data.clip import FRAME_RATE
from avatarkit.data.plan import PlannedItem, PlannedTrack
from avatarkit.data.split import split_of
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.media.probe import probe
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.files import VIDEO_SUFFIXES, find, is_text, original_of, original_path
from avatarkit.pipelines.prepare.planning.common import Draft, frame_bytes, limited
from avatarkit.pipelines.prepare.planning.duplicates import look_at_video, settle_duplicates
from avatarkit.runtime import Progress, cpu_threads

LONGEST_KEY = 120
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class _File:
    root: int
    path: str
    name: PurePosixPath


def draft_videos(job: PrepareJob, progress: Progress) -> Draft:
    """List all videos and look into their heads for their length; one that cannot be read stays in the plan, and is
    refused with its reason when its turn comes.

    Raises:
        InputError: a path does not exist.
    """
    draft = Draft()
    files = _files(job.sources.paths, draft.problems)
    keys = keys_of([file.name for file in files])
    by_key = dict(zip(keys, files, strict=True))
    chosen = limited(sorted(by_key), job)
    progress.stage("look at videos", len(chosen), "videos")
    roots = job.sources.roots

    def item(key: str) -> PlannedItem:
        file = by_key[key]
        original = original_of(file.root, roots[file.root], file.path)
        frames = _frames(original_path(original, roots))
        return PlannedItem(key, (PlannedTrack(_person(file, key, job), "", frames),), original)

    with ThreadPoolExecutor(cpu_threads()) as pool:
        for planned in pool.map(item, chosen):
            split = split_of(planned.tracks[0].identity, job.split)
            draft.items.append((split, planned, planned.frames * frame_bytes(job)))
            progress.advance()
    settle_duplicates(draft, job, roots, look_at_video)
    return draft


def keys_of(names: list[PurePosixPath]) -> list[str]:
    """A key for each file, safe in ids and file names: its path without the ending.

    Where that has other characters than letters, digits and _ . -, is long, or belongs to two files, a hash of the
    path is added.
    """
    plain = ["-".join(name.with_suffix("").parts) for name in names]
    safe = [_UNSAFE.sub("_", text).lstrip(".-") or "video" for text in plain]
    # Case-insensitively: the keys become file names on export.
    taken = Counter(text.lower() for text in safe)
    keys = []
    for name, text, clean in zip(names, plain, safe, strict=True):
        if clean == text and taken[clean.lower()] == 1 and len(clean) <= LONGEST_KEY:
            keys.append(clean)
        else:
            keys.append(f"{clean[:LONGEST_KEY]}-{hashlib.sha256(str(name).encode()).hexdigest()[:8]}")
    return keys


def _files(paths: tuple[Path, ...], problems: list[Problem]) -> list[_File]:
    """All files; what is named twice is taken once."""
    if not paths:
        raise InputError("give one video or folder at least")
    result: dict[Path, _File] = {}
    for number, path in enumerate(paths):
        if path.is_dir():
            for name in find(path, VIDEO_SUFFIXES, problems):
                result.setdefault((path / name).resolve(), _File(number, name, PurePosixPath(name)))
        elif path.is_file() and not is_text(path.name):
            raise InputError(f"{path}: its name is not UTF-8; rename it")
        elif path.is_file():
            result.setdefault(path.resolve(), _File(number, "", PurePosixPath(path.name)))
        else:
            raise InputError(f"{path}: no such file or folder")
    files = list(result.values())
    # Two folders may hold files of one name: the folder's number tells them apart.
    taken = Counter(str(file.name) for file in files)
    return [
        file if taken[str(file.name)] == 1 else _File(file.root, file.path, PurePosixPath(f"{file.root}") / file.name)
        for file in files
    ]


def _person(file: _File, key: str, job: PrepareJob) -> str:
    """Whose face: of each file another person's, or one person in each folder right below the one given."""
    if job.identity_from == "folder" and len(file.name.parts) > 1:
        return keys_of([PurePosixPath(file.name.parts[0])])[0]
    return key


def _frames(path: Path) -> int:
    """Frames on the grid that clips have; 0 where the file cannot be read."""
    try:
        video = probe(path).video
    except InputError:
        return 0
    return 0 if video is None else max(1, round(float(video.duration) * FRAME_RATE))
