"""Plans VoxCeleb2: utterances grouped by video, people in splits, videos matched with a folder of originals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path, PurePosixPath

from avatarkit.data.clip import Split
from avatarkit.data.plan import Dropped, PlannedItem, PlannedTrack
from avatarkit.data.split import split_of
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
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.files import VIDEO_SUFFIXES, find, original_of
from avatarkit.pipelines.prepare.planning.common import Draft, frame_bytes, limited
from avatarkit.runtime import Progress

HEAD_PER_BOX = 2.0
"""The head's square side over the height of VoxCeleb2's face box, before anything is looked at; rather too much."""

USUAL_HEIGHT_PX = 1080
SMALL_WEIGHT = 0.1
"""An utterance whose head would be too small even in a picture of the usual height counts as a tenth of its frames
when shards are filled: most such are refused, and shards would come out nearly empty."""

Group = tuple[Split, str, list[UtteranceFile]]


def draft_voxceleb(job: PrepareJob, progress: Progress) -> Draft:
    """Read all metadata. Videos without an original are left out, with a reason; so are malformed files."""
    draft = Draft()
    metadata, originals = job.sources.metadata, job.sources.originals
    if metadata is None:
        raise InputError("--metadata: give VoxCeleb2's folder of utterance files")
    official = None
    if job.sources.meta_csv is not None:
        official, problems = read_meta(job.sources.meta_csv)
        draft.problems += problems
    progress.stage("read metadata", None, "utterances")
    files = list(walk(metadata, draft.problems))
    known = _originals(originals, draft.problems) if originals is not None else None
    groups = _groups(files, job, official, draft.problems)
    if known is not None and job.limit is not None:
        groups = [group for group in groups if group[1] in known]
    chosen = set(limited(sorted({video for _, video, _ in groups}), job))
    for split, video, members in groups:
        if video in chosen:
            _add(draft, job, metadata, known, split, video, members)
            progress.advance(len(members))
    return draft


def _groups(
    files: Iterable[UtteranceFile], job: PrepareJob, official: dict[str, str] | None, problems: list[Problem]
) -> list[Group]:
    """Utterances of one video and split together, in the order of people: each video is decoded once per split."""
    result: dict[tuple[Split, str], list[UtteranceFile]] = {}
    for identity, own in groupby(files, key=lambda file: file.identity):
        if official is not None and identity not in official:
            problems.append(Problem(identity, 0, "is not in the table of people; taken as dev"))
        split = split_of(identity, job.split, official)
        for file in own:
            result.setdefault((split, file.video), []).append(file)
    return [(split, video, members) for (split, video), members in result.items()]


def _add(
    draft: Draft,
    job: PrepareJob,
    metadata: Path,
    known: dict[str, str] | None,
    split: Split,
    video: str,
    members: list[UtteranceFile],
) -> None:
    if known is not None and video not in known:
        tracks = tuple((file.identity, file.utterance) for file in members)
        detail = f"no file named {video} with a video's ending in the folder of originals"
        draft.dropped.append(Dropped(video, split, tracks, "no-original", detail))
        return
    digest, tracks_made, expected = hashlib.sha256(), [], 0.0
    for file in members:
        try:
            utterance, problems, text = read_checked(metadata, file)
        except InputError as error:
            draft.problems.append(_as_problem(file.path, str(error)))
            detail = str(error)
            draft.dropped.append(Dropped(video, split, ((file.identity, file.utterance),), "malformed", detail))
            continue
        draft.problems += problems
        add_digest(digest, file.path, text)
        frames = min(len(utterance.frames), job.config.max_frames)
        folder = PurePosixPath(file.path).parents[2].as_posix()
        tracks_made.append(
            PlannedTrack(file.identity, file.utterance, frames, "" if folder == "." else folder)
        )
        large = float(utterance.boxes[:, 3].max()) * HEAD_PER_BOX * USUAL_HEIGHT_PX >= job.config.least_head_px
        expected += frames * (1.0 if large else SMALL_WEIGHT)
    if not tracks_made:
        return
    original = None
    if known is not None and job.sources.originals is not None:
        original = original_of(0, job.sources.originals, known[video])
    item = PlannedItem(video, tuple(tracks_made), original, digest.hexdigest()[:32])
    draft.items.append((split, item, round(expected * frame_bytes(job))))


def read_checked(metadata: Path, file: UtteranceFile) -> tuple[Utterance, list[Problem], str]:
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


def add_digest(digest: hashlib._Hash, path: str, text: str) -> None:
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
