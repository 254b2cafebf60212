"""VoxCeleb2: utterances grouped by video, people in splits, videos matched with a folder of originals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from avatarkit.data.clip import Split
from avatarkit.data.plan import ALIKE, Dropped, Original, PlannedItem, PlannedTrack, sample_id
from avatarkit.data.split import SplitConfig, split_of
from avatarkit.data.voxceleb import (
    VIDEO,
    Problem,
    Utterance,
    UtteranceFile,
    parse_utterance,
    read_meta,
    read_text,
    walk,
)
from avatarkit.errors import InputError, UsageError
from avatarkit.pipelines.prepare.config import DataSource, PrepareJob, Refused
from avatarkit.pipelines.prepare.files import VIDEO_SUFFIXES, find, original_of
from avatarkit.pipelines.prepare.sources.draft import Draft, frame_bytes, limited
from avatarkit.pipelines.prepare.sources.duplicates import (
    Duplicates,
    Groups,
    copy_dropped,
    find_duplicates,
    look_at_video,
    notes_of,
)
from avatarkit.prepare.fetch.config import video_url
from avatarkit.prepare.job import Track, VideoJob
from avatarkit.runtime import Progress

if TYPE_CHECKING:
    from avatarkit.prepare.fetch.run import Note

UNKNOWN = "unknown"

HEAD_PER_BOX = 2.0
"""The head's square side over the height of VoxCeleb2's face box, before anything is looked at; rather too much."""

USUAL_HEIGHT_PX = 1080
SMALL_WEIGHT = 0.1
"""An utterance whose head would be too small even in a picture of the usual height counts as a tenth of its frames
when shards are filled: most such are refused, and shards would come out nearly empty."""

Group = tuple[Split, str, list[UtteranceFile]]


@dataclass(frozen=True)
class VoxCeleb2(DataSource):
    """The tree of utterances, the table of people, and the videos: a folder of them, or fetched.

    Raises:
        UsageError: a folder of originals and a download, or neither.
    """

    metadata: Path
    meta_csv: Path | None = None
    originals: Path | None = None
    download: bool = False

    kind = "voxceleb2"

    def __post_init__(self) -> None:
        """Refuse what cannot be with a UsageError."""
        if (self.originals is None) != self.download:
            raise UsageError("give --originals DIR or --download, one of the two")

    @property
    def roots(self) -> tuple[Path, ...]:
        """See `DataSource`."""
        return () if self.originals is None else (self.originals,)

    def settings(self, job: PrepareJob) -> Mapping[str, Any]:
        """See `DataSource`."""
        values: dict[str, Any] = {"download": self.download, "meta_csv": self.meta_csv is not None}
        if self.download:
            values |= {"max_height": job.fetch.max_height, "min_height": job.fetch.min_height}
        return values

    def draft(self, job: PrepareJob, progress: Progress) -> Draft:
        """Read all metadata. Videos without an original are left out, with a reason; so are malformed files."""
        draft = Draft()
        official = None
        if self.meta_csv is not None:
            official, problems = read_meta(self.meta_csv)
            draft.problems += problems
        progress.stage("read metadata", None, "utterances")
        files = list(walk(self.metadata, draft.problems))
        known = _originals(self.originals, draft.problems) if self.originals is not None else None
        if official is not None:
            unnamed = dict.fromkeys(file.identity for file in files if file.identity not in official)
            draft.problems += [Problem(name, 0, "is not in the table of people; taken as dev") for name in unnamed]
        if known is not None and job.limit is not None:
            files = [file for file in files if file.video in known]
        chosen = set(limited(sorted({file.video for file in files}), job.limit, job.split.seed))
        files = [file for file in files if file.video in chosen]
        originals = self._chosen_originals(files, known)
        same = self._duplicates(files, originals, official, progress)
        progress.stage("read utterances", len(files), "utterances")
        for split, video, members in _groups(files, job.split, official, same.groups):
            self._add(draft, job, originals, same, split, video, members)
            progress.advance(len(members))
        return draft

    def job(self, item: PlannedItem, split: Split, path: Path, note: Note | None) -> VideoJob:
        """See `DataSource`."""
        utterances = self._utterances(item)
        tracks = tuple(
            Track(
                sample_id(track.identity, item.key, track.utterance),
                track.identity,
                track.utterance,
                split,
                utterances[track].frames,
                np.ascontiguousarray(utterances[track].boxes),
            )
            for track in item.tracks
        )
        licence, author, extra = UNKNOWN, UNKNOWN, {}
        if note is not None:
            licence, author = note.licence or UNKNOWN, note.author or UNKNOWN
            extra = {"title": note.title} if note.title else {}
        return VideoJob(item.key, path, video_url(item.key), licence, author, tracks, extra)

    def head_fractions(self, item: PlannedItem) -> list[float]:
        """The head as a share of the picture's height: the box's, since the width's share needs the aspect."""
        return [float(utterance.boxes[:, 3].max()) * HEAD_PER_BOX for utterance in self._utterances(item).values()]

    def _utterances(self, item: PlannedItem) -> dict[PlannedTrack, Utterance]:
        digest, result = hashlib.sha256(), {}
        for track in item.tracks:
            place = f"{track.identity}/{item.key}/{track.utterance}.txt"
            path = f"{track.folder}/{place}" if track.folder else place
            try:
                file = UtteranceFile(track.identity, item.key, track.utterance, path)
                result[track], _, text = _read_checked(self.metadata, file)
            except InputError as error:
                raise Refused("plan", "metadata-changed", str(error)) from error
            _add_digest(digest, path, text)
        if digest.hexdigest()[:32] != item.digest:
            detail = f"the metadata of {item.key} has changed since the plan was made; plan again in another --output"
            raise Refused("plan", "metadata-changed", detail)
        return result

    def _chosen_originals(
        self, files: Iterable[UtteranceFile], known: Mapping[str, str] | None
    ) -> dict[str, Original] | None:
        """The originals of the videos that are planned; None where they will be fetched."""
        if known is None or self.originals is None:
            return None
        videos = dict.fromkeys(file.video for file in files)
        return {video: original_of(0, self.originals, known[video]) for video in videos if video in known}

    def _duplicates(
        self,
        files: Iterable[UtteranceFile],
        originals: Mapping[str, Original] | None,
        official: Mapping[str, str] | None,
        progress: Progress,
    ) -> Duplicates:
        people: dict[str, list[str]] = {}
        for file in files:
            people.setdefault(file.video, []).append(file.identity)
        fixed = {identity for identity, place in (official or {}).items() if place == "test"}
        return find_duplicates(originals or {}, people, self.roots, look_at_video, progress, fixed)

    def _add(
        self,
        draft: Draft,
        job: PrepareJob,
        originals: Mapping[str, Original] | None,
        same: Duplicates,
        split: Split,
        video: str,
        members: list[UtteranceFile],
    ) -> None:
        tracks = tuple((file.identity, file.utterance) for file in members)
        if originals is not None and video not in originals:
            detail = f"no file named {video} with a video's ending in the folder of originals"
            draft.dropped.append(Dropped(video, split, tracks, "no-original", detail))
            return
        if video in same.copies:
            draft.dropped.append(copy_dropped(video, split, tracks, same.copies[video]))
            return
        if split != "test" and video in same.beside_fixed:
            detail = f"looks the same as {same.beside_fixed[video]}, which is in the test set"
            draft.dropped.append(Dropped(video, split, tracks, ALIKE, detail))
            return
        digest, tracks_made, expected = hashlib.sha256(), [], 0.0
        for file in members:
            try:
                utterance, problems, text = _read_checked(self.metadata, file)
            except InputError as error:
                draft.problems.append(_as_problem(file.path, str(error)))
                detail = str(error)
                draft.dropped.append(Dropped(video, split, ((file.identity, file.utterance),), "malformed", detail))
                continue
            draft.problems += problems
            _add_digest(digest, file.path, text)
            frames = min(len(utterance.frames), job.config.max_frames)
            folder = PurePosixPath(file.path).parents[2].as_posix()
            tracks_made.append(
                PlannedTrack(file.identity, file.utterance, frames, "" if folder == "." else folder)
            )
            large = float(utterance.boxes[:, 3].max()) * HEAD_PER_BOX * USUAL_HEIGHT_PX >= job.config.least_head_px
            expected += frames * (1.0 if large else SMALL_WEIGHT)
        if not tracks_made:
            return
        original = None if originals is None else originals[video]
        digest_text, notes = digest.hexdigest()[:32], notes_of(video, same)
        item = PlannedItem(video, tuple(tracks_made), original, digest_text, notes=notes)
        draft.items.append((split, item, round(expected * frame_bytes(job.config.size))))


