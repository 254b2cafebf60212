"""One video or photo under several names: the same bytes are kept once, and what looks the same stays in one split."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatarkit.data.clip import Split
from avatarkit.data.plan import ALIKE, SAME_BYTES, Dropped, Original
from avatarkit.data.split import split_of
from avatarkit.data.voxceleb import VIDEO
from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import open_image
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.files import original_path
from avatarkit.pipelines.prepare.sources.draft import Draft
from avatarkit.runtime import Progress, cpu_threads

Thumbnail = NDArray[np.float32]
Look = Callable[[Path], "Thumbnail | None"]

_SIDE = 16
# Frame number of a video that is looked at: later than fades and titles of a moment, soon decoded.
_FRAME = 12
# Thumbnails of one picture, encoded twice, differ by less than this many grey levels; flat ones say nothing.
_LEVELS, _LEAST_CONTRAST = 4.0, 8.0
# Within what falls together by chance, as many are compared with one another.
_MOST_COMPARED = 50
_BRACKETED = re.compile(r"\[([A-Za-z0-9_-]{11})\]$")
_SUFFIX = re.compile(r"[ ._-]+(\d{3,4}p\d*|\(\d+\)|copy)$|\(\d+\)$", re.IGNORECASE)


class Groups:
    """People who belong together; each group is known by the name that comes first."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def head(self, name: str) -> str:
        """The group's name."""
        while (above := self._above.get(name, name)) != name:
            name = above
        return name

    def join(self, names: Iterable[str]) -> None:
        """Make one group of all groups of these people."""
        first, *others = sorted({self.head(name) for name in names})
        for other in others:
            self._above[other] = first


@dataclass(frozen=True)
class Duplicates:
    """What is the same among originals, by their keys.

    copies: left out, and the one that is kept. alike: kept, and the first that looks the same. beside_fixed: look like
    one that shows a person whose split is fixed, and that one. groups: people who must be in one split.
    """

    copies: dict[str, str]
    alike: dict[str, str]
    beside_fixed: dict[str, str]
    groups: Groups


def find_duplicates(
    originals: Mapping[str, Original],
    people: Mapping[str, Iterable[str]],
    roots: tuple[Path, ...],
    look: Look | None,
    progress: Progress,
    fixed: Collection[str] = (),
) -> Duplicates:
    """Compare originals with one another.

    Args:
        originals: by key; the first of several copies is kept.
        people: whom each of them shows.
        roots: folders of the originals.
        look: a thumbnail of an original; None: only copies matter.
        progress: is told of each original that was looked at.
        fixed: people whose split is given: nobody joins them.
    """
    copies = _copies(originals, roots)
    result = Duplicates(copies, {}, {}, Groups())
    if look is None:
        return result
    paths = {key: original_path(original, roots) for key, original in originals.items() if key not in copies}
    pairs, pictures = [*_same_id({key: originals[key] for key in paths})], {}
    progress.stage("look for duplicates", len(paths), "files")
    with ThreadPoolExecutor(cpu_threads()) as pool:
        for key, picture in zip(paths, pool.map(look, paths.values()), strict=True):
            if picture is not None:
                pictures[key] = picture
            progress.advance()
    for pair in [*pairs, *alike(pictures)]:
        result.alike.setdefault(pair[1], pair[0])
        shown = [frozenset(people[key]) for key in pair]
        held = [not whom.isdisjoint(fixed) for whom in shown]
        for key, other, other_held in zip(pair, pair[::-1], held[::-1], strict=True):
            if other_held:
                result.beside_fixed.setdefault(key, other)
        if not any(held):
            result.groups.join(shown[0] | shown[1])
    return result


def settle_duplicates(
    draft: Draft, job: PrepareJob, roots: tuple[Path, ...], look: Look | None, progress: Progress
) -> None:
    """Leave out copies, and give one split to all people whose videos or photos are alike.

    Args:
        draft: its items have originals and a person each; changed in place.
        job: with the shares of the splits.
        roots: folders of the originals.
        look: a thumbnail of an original; None: splits are given, and only copies matter.
        progress: is told of each original that was looked at.
    """
    items = {item.key: item for _, item, _ in draft.items}
    originals = {key: item.original for key, item in items.items() if item.original is not None}
    people = {key: [track.identity for track in item.tracks] for key, item in items.items()}
    same = find_duplicates(originals, people, roots, look, progress)
    kept = []
    for split, item, size in draft.items:
        tracks = tuple((track.identity, track.utterance) for track in item.tracks)
        if item.key in same.copies:
            draft.dropped.append(copy_dropped(item.key, split, tracks, same.copies[item.key]))
            continue
        if look is not None:
            split = split_of(same.groups.head(item.tracks[0].identity), job.split)
        kept.append((split, replace(item, notes=tuple(sorted([*item.notes, *notes_of(item.key, same)]))), size))
    draft.items = kept


