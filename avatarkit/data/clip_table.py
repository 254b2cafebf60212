"""What choosing samples needs of all clips, as arrays in files that processes map and share: a million open at once.

The tables stand beside the manifest, in a folder whose name tells of which manifest and selection they are; so old ones
are never read, and whoever first needs them makes them from the shards. Clips are sorted by split, person and id.

    clips-KEY/numbers.npy  int32 (7, clips): a row for each of COLUMNS
    clips-KEY/ids.npy      uint8 (clips, bytes of the longest): clip ids, UTF-8, with zeros behind
    clips-KEY/people.npy   uint8 (people, bytes of the longest): who column "person" counts, likewise
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatarkit.atomic import replaced
from avatarkit.data.clip import SPLITS, ClipInfo
from avatarkit.errors import InputError
from avatarkit.reading import read_array

COLUMNS = ("split", "selected", "person", "video", "frames", "shard", "first_frame")
"""Place in SPLITS; 0 or 1; person and video by number; length; place among the manifest's shards; first frame there."""
_PREFIX = "clips-"
_KEY_DIGITS = 16
_FILES = ("numbers", "ids", "people")


@dataclass(frozen=True)
class Located:
    """A clip with the shard that holds it, and the number of its first frame there."""

    info: ClipInfo
    shard: str
    first_frame: int


@dataclass(frozen=True)
class ClipTable:
    """The arrays; see the module."""

    numbers: NDArray[np.int32]
    ids: NDArray[np.uint8]
    people: NDArray[np.uint8]

    def __len__(self) -> int:
        return self.numbers.shape[1]

    def column(self, name: str) -> NDArray[np.int32]:
        """One of COLUMNS, (clips,)."""
        row: NDArray[np.int32] = self.numbers[COLUMNS.index(name)]
        return row

    def clip_id(self, row: int) -> str:
        """A clip's id."""
        return _text(self.ids[row])

    def identity(self, row: int) -> str:
        """Whom a clip shows."""
        return _text(self.people[self.column("person")[row]])

    @staticmethod
    def of(clips: Iterable[Located], selected: frozenset[str] | None, shards: Sequence[str]) -> ClipTable:
        """Tables of clips. selected: ids, None for all. shards: their order."""
        ordered = sorted(
            clips, key=lambda clip: (SPLITS.index(clip.info.split), clip.info.identity, clip.info.clip_id)
        )
        people: dict[str, int] = {}
        videos: dict[tuple[str, str], int] = {}
        places = {name: place for place, name in enumerate(shards)}
        numbers = np.zeros((len(COLUMNS), len(ordered)), np.int32)
        for row, clip in enumerate(ordered):
            info = clip.info
            numbers[:, row] = (
                SPLITS.index(info.split),
                selected is None or info.clip_id in selected,
                people.setdefault(info.identity, len(people)),
                videos.setdefault((info.identity, info.video), len(videos)),
                info.frames,
                places[clip.shard],
                clip.first_frame,
            )
        return ClipTable(numbers, _texts([clip.info.clip_id for clip in ordered]), _texts(list(people)))


def table_key(manifest_sha256: str, selection_sha256: str | None) -> str:
    """The name of the tables of a manifest and a selection."""
    return _PREFIX + hashlib.sha256(f"{manifest_sha256}\n{selection_sha256}".encode()).hexdigest()[:_KEY_DIGITS]


def read_table(folder: Path, shards: int) -> ClipTable | None:
    """Stored tables; None where there are none. InputError where they are damaged, with what to do."""
    try:
        table = ClipTable(*(read_array(folder / f"{name}.npy", mapped=True) for name in _FILES))
    except FileNotFoundError:
        return None
    except InputError as error:
        raise InputError(f"{error}; remove {folder}, it is made again") from error
    if not _adds_up(table, shards):
        raise InputError(f"{folder}: is damaged; remove it, it is made again")
    return table


def write_table(folder: Path, table: ClipTable) -> None:
    """Store tables where the disk allows it, in place of those of other manifests and selections."""
    with suppress(OSError):
        with replaced(folder, directory=True) as temporary:
            for name in _FILES:
                np.save(temporary / f"{name}.npy", getattr(table, name))
        drop_tables(folder.parent, folder.name)


def drop_tables(dataset: Path, but: str = "") -> None:
    """Remove the stored tables of a dataset, but one."""
    for path in dataset.glob(f"{_PREFIX}{'[0-9a-f]' * _KEY_DIGITS}"):
        if path.is_dir() and not path.is_symlink() and path.name != but:
            shutil.rmtree(path, ignore_errors=True)


def _adds_up(table: ClipTable, shards: int) -> bool:
    arrays: list[NDArray[Any]] = [table.numbers, table.ids, table.people]
    if [(array.ndim, array.dtype.str) for array in arrays] != [(2, "<i4"), (2, "|u1"), (2, "|u1")]:
        return False
    if table.numbers.shape != (len(COLUMNS), len(table.ids)):
        return False
    if not len(table):
        return True
    limits = {"split": len(SPLITS), "selected": 2, "person": len(table.people), "shard": shards}
    within = all(table.column(name).max() < limit for name, limit in limits.items())
    return within and int(table.numbers.min()) >= 0 and int(table.column("frames").min()) >= 1


def _texts(texts: Sequence[str]) -> NDArray[np.uint8]:
    data = np.array([text.encode() for text in texts] or [b""], bytes)
    return data.view(np.uint8).reshape(len(data), -1)[: len(texts)]


def _text(row: NDArray[np.uint8]) -> str:
    return row.tobytes().rstrip(b"\0").decode("utf-8", "replace")