def _groups(
    files: Iterable[UtteranceFile], config: SplitConfig, official: Mapping[str, str] | None, people: Groups
) -> list[Group]:
    """Utterances of one video and split together, in the order of people: each video is decoded once per split."""
    result: dict[tuple[Split, str], list[UtteranceFile]] = {}
    for identity, own in groupby(files, key=lambda file: file.identity):
        split = split_of(people.head(identity), config, official)
        for file in own:
            result.setdefault((split, file.video), []).append(file)
    return [(split, video, members) for (split, video), members in result.items()]


def _read_checked(metadata: Path, file: UtteranceFile) -> tuple[Utterance, list[Problem], str]:
    """An utterance whose header agrees with where it lies, the rows left out, and its text.

    Raises:
        InputError: it cannot be read, has another form, or names another person or video than its folders do.
    """
    text = read_text(metadata / file.path, file.path)
    utterance, problems = parse_utterance(text, file.path)
    for line, said, meant in ((1, utterance.identity, file.identity), (2, utterance.video, file.video)):
        if said != meant:
            raise InputError(f"{file.path}:{line}: says {said}, but lies in the folder of {meant}")
    return utterance, problems, text


def _add_digest(digest: hashlib._Hash, path: str, text: str) -> None:
    """Take one metadata file into an item's digest."""
    digest.update(f"{path}\0{len(text)}\0{text}".encode())


def _originals(folder: Path, problems: list[Problem]) -> dict[str, str]:
    """Relative path of each video file whose name, without its ending, is a video's id."""
    known: dict[str, str] = {}
    for path in find(folder, VIDEO_SUFFIXES, problems):
        stem = PurePosixPath(path).stem
        if not VIDEO.fullmatch(stem):
            continue
        if known.setdefault(stem, path) != path:
            problems.append(Problem(path, 0, f"is the same video as {known[stem]}; left out"))
    return known


def _as_problem(path: str, text: str) -> Problem:
    """The problem that an error's text tells of, as "file:line: what" or "file: what"."""
    rest = text.removeprefix(path)
    number, colon, what = rest.removeprefix(":").partition(": ")
    if rest.startswith(":") and colon and number.isdigit():
        return Problem(path, int(number), what)
    return Problem(path, 0, rest.removeprefix(": "))
