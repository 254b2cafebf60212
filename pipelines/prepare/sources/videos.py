"""Anyone's videos: files and folders, a key and a person for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from avatarkit.data.clip import FRAME_RATE, Split
from avatarkit.data.plan import PlannedItem, PlannedTrack
from avatarkit.data.split import split_of
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.media.probe import probe
from avatarkit.pipelines.prepare.config import DataSource, PrepareJob
from avatarkit.pipelines.prepare.files import VIDEO_SUFFIXES, find, is_text, original_of, original_path
from avatarkit.pipelines.prepare.sources.draft import Draft, frame_bytes, limited
from avatarkit.pipelines.prepare.sources.duplicates import look_at_video, settle_duplicates
from avatarkit.pipelines.prepare.sources.keys import keys_of
from avatarkit.prepare.job import Track, VideoJob
from avatarkit.runtime import Progress, cpu_threads

if TYPE_CHECKING:
    from avatarkit.prepare.fetch.run import Note

IdentityFrom = Literal["file", "folder"]
UNKNOWN = "unknown"


@dataclass(frozen=True)
class _File:
    root: int
    path: str
    name: PurePosixPath


@dataclass(frozen=True)
class Videos(DataSource):
    """Videos, or folders of them; faces are found and followed, and cut into clips.

    identity_from: whether each file is a person of its own or each sub-folder is.
    """

    paths: tuple[Path, ...] = ()
    identity_from: IdentityFrom = "file"

    kind = "videos"
    cuts = True
    credited = False

    @property
    def roots(self) -> tuple[Path, ...]:
        """See `DataSource`."""
        return self.paths

    def settings(self, job: PrepareJob) -> Mapping[str, Any]:
        """See `DataSource`."""
        return {"identity_from": self.identity_from}

    def draft(self, job: PrepareJob, progress: Progress) -> Draft:
        """List all videos and look into their heads for their length; one that cannot be read stays in the plan, and
        is refused with its reason when its turn comes.

        Raises:
            InputError: a path does not exist.
        """
        draft = Draft()
        files = _files(self.paths, draft.problems)
        keys = keys_of([file.name for file in files])
        by_key = dict(zip(keys, files, strict=True))
        chosen = limited(sorted(by_key), job.limit, job.split.seed)
        progress.stage("look at videos", len(chosen), "videos")

        def item(key: str) -> PlannedItem:
            file = by_key[key]
            original = original_of(file.root, self.paths[file.root], file.path)
            frames = _frames(original_path(original, self.paths))
            return PlannedItem(key, (PlannedTrack(self._person(file, key), "", frames),), original)

        with ThreadPoolExecutor(cpu_threads()) as pool:
            for planned in pool.map(item, chosen):
                split = split_of(planned.tracks[0].identity, job.split)
                draft.items.append((split, planned, planned.frames * frame_bytes(job.config.size)))
                progress.advance()
        settle_duplicates(draft, job, self.paths, look_at_video, progress)
        return draft

    def job(self, item: PlannedItem, split: Split, path: Path, note: Note | None) -> VideoJob:
        """See `DataSource`."""
        (track,) = item.tracks
        name = item.original.path or path.name if item.original else path.name
        tracks = (Track(item.key, track.identity, track.utterance, split),)
        return VideoJob(item.key, path, name, UNKNOWN, UNKNOWN, tracks)

    def _person(self, file: _File, key: str) -> str:
        """Whose face: of each file another person's, or one person in each folder right below the one given."""
        if self.identity_from == "folder" and len(file.name.parts) > 1:
            return keys_of([PurePosixPath(file.name.parts[0])])[0]
        return key


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


def _frames(path: Path) -> int:
    """Frames on the grid that clips have; 0 where the file cannot be read."""
    try:
        video = probe(path).video
    except InputError:
        return 0
    return 0 if video is None else max(1, round(float(video.duration) * FRAME_RATE))
