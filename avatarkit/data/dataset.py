"""A finished dataset: its manifest, its clips and its shards."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from avatarkit.data.clip import ClipInfo, Split
from avatarkit.data.clip_table import ClipTable, Located, read_table, table_key, write_table
from avatarkit.data.manifest import Manifest, manifest_hash, read_manifest
from avatarkit.data.marks import SELECTION, Selection, read_rule, read_selection
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import shard_path
from avatarkit.data.sidecar import SideCar
from avatarkit.errors import InputError
from avatarkit.runtime import sha256_file

MAX_OPEN_FILES = 256
"""Shards whose file stays open at a time in one process; many systems allow 1,024 files. Another one is opened in a few
microseconds, its tables stay in memory."""


@dataclass(frozen=True)
class Entry(Located):
    """A clip and where it lies; `place` says which of its shard's clips it is."""

    place: int


class Dataset:
    """A dataset's folder, opened for reading; make one with `Dataset.open`. It may be used after a fork, or pickled."""

    def __init__(self, folder: Path, manifest: Manifest, sha256: str, selection_sha256: str | None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.hash = sha256
        self._selection_sha256 = selection_sha256
        self._readers: dict[str, ShardReader] = {}
        self._opened: deque[str] = deque()
        self._sidecars: dict[str, SideCar] = {}

    @staticmethod
    def open(folder: Path | str) -> Dataset:
        """Open a dataset; its shards are read when they are first needed.

        Raises:
            InputError: no such dataset, not finished, damaged, of an unknown version, or with a shard that is missing
                or of another length than the manifest says.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        selection = folder / SELECTION
        dataset = Dataset(
            folder, manifest, manifest_hash(folder), sha256_file(selection) if selection.is_file() else None
        )
        for entry in manifest.shards:
            path = shard_path(folder, entry.name)
            if not path.is_file():
                raise InputError(f"{path}: is missing; run the same prepare-data command again")
            if path.stat().st_size != entry.bytes:
                raise InputError(
                    f"{path}: is not the shard that the manifest lists; was `avatarkit data remove` interrupted?"
                    " Run it again, or prepare the data again"
                )
        return dataset

    def __getstate__(self) -> tuple[Path, Manifest, str, str | None]:
        return self.folder, self.manifest, self.hash, self._selection_sha256

    def __setstate__(self, state: tuple[Path, Manifest, str, str | None]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # readers are opened anew

    @cached_property
    def selection(self) -> Selection | None:
        """The clips that training uses; None for all. Raises InputError where the list is damaged or has changed."""
        return None if self._selection_sha256 is None else self._unchanged(read_selection(self.folder))

    @cached_property
    def rule(self) -> dict[str, Any]:
        """By which rule they were selected; InputError as `selection`."""
        return {} if self._selection_sha256 is None else self._unchanged(read_rule(self.folder))

    @cached_property
    def table(self) -> ClipTable:
        """What choosing samples needs of all clips, in files that processes share.

        The first who asks makes them from the shards, if the folder can be written to. Raises InputError where a shard
        cannot be read, or the stored tables are damaged.
        """
        folder = self.folder / table_key(self.hash, self._selection_sha256)
        stored = read_table(folder, len(self.manifest.shards))
        if stored is not None:
            return stored
        kept = self.selection.clips if self.selection is not None else None
        table = ClipTable.of(self._all, kept, self.shards())
        write_table(folder, table)
        return read_table(folder, len(self.manifest.shards)) or table

    def _unchanged(self, value: Any) -> Any:
        if sha256_file(self.folder / SELECTION) != self._selection_sha256:
            raise InputError(f"{self.folder / SELECTION}: has changed while in use; open the dataset again")
        return value

    def shards(self, split: Split | None = None) -> list[str]:
        """Names of the shards of a split, or of all."""
        return [entry.name for entry in self.manifest.shards if split in (None, entry.split)]

    def reader(self, shard: str) -> ShardReader:
        """The reader of a shard, kept for the next time. Raises InputError where the shard cannot be read."""
        reader = self._readers.get(shard)
        if reader is None:
            reader = ShardReader(shard_path(self.folder, shard))
            if reader.side not in (None, self.manifest.size):
                raise InputError(f"{reader.path}: its frames are of {reader.side} px, not of {self.manifest.size}")
            self._readers[shard] = reader
        if not reader.is_open:
            # No lock, so that a fork at any moment does no harm: the worst is a file closed early and opened again.
            self._opened.append(shard)
            if len(self._opened) > MAX_OPEN_FILES and (oldest := self._opened.popleft()) != shard:
                self._readers[oldest].release()
        return reader

    def sidecar(self, name: str) -> SideCar:
        """A column of side-car files, kept for the next time. Raises InputError where it cannot be read."""
        if name not in self._sidecars:
            self._sidecars[name] = SideCar(self, name)
        return self._sidecars[name]

    def entries(self, split: Split | None = None, *, selected: bool = True) -> list[Entry]:
        """Clips of a split (or of all) in the shards' order; with `selected` only those that the selection keeps."""
        kept = self.selection.clips if selected and self.selection is not None else None
        return [
            entry
            for entry in self._all
            if split in (None, entry.info.split) and (kept is None or entry.info.clip_id in kept)
        ]

    def clips(self, split: Split | None = None, selected: bool = True) -> list[ClipInfo]:
        """What is known of the clips of a split, as `entries`."""
        return [entry.info for entry in self.entries(split, selected=selected)]

    @cached_property
    def _all(self) -> list[Entry]:
        result = []
        for shard in self.shards():
            for place, (info, frames) in enumerate(self.reader(shard).clip_frames()):
                result.append(Entry(info, shard, frames.start, place))
        return result