def copy_dropped(key: str, split: Split, tracks: tuple[tuple[str, str], ...], other: str) -> Dropped:
    """The entry of an item that is left out for another of the same bytes."""
    return Dropped(key, split, tracks, SAME_BYTES, f"holds the same bytes as {other}")


def notes_of(key: str, same: Duplicates) -> tuple[tuple[str, str], ...]:
    """What a planned item says of the one that it looks like."""
    return ((ALIKE, same.alike[key]),) if key in same.alike else ()


def _copies(originals: Mapping[str, Original], roots: tuple[Path, ...]) -> dict[str, str]:
    """Of originals that hold the same bytes, all but the first, and the first."""
    alike_ends: dict[tuple[int, str], list[str]] = defaultdict(list)
    for key, original in originals.items():
        alike_ends[original.bytes, original.digest].append(key)
    copies: dict[str, str] = {}
    for group in alike_ends.values():
        kept: dict[str, str] = {}
        for key in group if len(group) > 1 else ():
            digest = _digest(original_path(originals[key], roots))
            if digest is not None and kept.setdefault(digest, key) != key:
                copies[key] = kept[digest]
    return copies


def alike(pictures: Mapping[str, Thumbnail]) -> Iterator[tuple[str, str]]:
    """Pairs of keys, the earlier one first, whose thumbnails are of one picture, encoded twice or resized."""
    buckets: dict[tuple[int, int], list[str]] = defaultdict(list)
    for key, picture in pictures.items():
        if float(picture.std()) < _LEAST_CONTRAST:
            continue
        compared: set[str] = set()
        for band, bits in enumerate(_bits(picture)):
            bucket = buckets[band, bits]
            for other in bucket[:_MOST_COMPARED]:
                if other not in compared and float(np.abs(picture - pictures[other]).mean()) < _LEVELS:
                    yield other, key
                compared.add(other)
            bucket.append(key)


def look_at_photo(path: Path) -> Thumbnail | None:
    """The thumbnail of a photo; None where it cannot be read."""
    try:
        with open_image(path) as image:
            # Of a JPEG that much is decoded and no more.
            image.draft("L", (4 * _SIDE, 4 * _SIDE))
            return _thumbnail(image.convert("L"))
    except (InputError, OSError, SyntaxError, ValueError):
        return None


def look_at_video(path: Path) -> Thumbnail | None:
    """The thumbnail of a video's thirteenth frame; None where it cannot be read, or is shorter."""
    try:
        with FrameReader(path, max_side=4 * _SIDE, part=(_FRAME, _FRAME + 1)) as reader:
            frame = next(reader, None)
    except InputError:
        return None
    return None if frame is None else _thumbnail(Image.fromarray(frame).convert("L"))


def video_id(name: str) -> str | None:
    """The id that a downloader wrote into a file's name, without its ending: alone, in brackets, or before a size."""
    bracketed = _BRACKETED.search(name)
    if bracketed:
        return bracketed[1]
    while (shorter := _SUFFIX.sub("", name)) != name:
        name = shorter
    has_mixture = any(c.isdigit() or c.isupper() for c in name[1:])
    return name if VIDEO.fullmatch(name) and has_mixture else None


def _same_id(originals: Mapping[str, Original]) -> Iterator[tuple[str, str]]:
    known: dict[str, str] = {}
    for key, original in originals.items():
        result = video_id(PurePosixPath(original.path).stem)
        if result is not None and known.setdefault(result, key) != key:
            yield known[result], key


def _bits(picture: Thumbnail) -> list[int]:
    """Whether neighbours grow lighter, as four numbers of 16 bits: of two encodings at least one is the same."""
    means = picture.reshape(8, 2, 8, 2).mean((1, 3))
    lighter = (np.roll(means, -1, 1) > means).ravel().reshape(4, 16)
    return [int(row @ (1 << np.arange(16))) for row in lighter]


def _thumbnail(image: Image.Image) -> Thumbnail:
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float32)


def _digest(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()
