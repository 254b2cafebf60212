"""A finished dataset: its manifest, its clips and its shards."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from avatarkit.data.clip import ClipInfo, Split
from avatarkit.data.manifest import Manifest, manifest_hash, read_manifest
from avatarkit.data.marks import Selection, read_selection
from avatarkit.data.reader import ShardReader
from avatarkit.data.shard import shard_path
from avatarkit.data.sidecar import SideCar
from avatarkit.errors import InputError

MAX_OPEN_FILES = 256
"""Shards whose file stays open at a time in one process; many systems allow 1,024 files. Another one is opened in a few
microseconds, its tables stay in memory."""


@dataclass(frozen=True)
class Entry:
    """A clip and where it lies: in which shard, as which of its clips, from which of its frames on."""

    info: ClipInfo
    shard: str
    place: int
    first_frame: int


class Dataset:
    """A dataset's folder, opened for reading; make one with `Dataset.open`. It may be used after a fork, or pickled."""

    def __init__(self, folder: Path, manifest: Manifest, sha256: str, selection: Selection | None) -> None:
        self.folder = folder
        self.manifest = manifest
        self.hash = sha256
        self.selection = selection
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
        dataset = Dataset(folder, manifest, manifest_hash(folder), read_selection(folder))
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

    def __getstate__(self) -> tuple[Path, Manifest, str, Selection | None]:
        return self.folder, self.manifest, self.hash, self.selection

    def __setstate__(self, state: tuple[Path, Manifest, str, Selection | None]) -> None:
        self.__init__(*state)  # type: ignore[misc]  # readers are opened anew

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
                result.append(Entry(info, shard, place, frames.start))
        return result
