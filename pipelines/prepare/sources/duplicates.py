"""One video or photo under several names: the same bytes are kept once, and what looks the same stays in one split."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatarkit.data.plan import ALIKE, SAME_BYTES, Dropped, PlannedItem
from avatarkit.data.split import split_of
from avatarkit.data.voxceleb import VIDEO
from avatarkit.errors import InputError
from avatarkit.media.decode import FrameReader
from avatarkit.media.image import open_image
from avatarkit.pipelines.prepare.config import PrepareJob
from avatarkit.pipelines.prepare.files import original_path
from avatarkit.pipelines.prepare.sources.draft import Draft
from avatarkit.runtime import cpu_threads

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


def settle_duplicates(draft: Draft, job: PrepareJob, roots: tuple[Path, ...], look: Look | None) -> None:
    """Leave out copies, and give one split to all people whose videos or photos are alike.

    Args:
        draft: its items have originals; changed in place.
        job: with the shares of the splits.
        roots: folders of the originals.
        look: a thumbnail of an original; None: splits are given, and only copies matter.
    """
    _drop_copies(draft, roots)
    if look is None:
        return
    items = {item.key: item for _, item, _ in draft.items}
    pairs = [*_same_id(items.values())]
    with ThreadPoolExecutor(cpu_threads()) as pool:
        seen = pool.map(lambda item: look(_path(item, roots)), items.values())
        pairs += alike({key: picture for key, picture in zip(items, seen, strict=True) if picture is not None})
    first: dict[str, str] = {}
    groups = _Groups()
    for entry, other in pairs:
        first.setdefault(other, entry)
        groups.join(items[entry].tracks[0].identity, items[other].tracks[0].identity)
    for number, (_, item, size) in enumerate(draft.items):
        if item.key in first:
            item = replace(item, notes=tuple(sorted([*item.notes, (ALIKE, first[item.key])])))
        draft.items[number] = split_of(groups.head(item.tracks[0].identity), job.split), item, size


def _drop_copies(draft: Draft, roots: tuple[Path, ...]) -> None:
    """Of items whose files hold the same bytes, keep the first."""
    alike_ends: dict[tuple[int, str], list[PlannedItem]] = defaultdict(list)
    for _, item, _ in draft.items:
        if item.original is not None:
            alike_ends[item.original.bytes, item.original.digest].append(item)
    copies: dict[str, str] = {}
    for group in alike_ends.values():
        kept: dict[str, str] = {}
        for item in group if len(group) > 1 else ():
            digest = _digest(_path(item, roots))
            if digest is not None and kept.setdefault(digest, item.key) != item.key:
                copies[item.key] = kept[digest]
    for split, item, _ in draft.items:
        if item.key in copies:
            tracks = tuple((track.identity, track.utterance) for track in item.tracks)
            detail = f"holds the same bytes as {copies[item.key]}"
            draft.dropped.append(Dropped(item.key, split, tracks, SAME_BYTES, detail))
    draft.items = [entry for entry in draft.items if entry[1].key not in copies]


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


def _same_id(items: Iterable[PlannedItem]) -> Iterator[tuple[str, str]]:
    known: dict[str, str] = {}
    for item in items:
        result = video_id(PurePosixPath(item.original.path).stem) if item.original is not None else None
        if result is not None and known.setdefault(result, item.key) != item.key:
            yield known[result], item.key


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


def _path(item: PlannedItem, roots: tuple[Path, ...]) -> Path:
    assert item.original is not None
    return original_path(item.original, roots)


class _Groups:
    """People who belong together; each group is known by the name that comes first."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def head(self, name: str) -> str:
        """The group's name."""
        while (above := self._above.get(name, name)) != name:
            name = above
        return name

    def join(self, one: str, other: str) -> None:
        """Make one group of two."""
        first, second = sorted((self.head(one), self.head(other)))
        self._above[second] = first
