"""FFHQ: photos matched with their records and attributes; crowds and children left out at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from avatarkit.data.clip import Split
from avatarkit.data.ffhq_json import Faces, FfhqRecord, PhotoFile, Place, read_faces, read_record, read_records
from avatarkit.data.plan import Dropped, PlannedItem, PlannedTrack
from avatarkit.data.split import split_of
from avatarkit.data.voxceleb import Problem
from avatarkit.errors import InputError
from avatarkit.pipelines.prepare.config import DataSource, PrepareJob, Refused
from avatarkit.pipelines.prepare.files import PHOTO_SUFFIXES, find, original_of
from avatarkit.pipelines.prepare.sources.draft import Draft, frame_bytes, limited
from avatarkit.pipelines.prepare.sources.duplicates import look_at_photo, settle_duplicates
from avatarkit.pipelines.prepare.sources.keys import keys_of
from avatarkit.prepare.job import PhotoJob
from avatarkit.runtime import Progress

if TYPE_CHECKING:
    from avatarkit.prepare.fetch.run import Note

UNKNOWN = "unknown"

Match = tuple[str, Split, str, str, Place | None]
"""Key, split, relative path, form, and place of the record of one photo."""


@dataclass(frozen=True)
class FFHQ(DataSource):
    """A folder of photos: FFHQ's, with its json and the attributes of each photo, or anyone's without."""

    images: Path
    json: Path | None = None
    features: Path | None = None

    kind = "ffhq"
    holds = "photos"

    @property
    def roots(self) -> tuple[Path, ...]:
        """See `DataSource`."""
        return (self.images,)

    def settings(self, job: PrepareJob) -> Mapping[str, Any]:
        """See `DataSource`."""
        given = {"json": self.json is not None, "features": self.features is not None}
        return {"max_faces": job.config.max_faces, "min_age": job.config.min_age, **given}

    def draft(self, job: PrepareJob, progress: Progress) -> Draft:
        """Match photos with the json, or take all photos of the folder where there is none."""
        draft = Draft()
        progress.stage("read photo list", None, "photos")
        present = find(self.images, PHOTO_SUFFIXES, draft.problems)
        result = _by_record(self.json, present, self.images, draft) if self.json else _by_file(present, job)
        matches = {match[0]: match for match in result}
        for key in limited(sorted(matches), job.limit, job.split.seed):
            self._add(draft, job, matches[key])
            progress.advance()
        settle_duplicates(draft, job, self.roots, look_at_photo if self.json is None else None, progress)
        if job.limit is not None:
            draft.dropped = [item for item in draft.dropped if item.reason != "no-original"]
        return draft

    def job(self, item: PlannedItem, split: Split, path: Path, note: Note | None) -> PhotoJob:
        """See `DataSource`."""
        notes = dict(item.notes)
        age = float(notes["age"]) if "age" in notes else None
        count = int(notes["faces"]) if "faces" in notes else None
        name = item.original.path if item.original else path.name
        identity = item.tracks[0].identity
        if item.record is None or self.json is None:
            return PhotoJob(item.key, path, identity, split, name, UNKNOWN, UNKNOWN, age=age, face_count=count)
        try:
            record = read_record(self.json, item.key, Place(*item.record, item.digest))
        except InputError as error:
            raise Refused("plan", "metadata-changed", str(error)) from error
        file = record.aligned if item.form == "aligned" else record.wild
        return PhotoJob(
            item.key,
            path,
            identity,
            split,
            record.photo_url or name,
            record.licence or UNKNOWN,
            record.author or UNKNOWN,
            landmarks68=file.landmarks68,
            extra=record.attribution,
            age=age,
            face_count=count,
        )

    def _add(self, draft: Draft, job: PrepareJob, match: Match) -> None:
        key, split, path, form, place = match
        faces: Faces | None = None
        if self.features is not None:
            try:
                faces = read_faces(self.features, key)
            except InputError as error:
                draft.problems.append(Problem(f"{key}.json", 0, str(error)))
        refused = _refused(faces, job)
        if refused:
            draft.dropped.append(_dropped(key, split, *refused))
            return
        notes = {}
        if faces is not None and faces.count:
            notes["faces"] = str(faces.count)
            if faces.youngest is not None:
                notes["age"] = repr(faces.youngest)
        original = original_of(0, self.images, path)
        digest = place.digest if place else ""
        record = (place.start, place.length) if place else None
        track = PlannedTrack(key, "", 1)
        item = PlannedItem(key, (track,), original, digest, record, form, tuple(sorted(notes.items())))
        draft.items.append((split, item, frame_bytes(job.config.size)))


def _by_record(path: Path, present: list[str], images: Path, draft: Draft) -> Iterator[Match]:
    bad: list[tuple[str, str]] = []
    by_tail = _tails(present)
    for record, place in read_records(path, bad):
        result = _find(record, by_tail, images)
        if result is None:
            detail = f"no file {record.wild.path} or {record.aligned.path}, in whole or in part, in the folder"
            draft.dropped.append(_dropped(record.number, record.split, "no-original", detail))
        elif not result[1]:
            detail = f"{result[0]} has neither the size of the published photo nor of its 1024 px form"
            draft.dropped.append(_dropped(record.number, record.split, "not-the-published-file", detail))
        else:
            yield record.number, record.split, result[0], result[1], place
    draft.problems += [Problem(path.name, 0, what) for _, what in bad]


def _by_file(present: list[str], job: PrepareJob) -> Iterator[Match]:
    keys = keys_of([PurePosixPath(path) for path in present])
    stems = [PurePosixPath(path).stem for path in present]
    # FFHQ's own numbers are kept where they are unique, so that attributes are found.
    count = Counter(stems)
    for path, key, stem in zip(present, keys, stems, strict=True):
        key = stem if count[stem] == 1 and stem.isascii() and stem.isdigit() else key
        yield key, split_of(key, job.split), path, "wild", None


def _tails(present: list[str]) -> dict[str, list[str]]:
    """Files by each of their last one to three path parts, endings left out: people convert photos."""
    tails: dict[str, list[str]] = {}
    for path in present:
        parts = PurePosixPath(path).with_suffix("").parts
        for count in range(1, min(3, len(parts)) + 1):
            tails.setdefault("/".join(parts[-count:]), []).append(path)
    return tails


def _find(record: FfhqRecord, by_tail: dict[str, list[str]], images: Path) -> tuple[str, str] | None:
    """The photo's file and its form, "wild" or "aligned"; the form is "" where neither fits; None: no file.

    The longest part of the published path that fits decides; where both forms fit, the size does.
    """
    for count in (3, 2, 1):
        forms = {"wild": _tail(record.wild, count), "aligned": _tail(record.aligned, count)}
        if forms["wild"] != forms["aligned"]:
            for form, tail in forms.items():
                if tail in by_tail:
                    return by_tail[tail][0], form
        elif forms["wild"] in by_tail:
            path = by_tail[forms["wild"]][0]
            size = (images / path).stat().st_size
            fits = {record.aligned.bytes: "aligned", record.wild.bytes: "wild"}
            return path, fits.get(size, "")
    return None


def _tail(file: PhotoFile, count: int) -> str:
    parts = PurePosixPath(file.path).with_suffix("").parts
    return "/".join(parts[-count:]) if len(parts) >= count else ""


def _refused(faces: Faces | None, job: PrepareJob) -> tuple[str, str] | None:
    """Reason and detail why the attributes rule a photo out. A list of nobody says nothing: we look ourselves."""
    if faces is None:
        return None
    if faces.count > job.config.max_faces:
        return "several-people", f"the attributes list {faces.count} faces, --max-faces is {job.config.max_faces}"
    known = [age for age in faces.ages if age is not None]
    if known and min(known) < job.config.min_age:
        return "child", f"the attributes say {min(known):g} years, --min-age is {job.config.min_age:g}"
    return None


def _dropped(key: str, split: Split, reason: str, detail: str) -> Dropped:
    return Dropped(key, split, ((key, ""),), reason, detail)
